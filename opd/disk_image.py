# SPDX-License-Identifier: GPL-2.0-or-later
"""An image as the content of a whole disk that a PC boots: partitions, file systems, GRUB."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from opd import kernel
from opd.boot import grub_menu
from opd.disk import LAYOUT, PLAIN, Layout, Partition, fstab, read
from opd.image import find
from opd.state import State
from opkg.errors import OpkgError
from opkg.files import write_atomic
from opkg.native.mounts import overlay, remove_tree
from opkg.native.system import within
from opkg.run import run

_MIB = 1 << 20
_SECTOR = 512
_PAGE = 4096
# GRUB's parts for a BIOS. Its own first sector loads the rest from where these say that it is
# (GRUB's include/grub/i386/pc/boot.h: KERNEL_SECTOR, and LIST_SIZE at the sector's end).
_GRUB = Path("/usr/lib/grub/i386-pc")
_GRUB_MODULES = (
    "biosdisk", "part_gpt", "ext2", "normal", "linux", "search", "search_fs_file", "search_fs_uuid",
    "probe", "configfile", "echo", "ls", "cat", "test", "all_video",
)  # fmt: skip
_CODE, _KERNEL_SECTOR, _LIST = 440, 0x5C, _SECTOR - 12
# The partition that holds it begins after the first MiB (GNU GRUB Manual, 3.4).
_BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A partition on the disk: where it begins and how long it is, in MiB."""

    partition: Partition
    uuid: str
    start: int
    size: int


def export(state: State, name: str, file: Path) -> None:
    """Write a disk image: with the partitions of the image's layout, or one for all, GRUB, and the
    kernel that the image boots. The file is there when it is whole. Raises OpkgError."""
    _, root = find(state, name)
    if not (_GRUB / "boot.img").is_file():
        raise OpkgError("there is no GRUB for disks of PCs here", hint="install grub-pc-bin")
    kernel.choose(root.live, name, None)
    config = kernel.read_config(root.live)
    if config.default_entry() is None:
        raise OpkgError(
            f"it is not known what {name} boots", hint=f"opd image kernel {name} --default"
        )
    path = within(root.live, LAYOUT)
    layout = read(path) if path.is_file() else PLAIN
    part = file.absolute().with_name(f".{file.name}")
    if not part.parent.is_dir():
        raise OpkgError("there is no such folder", where=str(part.parent))
    (state.root / "cache").mkdir(exist_ok=True)
    try:
        with TemporaryDirectory(dir=state.root / "cache") as scratch:
            tree = Path(scratch, "tree")
            work = Path(scratch, "work")
            for folder in (tree, work):
                folder.mkdir()
            with overlay(root.live, tree, work):
                places = _arranged(layout, tree)
                ids = [place.uuid for place in places]
                _write_settings(tree, layout, places)
                write_atomic(within(tree, "/etc/fstab"), fstab(layout, ids))
                _partition(part, places)
                # What is mounted deepest goes first: it leaves the tree of the one above.
                for place in sorted(places, key=lambda each: each.partition.mount, reverse=True):
                    _fill(part, place, tree, Path(scratch))
            _write_grub(part, _boot(places), Path(scratch))
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _boot(places: Sequence[_Place]) -> _Place:
    """The partition that /boot is on."""
    mounts = {place.partition.mount: place for place in places}
    return mounts.get("/boot", mounts["/"])


def _arranged(layout: Layout, tree: Path) -> list[_Place]:
    """Where each partition goes: one after the other, after GRUB's."""
    start, places = 2, []
    mounts = [each.mount for each in layout.partitions]
    for each in layout.partitions:
        size = each.size or _needed(each, tree, mounts)
        places.append(_Place(partition=each, uuid=str(uuid4()), start=start, size=size))
        start += size
    return places


def _needed(partition: Partition, tree: Path, mounts: Sequence[str]) -> int:
    """What the files of a partition need, and a quarter more, in MiB."""
    if partition.is_swap:
        return 512
    below = [f"--exclude={tree}{mount}/*" for mount in mounts if mount not in ("", "/")]
    below = [each for each in below if each != f"--exclude={tree}{partition.mount}/*"]
    place = within(tree, partition.mount)
    if not place.is_dir():
        return 64
    return int(run(["du", "-smx", *below, place]).stdout.split()[0]) * 5 // 4 + 64


def _write_settings(tree: Path, layout: Layout, places: Sequence[_Place]) -> None:
    """Let GRUB find the kernels, and these their root."""
    root = next(place for place in places if place.partition.mount == "/")
    config = kernel.read_config(tree).with_root(f"UUID={root.uuid}")
    write_atomic(within(tree, "/boot/grub/grub.cfg"), "set timeout=2\n" + grub_menu(config, ""))
    if _boot(places) is not root:
        # A kernel has the same path on a file system of its own.
        within(tree, "/boot/boot").symlink_to(".")
    for each in layout.partitions:
        if each.mount:
            within(tree, each.mount).mkdir(parents=True, exist_ok=True)


def _partition(disk: Path, places: Sequence[_Place]) -> None:
    end = places[-1].start + places[-1].size
    with disk.open("wb") as stream:
        stream.truncate((end + 1) * _MIB)
    lines = ["label: gpt", f"start=1MiB, size=1MiB, type={_BIOS_BOOT}"]
    for place in places:
        kind = "swap" if place.partition.is_swap else "linux"
        lines.append(f"start={place.start}MiB, size={place.size}MiB, type={kind}")
    run(["sfdisk", "--quiet", "--no-reread", disk], stdin="\n".join(lines) + "\n")


def _fill(disk: Path, place: _Place, tree: Path, scratch: Path) -> None:
    """Make a partition's file system with its files, which are taken from the tree."""
    offset = place.start * _MIB
    if place.partition.is_swap:
        # All of it is in its first page.
        area = scratch / "swap"
        with area.open("wb") as stream:
            stream.truncate(place.size * _MIB)
        area.chmod(0o600)
        run(["mkswap", "--uuid", place.uuid, area])
        _write_at(disk, offset, area.read_bytes()[:_PAGE])
        area.unlink()
        return
    origin = within(tree, place.partition.mount)
    run(
        [
            "mke2fs", "-q", "-F", "-t", place.partition.fstype, "-U", place.uuid, "-d", origin,
            "-E", f"offset={offset}", disk, f"{place.size}M",
        ],
        hint=f"are {place.size} MiB enough for {place.partition.mount}?",
    )  # fmt: skip
    if place.partition.mount != "/":
        for path in origin.iterdir():
            remove_tree(path)


def _write_grub(disk: Path, boot: _Place, scratch: Path) -> None:
    early, core = scratch / "early.cfg", scratch / "core.img"
    early.write_text(
        f"search --no-floppy --fs-uuid --set=root {boot.uuid}\nset prefix=($root)/boot/grub\n"
    )
    run(
        ["grub-mkimage", "--format=i386-pc", "--prefix=/boot/grub", f"--config={early}",
         f"--output={core}", *_GRUB_MODULES],
    )  # fmt: skip
    image, first = bytearray(core.read_bytes()), _MIB // _SECTOR
    if len(image) > _MIB:
        raise OpkgError(f"GRUB is larger than its partition: {len(image)} bytes")
    struct.pack_into("<Q", image, _LIST, first + 1)
    sector = bytearray((_GRUB / "boot.img").read_bytes()[:_CODE])
    struct.pack_into("<Q", sector, _KERNEL_SECTOR, first)
    _write_at(disk, 0, bytes(sector))
    _write_at(disk, _MIB, bytes(image))


def _write_at(disk: Path, offset: int, data: bytes) -> None:
    with disk.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)
