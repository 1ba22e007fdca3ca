# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel that an image boots, and nodes that boot it from memory, in a real image."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from opd.image import Managed
from opd.oda import Image, Node, now
from opd.state import State
from tests.lab.roots import debian_root, unpacked
from tests.opd.conftest import Opd, copy_tree, forget_archive
from tests.trees import changes, picture

pytestmark = pytest.mark.slow

PACKAGES = ("initramfs-tools", "linux-image-cloud-amd64", "systemd-sysv", "zstd")
# Tells what became of it at its start, and switches the machine off.
MARKER = """
mkdir -p /etc/systemd/system/multi-user.target.wants
cat > /etc/systemd/system/marker.service <<END
[Unit]
After=swap.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/marker
StandardOutput=tty
END
cat > /usr/local/sbin/marker <<END
#!/bin/sh
modprobe squashfs
if grep -q ' ip=' /proc/cmdline; then
    until grep -q 10.8.0.1 /proc/net/fib_trie; do sleep 0.2; done
fi
echo "@ \\$(uname -n) \\$(uname -r) \\$(grep -o squashfs /proc/filesystems)" \\
    "\\$(grep -om1 10.8.0.1 /proc/net/fib_trie)" \\
    "\\$(grep -c partition /proc/swaps) \\$(grep -c ' /boot ext3 ' /proc/mounts) @"
systemctl --force --force poweroff
END
chmod +x /usr/local/sbin/marker
ln -s ../marker.service /etc/systemd/system/multi-user.target.wants/
systemctl enable systemd-networkd
mkdir /etc/oscar
cat > /etc/oscar/disk <<END
/dev/sda1  150  ext3  /boot  defaults  bootable
/dev/sda5   64  swap
/dev/sda6    *  ext4  /      defaults
END
"""


@pytest.fixture(scope="module")
def kernel_root() -> Path:
    return unpacked(debian_root(PACKAGES))


@pytest.fixture
def opd(tmp_path: Path, env: dict[str, str], kernel_root: Path) -> Opd:
    """A state with the image `compute`, which has a kernel; the headnode is an empty folder."""
    state = State.open(tmp_path / "state")
    image = Managed(state.images / "compute")
    image.generations.mkdir(parents=True)
    copy_tree(kernel_root, image.top / "new")
    forget_archive(image.top / "new")
    image.publish(image.top / "new")
    row = Image(name="compute", target="debian-12-x86_64", path=str(image.root), created=now())
    state.oda.save(row)
    state.oda.save(
        Node(name="n1", mac="52:54:00:00:00:01", ip="10.8.0.1", image="compute"),
        Node(name="n2", mac="52:54:00:00:00:02", image="compute"),
        Node(name="n3", image="compute"),
    )
    (tmp_path / "headnode").mkdir()
    return Opd(tmp_path / "state", tmp_path / "headnode", env)


def boot(mac: str, *words: str | Path) -> str:
    """What a machine that is started says, until it switches itself off."""
    argv: list[str | Path] = [
        "nice", "qemu-system-x86_64", "-accel", "tcg", "-m", "1024", "-nographic", "-nodefaults",
        "-no-reboot", "-serial", "stdio", "-netdev", "user,id=n0,restrict=on",
        "-device", f"virtio-net-pci,netdev=n0,mac={mac},romfile=", *words,
    ]  # fmt: skip
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=400)
    return done.stdout.decode(errors="replace")


def test_a_kernel_is_chosen_and_its_nodes_boot_from_memory(opd: Opd, tmp_path: Path) -> None:
    [there] = opd.json("image", "kernel", "compute")
    version = there["version"]
    assert not there["default"]
    before = picture(opd.image("compute"))

    done = opd.run("image", "kernel", "compute", "--version", "1.2.3", status=1)
    assert f"it has {version}" in done.err
    # A process that is killed leaves the old image.
    process = opd.start("--verbose", "image", "kernel", "compute", "--default")
    assert process.stderr is not None
    for line in process.stderr:
        if "Generating" in line:
            break
    process.kill()
    process.wait()
    assert changes(before, picture(opd.image("compute"))) == []

    [chosen] = opd.json("image", "kernel", "compute", "--append", "console=ttyS0,115200")
    assert chosen["default"]
    image = opd.image("compute")
    assert image.name == "2"
    assert (image / f"boot/initrd.img-{version}").stat().st_mtime > (
        opd.state / f"images/compute/generations/1/boot/initrd.img-{version}"
    ).stat().st_mtime
    subprocess.run(["grub-script-check", image / "boot/grub/custom.cfg"], check=True)
    names = ("etc/systemconfig/systemconfig.conf", "boot/grub/custom.cfg")
    texts = [(image / name).read_text() for name in names]

    opd.run("image", "shell", "compute", "sh", "-euc", MARKER)
    # Once more, and nothing is there twice.
    opd.run("image", "kernel", "compute", "--netboot")
    assert [(opd.image("compute") / name).read_text() for name in names] == texts

    served = opd.headnode / "tftpboot"
    entries = {path.name for path in served.rglob("*01-52*")}
    assert entries == {
        f"{kind}01-52-54-00-00-00-0{n}" for kind in ("", "grub.cfg-") for n in (1, 2)
    }
    for path in served.glob("grub/*"):
        subprocess.run(["grub-script-check", path], check=True)
    entry = (served / "pxelinux.cfg/01-52-54-00-00-00-01").read_text()
    told = entry.partition("APPEND ")[2].strip()
    files = served / "images/compute"
    said = boot(
        "52:54:00:00:00:01", "-kernel", files / "vmlinuz", "-initrd", files / "initramfs",
        "-append", told,
    )  # fmt: skip
    assert f"@ n1 {version} squashfs 10.8.0.1 0 0 @" in said, said[-3000:]

    # From a disk, divided as the image has it, with what is mounted where.
    opd.run("image", "export", "compute", tmp_path / "disk.img")
    said = boot("52:54:00:00:00:02", "-drive", f"file={tmp_path}/disk.img,format=raw,if=virtio")
    assert f" {version} squashfs  1 1 @" in said, said[-3000:]

    # What is there for nodes that are gone goes; all of it is as it was after opd undo.
    opd.run("node", "remove", "n1")
    opd.run("image", "export", "compute", served, "--diskless")
    assert [path.name for path in served.glob("pxelinux.cfg/*")] == ["01-52-54-00-00-00-02"]
    for _ in range(3):
        opd.run("undo")
    assert changes(before, picture(opd.image("compute"))) == []
