# SPDX-License-Identifier: GPL-2.0-or-later
"""How the disk of a node is divided: the files that OSCAR's mksidisk read, as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from opkg.errors import InvalidInputError
from opkg.findings import Findings, expected

# Where an image keeps its layout.
LAYOUT = PurePosixPath("/etc/oscar/disk")
_SWAP, _EXT = "swap", ("ext2", "ext3", "ext4")
# What other tools put into these files for a file system that is chosen later.
_PLACEHOLDERS = {"_BOOTFS_": "ext4", "_ROOTFS_": "ext4"}
_DISK = re.compile(r"(/dev/(?:(?!md)[a-z]+|nvme\d+n\d+|mmcblk\d+))p?\d+")
_COLUMNS = "device size fstype mount options [bootable]"


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A partition: its size in MiB, None for what is left or needed; `mount` is empty for swap."""

    device: str
    size: int | None
    fstype: str
    mount: str
    options: str

    @property
    def is_swap(self) -> bool:
        return self.fstype == _SWAP


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The partitions of a disk in their order, and the lines of fstab(5) for what is elsewhere, as
    of NFS."""

    partitions: tuple[Partition, ...]
    others: tuple[str, ...] = ()


# For images that say nothing.
PLAIN = Layout(
    partitions=(
        Partition(device="/dev/sda1", size=None, fstype="ext4", mount="/", options="defaults"),
    )
)


def parse(text: str, path: Path) -> Layout:
    """Read a layout, a line for each partition: device, size, fstype, mount, options. Sizes are MiB
    or `*`, for one partition, or `-` for what is no partition; after a line `# units=%` they are
    shares of a disk whose size is not known here, and every partition gets what it needs. Swap has
    no mount. What is said of the label and of what boots is not needed: disks have a GPT. Raises
    InvalidInputError with every fault and its line."""
    findings = Findings(path)
    partitions, others = [], []
    shares = bool(re.search(r"^#\s*units\s*=\s*%", text, re.MULTILINE))
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        device, size, fstype, *rest = [*words, *[""] * (3 - len(words))]
        fstype = _PLACEHOLDERS.get(fstype, fstype)
        if size == "-":
            others.append(" ".join([device, *rest[:1], fstype, *rest[1:2]]))
            fault = "" if len(rest) >= 2 else f"a line is: {_COLUMNS}"
        else:
            mount, options = ("", "") if fstype == _SWAP else (*rest, "", "")[:2]
            partitions.append(
                Partition(
                    device=device,
                    size=None if shares or size == "*" or not size.isdecimal() else int(size),
                    fstype=fstype,
                    mount=mount,
                    options=options or "defaults",
                )
            )
            fault = _fault(partitions[-1], size)
        if fault:
            findings.error(number, fault)
    for fault in () if findings.failed else _faults(partitions, shares=shares):
        findings.error(0, fault)
    if findings.failed:
        raise findings.refusal()
    return Layout(partitions=tuple(partitions), others=tuple(others))


def _fault(partition: Partition, size: str) -> str:
    if not _DISK.fullmatch(partition.device):
        return f"“{partition.device}” is no partition of a disk, such as /dev/sda1"
    if size != "*" and (not size.isdecimal() or int(size) == 0):
        return f"“{size}” is no size: MiB, or * for the rest; a line is: {_COLUMNS}"
    if partition.is_swap:
        return "" if size != "*" else "swap needs a size"
    if partition.fstype not in _EXT:
        hint = expected(partition.fstype, [*_EXT, _SWAP])
        return f"“{partition.fstype}” is no file system that is made here: {hint}"
    mount = PurePosixPath(partition.mount)
    if not mount.is_absolute() or ".." in mount.parts:
        return f"“{partition.mount}” is no place to mount it at; a line is: {_COLUMNS}"
    return ""


def _faults(partitions: Sequence[Partition], *, shares: bool) -> list[str]:
    found = []
    mounts = [each.mount for each in partitions if not each.is_swap]
    if "/" not in mounts:
        found.append("nothing is mounted at /")
    if double := {mount for mount in mounts if mounts.count(mount) > 1}:
        found.append(f"mounted twice: {', '.join(sorted(double))}")
    if not shares and sum(each.size is None for each in partitions) > 1:
        found.append("only one partition can have the rest, *")
    if len({match[1] for each in partitions if (match := _DISK.fullmatch(each.device))}) > 1:
        found.append("the partitions are on several disks; only one is written")
    return found


def fstab(layout: Layout, ids: Sequence[str]) -> str:
    """The text of fstab(5) for a disk whose partitions have these UUIDs."""
    lines = []
    for partition, uuid in zip(layout.partitions, ids, strict=True):
        check = 1 if partition.mount == "/" else 0 if partition.is_swap else 2
        mount = "none" if partition.is_swap else partition.mount
        options = "sw" if partition.is_swap else partition.options
        lines.append(f"UUID={uuid} {mount} {partition.fstype} {options} 0 {check}")
    return "".join(f"{line}\n" for line in (*lines, *(f"{each} 0 0" for each in layout.others)))


def read(path: Path) -> Layout:
    """Read a layout from a file. Raises InvalidInputError."""
    try:
        return parse(path.read_text(), path)
    except UnicodeDecodeError as error:
        findings = Findings(path)
        findings.error(0, f"this is no text: {error}")
        refusal: InvalidInputError = findings.refusal()
        raise refusal from error
