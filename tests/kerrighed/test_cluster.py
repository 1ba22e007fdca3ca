# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole way: packages from a repository, installed by OPD into a headnode and an image, and two
nodes that boot that image from memory and are a cluster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kerrighed.building import SOURCE
from tests.kerrighed.guests import APPEND, Boot, Guest, guest, join, keep_consoles, wire
from tests.lab.roots import MACHINE, debian_root, overlay, unpacked
from tests.opd.conftest import Opd, program, serve
from tests.opkg_specs.running import SPECS

pytestmark = pytest.mark.slow

# The kernel for guests has a tenth of the modules; that for all machines is built for in test_opkg.
HEADERS = "linux-headers-cloud-amd64"
IMAGE = (
    "initramfs-tools", "iproute2", "kmod", "linux-image-cloud-amd64", "python3", "systemd-sysv",
    "zstd",
)  # fmt: skip
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
systemctl mask serial-getty@ttyS0.service
"""
NODES = {"node1": "52:54:00:00:00:01", "node2": "52:54:00:00:00:02"}
BOTH = "1:online\n2:online"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where the OPKG and those that it requires are published, and the fingerprint of the root."""
    source = tmp_path / "kerrighed"
    shutil.copytree(SOURCE.parent, source)
    recipe = source / "build.toml"
    text = recipe.read_text()
    recipe.write_text(text.replace('"gcc", "make",', f'"gcc", "make", "{HEADERS}",', 1))
    opkgs = [source, SPECS / "kernel-picker", SPECS / "base"]
    program("builder", "build", *opkgs, "-t", "debian-12", "--no-lint", "-o", tmp_path / "out")
    repository = tmp_path / "repository"
    keys = dict(line.split() for line in program("repo_server", "init", repository).splitlines())
    manifest = tmp_path / "out/debian-12-x86_64/manifest.json"
    program("repo_server", "add", repository, "--channel", "stable", manifest)
    program("repo_server", "publish", repository)
    with serve(repository) as url:
        yield url, keys["root"]


@pytest.fixture
def opd(tmp_path: Path) -> Iterator[Opd]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPD_")}
    with overlay(unpacked(debian_root(MACHINE))) as headnode:
        yield Opd(tmp_path / "state", headnode, own)


def boots(opd: Opd, served: Path) -> dict[str, Boot]:
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


def prepare(opd: Opd, url: str, root_key: str, tmp_path: Path) -> dict[str, Boot]:
    """Install a headnode and an image, all through OPD, and export the image for its nodes."""
    packages = tmp_path / "packages"
    packages.write_text("\n".join(IMAGE))
    opd.run("repo", "add", url, "--root-key", root_key)
    opd.run("image", "create", "compute", "-t", "debian-12", "--packages", packages)
    opd.run("install", "kerrighed")
    rows = [f"{name},{mac},10.9.0.{n},compute" for n, (name, mac) in enumerate(NODES.items(), 1)]
    (tmp_path / "nodes.csv").write_text("\n".join(["name,mac,ip,image", *rows, ""]))
    opd.run("node", "import", tmp_path / "nodes.csv")
    known = (opd.image("compute") / "etc/kerrighed_nodes").read_text()
    assert known == "session=1\nnbmin=2\nnode1:1\nnode2:2\n"
    assert "nothing is due" in opd.run("deploy").err
    own = (SOURCE.parent / "testing/test_root").read_text()
    console = f"{CONSOLE}cat > /usr/local/sbin/test_root <<'END'\n{own}END\n"
    opd.run("image", "shell", "compute", "sh", "-euc", console)
    opd.run("image", "kernel", "compute", "--append", APPEND)
    opd.run("image", "export", "compute", tmp_path / "tftp", "--diskless")
    return boots(opd, tmp_path / "tftp")


def test_nodes_of_an_image_are_a_cluster(
    address: tuple[str, str], opd: Opd, tmp_path: Path
) -> None:
    boot = prepare(opd, *address, tmp_path)
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
