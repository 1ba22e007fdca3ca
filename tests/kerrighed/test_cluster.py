# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole way: packages from a repository, installed by OPD into a headnode and images, and two
nodes that boot these from memory and are a cluster: one of each family of distributions."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builder.test_roots import BUILDING
from tests.kerrighed.building import SOURCE, opkg_of_own_kernel
from tests.kerrighed.guests import APPEND, Boot, guest, join, keep_consoles, wire
from tests.lab.roots import MACHINE, debian_root, overlay, unpacked
from tests.lab.standin import KEY_FILE, standin_repository
from tests.opd.conftest import Opd, program, serve
from tests.opkg_specs.running import SPECS

pytestmark = pytest.mark.slow

# The kernel for guests has a tenth of the modules; that for all machines is built for in test_opkg.
HEADERS = "linux-headers-cloud-amd64"
IMAGE = "linux-image-cloud-amd64"
# What images have beside a kernel; and of each target, what its images have besides.
PACKAGES = ("kmod", "python3", "systemd-sysv", "zstd")
MORE = {
    "debian-12": ("initramfs-tools", "iproute2"),
    "demo-rpm-9": ("dracut", "iproute"),
}
# What compiles a kernel in the stand-in.
COMPILING = ("bc", "bison", "flex", "libelf-dev", "perl", "xz-utils")
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
BOTH = "1:online\n2:online"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Of which target each node's image is, the first one's the headnode's as well, and whether
    the kernel is our own."""

    images: tuple[str, str]
    own_kernel: bool = False


CASES = {
    "both": Case(images=("debian-12", "demo-rpm-9")),
    "debian": Case(images=("debian-12", "debian-12")),
    "rpm": Case(images=("demo-rpm-9", "demo-rpm-9")),
    "own-kernel": Case(images=("debian-12", "demo-rpm-9"), own_kernel=True),
}


@pytest.fixture(
    params=["both", *(pytest.param(name, marks=pytest.mark.kernel) for name in list(CASES)[1:])]
)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(autouse=True)
def targets(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The RPM stand-in has its mirror."""
    standin = standin_repository((*BUILDING, *COMPILING) if case.own_kernel else BUILDING)
    table = tmp_path / "targets.toml"
    table.write_text(
        f'[distributions.demo-rpm-9]\nmirrors = [{{ name = "demo", url = "{standin.as_uri()}", '
        f'key = "{(standin / KEY_FILE).as_uri()}" }}]\n'
    )
    monkeypatch.setenv("OPKG_TARGETS", str(table))


def build(case: Case, out: Path, folder: Path) -> None:
    """Build the OPKG and those that it requires."""
    for target in dict.fromkeys(case.images):
        words = [SPECS / "kernel-picker", SPECS / "base", "-t", target, "--no-lint", "-o", out]
        if not case.own_kernel:
            program("builder", "build", opkg_for_guests(folder / target), *words)
            continue
        source = opkg_of_own_kernel(folder / target)
        with tempfile.TemporaryDirectory(dir=folder) as tree:
            # Debian has a package with the source of its kernel; others are given a tree.
            given = [] if target == "debian-12" else ["--source", f"linux={kernel_tree(tree)}"]
            program("builder", "build", source, "-t", target, "--no-lint", "-o", out, *given)
        program("builder", "build", *words)


def opkg_for_guests(folder: Path) -> Path:
    shutil.copytree(SOURCE.parent, folder)
    recipe = folder / "build.toml"
    recipe.write_text(recipe.read_text().replace('"gcc", ', f'"gcc", "{HEADERS}", ', 1))
    return folder


def kernel_tree(folder: str) -> str:
    """Unpack the source of a kernel."""
    root = unpacked(debian_root(("linux-source",)))
    [packed] = (root / "usr/src").glob("linux-source-*.tar.xz")
    argv = ["tar", "--extract", "--file", packed, "--strip-components=1", "--directory", folder]
    subprocess.run(argv, check=True)
    return folder


