# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts that nobody else sees and that end with this process, however it ends."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from opkg.errors import CommandError, OpkgError
from opkg.native import layers
from opkg.run import run

_CLONE_NEWNS = 0x00020000  # unshare(2)
_AT_FDCWD = -100  # openat(2)
_RENAME_EXCHANGE = 2  # renameat2(2)


@cache
def enter_private_namespace() -> None:
    """Give this process a mount namespace of its own (mount_namespaces(7)). Raises OpkgError.

    Only the calling thread gets it, and the threads and processes that it starts from then on: a
    program with threads calls this before it makes them. Python has os.unshare only from 3.12 on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise OpkgError(
            f"no mount namespace of our own: {os.strerror(ctypes.get_errno())}",
            hint="this needs root",
        )
    run(["mount", "--make-rprivate", "/"])


def exchange(one: Path, other: Path) -> None:
    """Let two paths swap what they name, in one step (renameat2(2)). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    status = libc.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    )
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))


def mounts_in(path: Path) -> list[Path]:
    """The mount points at and below `path` that this process sees, the deepest first.

    Source: proc(5), /proc/pid/mountinfo: the fifth field, odd characters in octal.
    """
    top = os.fsencode(path.parent.resolve() / path.name)
    points = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        field = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), line.split()[4])
        field = field.removesuffix(b"//deleted")
        if field == top or field.startswith(top.rstrip(b"/") + b"/"):
            points.append(Path(os.fsdecode(field)))
    return sorted(points, reverse=True)


def remove_tree(path: Path) -> None:
    """Remove `path` with all that is in it; nothing happens when it is not there.

    Raises OpkgError when something is mounted at or below it: a bind of /dev that somebody made
    there would be emptied through. What cannot be seen so (another file system) is left as well.
    """
    check_unmounted(path, "not removed")
    run(["rm", "-rf", "--one-file-system", "--preserve-root=all", "--", path.absolute()])


def check_unmounted(path: Path, refusal: str) -> None:
    """Raise OpkgError, beginning with `refusal`, when something is mounted at or below `path`."""
    points = mounts_in(path)
    if points:
        raise OpkgError(
            f"{refusal}: something is mounted in it: " + ", ".join(map(str, points)),
            where=str(path),
            hint="unmount it first: umount --recursive " + str(points[-1]),
        )


@contextmanager
def overlay(lower: Path, at: Path, scratch: Path) -> Iterator[Path]:
    """Show the folder `lower` at the folder `at`, which may be the same, with a writable layer over
    it; `scratch` is an empty folder on a file system that can hold the layer. This process alone
    and its children see it. Yields the folder that collects the changes, in the form of overlayfs,
    complete when the context ends. Raises OpkgError where there can be no overlay, or where a
    process still works in it at the end."""
    enter_private_namespace()
    upper = scratch / "upper"
    for folder in (upper, scratch / "work"):
        folder.mkdir()
    # The root's own owner, mode, attributes and times come from the upper layer.
    layers.copy_metadata(lower, upper)
    # By short names: in a mount's options, commas and colons have a meaning.
    (scratch / "lower").symlink_to(lower)
    options = "lowerdir=lower,upperdir=upper,workdir=work"
    plain = "redirect_dir=off,metacopy=off,index=off,xino=off"
    run(
        ["mount", "-t", "overlay", "-o", f"{options},{plain}", "overlay", at],
        cwd=scratch,
        hint="it must be on a file system that overlayfs can write to, such as ext4, xfs or btrfs",
    )
    try:
        yield upper
    except BaseException:
        # Busy or not: the changes are given up.
        run(["umount", "--lazy", at])
        raise
    _unmount(at)


def _unmount(point: Path) -> None:
    try:
        run(["umount", point])
    except CommandError as error:
        left = ", ".join(_others_in_namespace())
        run(["umount", "--lazy", point])
        raise OpkgError(
            f"still in use when all was done, by {left or 'a process that cannot be seen'}",
            where=str(point),
            hint="end that; a script that works on an image may leave no process running",
        ) from error


def _others_in_namespace() -> Iterator[str]:
    """The other processes in this one's mount namespace: what scripts left running."""
    own = Path("/proc/self/ns/mnt").readlink()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.name != str(os.getpid()) and (folder / "ns/mnt").readlink() == own:
                yield f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
        except OSError:  # it has ended meanwhile
            continue
