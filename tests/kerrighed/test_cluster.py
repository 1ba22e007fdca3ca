# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole way: packages from a repository, installed by OPD into a headnode and images, and two
nodes that boot these from memory and are a cluster: one of each family of distributions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder.test_roots import BUILDING
from tests.kerrighed.building import SOURCE
from tests.kerrighed.guests import APPEND, Boot, Guest, guest, join, keep_consoles, wire
from tests.lab.roots import MACHINE, debian_root, overlay, unpacked
from tests.lab.standin import KEY_FILE, standin_repository
from tests.opd.conftest import Opd, program, serve
from tests.opkg_specs.running import SPECS

pytestmark = pytest.mark.slow

# The kernel for guests has a tenth of the modules; that for all machines is built for in test_opkg.
HEADERS = "linux-headers-cloud-amd64"
KERNEL = ("kmod", "linux-image-cloud-amd64", "python3", "systemd-sysv", "zstd")
# Of each target, what its image has besides.
PACKAGES = {
    "debian-12": ("initramfs-tools", "iproute2"),
    "demo-rpm-9": ("dracut", "iproute"),
}
# A console that obeys, line by line, as that of the small guests does.
CONSOLE = """
cat > /usr/local/sbin/obey <<'END'
#!/bin/sh
stty -echo
echo "@ ready"
while IFS= read -r line; do
    sh -c "$line" < /dev/null 2>&1
    echo "@ $?"
done
END
chmod +x /usr/local/sbin/obey
cat > /etc/systemd/system/obey.service <<'END'
[Unit]
After=multi-user.target
[Service]
ExecStart=/usr/local/sbin/obey
StandardInput=tty
StandardOutput=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
END
systemctl enable obey.service systemd-networkd.service
systemctl mask serial-getty@ttyS0.service chrony-wait.service
"""
NODES = {"node1": "52:54:00:00:00:01", "node2": "52:54:00:00:00:02"}
# Of which target each node's image is.
Images = tuple[str, str]
BOTH = "1:online\n2:online"


@pytest.fixture(autouse=True)
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The RPM stand-in has its mirror."""
    standin, table = standin_repository(BUILDING), tmp_path / "targets.toml"
    table.write_text(
        f'[distributions.demo-rpm-9]\nmirrors = [{{ name = "demo", url = "{standin.as_uri()}", '
        f'key = "{(standin / KEY_FILE).as_uri()}" }}]\n'
    )
    monkeypatch.setenv("OPKG_TARGETS", str(table))


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where the OPKG and those that it requires are published, and the fingerprint of the root."""
    source = tmp_path / "kerrighed"
    shutil.copytree(SOURCE.parent, source)
    recipe = source / "build.toml"
    text = recipe.read_text()
    recipe.write_text(text.replace('"gcc", "make",', f'"gcc", "make", "{HEADERS}",', 1))
    opkgs = [source, SPECS / "kernel-picker", SPECS / "base"]
    wanted = [word for target in PACKAGES for word in ("-t", target)]
    program("builder", "build", *opkgs, *wanted, "--no-lint", "-o", tmp_path / "out")
    repository = tmp_path / "repository"
    keys = dict(line.split() for line in program("repo_server", "init", repository).splitlines())
    manifests = sorted((tmp_path / "out").glob("*/manifest.json"))
    program("repo_server", "add", repository, "--channel", "stable", *manifests)
    program("repo_server", "publish", repository)
    with serve(repository) as url:
        yield url, keys["root"]


@pytest.fixture
def opd(tmp_path: Path) -> Iterator[Opd]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPD_")}
    with overlay(unpacked(debian_root(MACHINE))) as headnode:
        yield Opd(tmp_path / "state", headnode, own)


def boots(served: Path) -> dict[str, Boot]:
    """What the nodes start, as PXELINUX would read it."""
    found = {}
    for name, mac in NODES.items():
        entry = (served / "pxelinux.cfg" / f"01-{mac.replace(':', '-')}").read_text()
        words = dict(line.strip().split(" ", 1) for line in entry.splitlines()[1:])
        found[name] = Boot(
            kernel=served / words["KERNEL"],
            initrd=served / words["INITRD"],
            append=words["APPEND"],
            megabytes=1536,
        )
    return found


def prepare(opd: Opd, images: Images, url: str, root_key: str, tmp_path: Path) -> dict[str, Boot]:
    """Install a headnode and images, all through OPD, and export the images for their nodes."""
    opd.run("repo", "add", url, "--root-key", root_key)
    for target in dict.fromkeys(images):
        packages = tmp_path / "packages"
        packages.write_text("\n".join([*KERNEL, *PACKAGES[target]]))
        opd.run("image", "create", target, "-t", target, "--packages", packages)
    opd.run("install", "kerrighed")
    rows = [
        f"{name},{mac},10.9.0.{number},{image}"
        for number, ((name, mac), image) in enumerate(zip(NODES.items(), images, strict=True), 1)
    ]
    (tmp_path / "nodes.csv").write_text("\n".join(["name,mac,ip,image", *rows, ""]))
    opd.run("node", "import", tmp_path / "nodes.csv")
    assert "nothing is due" in opd.run("deploy").err
    for image in dict.fromkeys(images):
        known = (opd.image(image) / "etc/kerrighed_nodes").read_text()
        assert known == "session=1\nnbmin=2\nnode1:1\nnode2:2\n"
        own = (SOURCE.parent / "testing/test_root").read_text()
        console = f"{CONSOLE}cat > /usr/local/sbin/test_root <<'END'\n{own}END\n"
        opd.run("image", "shell", image, "sh", "-euc", console)
        opd.run("image", "kernel", image, "--append", APPEND)
        opd.run("image", "export", image, tmp_path / "tftp", "--diskless")
    return boots(tmp_path / "tftp")


@pytest.mark.parametrize(
    "images",
    [
        ("debian-12", "demo-rpm-9"),
        pytest.param(("debian-12", "debian-12"), marks=pytest.mark.kernel),
        pytest.param(("demo-rpm-9", "demo-rpm-9"), marks=pytest.mark.kernel),
    ],
    ids="-".join,
)
def test_nodes_of_images_are_a_cluster(
    images: Images, address: tuple[str, str], opd: Opd, tmp_path: Path
) -> None:
    boot = prepare(opd, images, *address, tmp_path)
    try:
        with wire() as cable, guest(boot["node1"], "node1", 1, cable, tmp_path) as one:
            join(cable, "node1", "node2")
            with guest(boot["node2"], "node2", 2, cable, tmp_path) as two:
                for node in (one, two):
                    node.wait_until_ready()
                for node in (one, two):
                    node.wait_for("krgadm nodes status", BOTH)
                    assert node.check("krgadm cluster status") == "status: up on 2 nodes"
                    look_at(node)
                two.cut_power()
            one.wait_for("krgadm nodes status", "1:online\n2:possible")
            with guest(boot["node2"], "node2", 2, cable, tmp_path) as two:
                two.wait_until_ready()
                for node in (one, two):
                    node.wait_for("krgadm nodes status", BOTH)
    finally:
        keep_consoles(tmp_path, "cluster")


def look_at(node: Guest) -> None:
    """The OPKG's own test passes on the node."""
    node.check("sh /usr/local/sbin/test_root")