@pytest.fixture
def address(case: Case, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where the OPKGs are published, and the fingerprint of the root."""
    build(case, tmp_path / "out", tmp_path)
    repository = tmp_path / "repository"
    keys = dict(line.split() for line in program("repo_server", "init", repository).splitlines())
    manifests = sorted((tmp_path / "out").glob("*/manifest.json"))
    program("repo_server", "add", repository, "--channel", "stable", *manifests)
    program("repo_server", "publish", repository)
    with serve(repository) as url:
        yield url, keys["root"]


@pytest.fixture
def opd(case: Case, tmp_path: Path) -> Iterator[Opd]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPD_")}
    with overlay(unpacked(debian_root(MACHINE))) as debian:
        if case.images[0] == "debian-12":
            yield Opd(tmp_path / "state", debian, own)
            return
        # What opd makes for a node is a machine like any other.
        other = Opd(tmp_path / "other", debian, own)
        packages = tmp_path / "python"
        packages.write_text("python3")
        other.run("image", "create", "it", "-t", case.images[0], "--packages", packages)
        yield Opd(tmp_path / "state", other.image("it").resolve(), own)


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


def prepare(opd: Opd, case: Case, url: str, root_key: str, tmp_path: Path) -> dict[str, Boot]:
    """Install a headnode and images, all through OPD, and export the images for their nodes."""
    opd.run("repo", "add", url, "--root-key", root_key)
    images = dict.fromkeys(case.images)
    for target in images:
        packages = tmp_path / "packages"
        kernel = [] if case.own_kernel else [IMAGE]
        packages.write_text("\n".join([*kernel, *PACKAGES, *MORE[target]]))
        opd.run("image", "create", target, "-t", target, "--packages", packages)
    opd.run("install", "kerrighed")
    rows = [
        f"{name},{mac},10.9.0.{number},{image}"
        for number, ((name, mac), image) in enumerate(
            zip(NODES.items(), case.images, strict=True), 1
        )
    ]
    (tmp_path / "nodes.csv").write_text("\n".join(["name,mac,ip,image", *rows, ""]))
    opd.run("node", "import", tmp_path / "nodes.csv")
    assert "nothing is due" in opd.run("deploy").err
    for image in images:
        known = (opd.image(image) / "etc/kerrighed_nodes").read_text()
        assert known == "session=1\nnbmin=2\nnode1:1\nnode2:2\n"
        own = (SOURCE.parent / "testing/test_root").read_text()
        console = f"{CONSOLE}cat > /usr/local/sbin/test_root <<'END'\n{own}END\n"
        opd.run("image", "shell", image, "sh", "-euc", console)
        opd.run("image", "kernel", image, "--append", APPEND)
        opd.run("image", "export", image, tmp_path / "tftp", "--diskless")
    return boots(tmp_path / "tftp")


def test_nodes_of_images_are_a_cluster(
    case: Case, address: tuple[str, str], opd: Opd, tmp_path: Path
) -> None:
    boot = prepare(opd, case, *address, tmp_path)
    try:
        with wire() as cable, guest(boot["node1"], "node1", 1, cable, tmp_path) as one:
            join(cable, "node1", "node2")
            with guest(boot["node2"], "node2", 2, cable, tmp_path) as two:
                for node in (one, two):
                    node.wait_until_ready()
                for node in (one, two):
                    node.wait_for("krgadm nodes status", BOTH)
                    assert node.check("krgadm cluster status") == "status: up on 2 nodes"
                    # The OPKG's own test passes on the node.
                    node.check("sh /usr/local/sbin/test_root")
                    assert node.check("uname -r").endswith("-kerrighed") == case.own_kernel
                two.cut_power()
            one.wait_for("krgadm nodes status", "1:online\n2:possible")
            with guest(boot["node2"], "node2", 2, cable, tmp_path) as two:
                two.wait_until_ready()
                for node in (one, two):
                    node.wait_for("krgadm nodes status", BOTH)
    finally:
        keep_consoles(tmp_path, "cluster-own-kernel" if case.own_kernel else "cluster")
