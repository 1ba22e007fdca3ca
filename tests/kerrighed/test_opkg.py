# SPDX-License-Identifier: GPL-2.0-or-later
"""The OPKG: its packages, and what they do to a head node and to an image of Debian."""

from __future__ import annotations

import subprocess

import pytest

from tests.kerrighed.building import SOURCE
from tests.opkg_specs.machines import IMAGE, Library, built_library, head_and_image
from tests.opkg_specs.running import SPECS

pytestmark = pytest.mark.slow

# An initrd with all modules takes most of a minute, and is made four times here.
SMALL_INITRD = """
mkdir -p /etc/initramfs-tools/conf.d
echo MODULES=list > /etc/initramfs-tools/conf.d/small
"""
SCRIPTS = "/usr/lib/oscar/packages/kerrighed"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Library:
    directories = [SOURCE.parent, SPECS / "kernel-picker", SPECS / "base"]
    return built_library(tmp_path_factory.mktemp("packages"), directories=directories)


def test_lintian_finds_nothing(packages: Library) -> None:
    debs = [*packages.folder.glob("*kerrighed[-_2]*.deb")]
    done = subprocess.run(
        ["lintian", "--allow-root", "--tag-display-limit", "0", *debs],
        capture_output=True,
        text=True,
    )
    assert len(debs) == 10
    assert done.stdout == ""


def test_an_image_starts_a_kernel_with_the_module(packages: Library) -> None:
    with head_and_image(packages) as (head, image):
        before_head = head.state()
        image.check(SMALL_INITRD)
        image.install("opkg-kerrighed-client")
        head.install("opkg-kerrighed-server", "opkg-kerrighed")
        modules = image.check("cd /lib/modules; echo */updates/dkms/kerrighed.ko").split()
        [release] = [module.partition("/")[0] for module in modules]
        assert image.check(f"modinfo -k {release} -F version kerrighed") == "3.1.0\n"

        head.check(f"{SCRIPTS}/api-post-image {IMAGE}")
        conf = image.check("cat /etc/systemconfig/systemconfig.conf")
        assert "DEFAULTBOOT = kerrighed\n" in conf
        assert f"PATH = /boot/vmlinuz-{release}\n" in conf
        assert f"INITRD = /boot/initrd.img-{release}\n" in conf
        assert "APPEND" not in conf  # a node's id is in the list of nodes
        assert 'set default="kerrighed"' in image.check("cat /boot/grub/custom.cfg")

        nodes = "printf 'node1\\nnode2\\n' > /tmp/nodes; OSCAR_NODES=/tmp/nodes"
        head.check(f"{nodes} {SCRIPTS}/api-post-clientdef")
        wanted = "session=1\nnbmin=2\nnode1:1\nnode2:2\n"
        assert image.check("cat /etc/kerrighed_nodes") == wanted
        assert image.check("cat /etc/kerrighed/session.key") == head.check(
            "cat /etc/kerrighed/session.key"
        )
        done = [line for line in image.state() if "/boot/initrd" not in line]
        head.check(f"{SCRIPTS}/api-post-image {IMAGE}; {nodes} {SCRIPTS}/api-post-clientdef")
        assert [line for line in image.state() if "/boot/initrd" not in line] == done

        head.purge_ours()
        assert head.state() == before_head
        image.purge_ours()
        assert not [line for line in image.state() if "kerrighed" in line.split()[0]]
