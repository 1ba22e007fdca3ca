# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts that nobody else sees and that end with this process, however it ends."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from opkg.errors import OpkgError
from opkg.run import run

_CLONE_NEWNS = 0x00020000  # unshare(2)
_AT_FDCWD = -100  # openat(2)
_RENAME_EXCHANGE = 2  # renameat2(2)


@cache
def enter_private_namespace() -> None:
    """Give this process a mount namespace of its own (mount_namespaces(7)). Raises OpkgError.

    Python has os.unshare only from 3.12 on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise OpkgError(
            f"no mount namespace of our own: {os.strerror(ctypes.get_errno())}",
            hint="changing images needs root",
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


@contextmanager
def overlay(lower: Path, scratch: Path) -> Iterator[Path]:
    """Lay a writable layer over the folder `lower`, at its own path; `scratch` is an empty folder
    on a file system that can hold the layer. Yields the folder that collects the changes, in the
    form of overlayfs, complete when the context ends."""
    enter_private_namespace()
    upper, work = scratch / "upper", scratch / "work"
    upper.mkdir()
    work.mkdir()
    # Owner and mode of the root itself come from the upper layer.
    status = lower.stat()
    os.chown(upper, status.st_uid, status.st_gid)
    upper.chmod(status.st_mode & 0o7777)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    plain = "redirect_dir=off,metacopy=off,index=off,xino=off"
    run(
        ["mount", "-t", "overlay", "-o", f"{options},{plain}", "overlay", lower],
        hint="the state folder must be on a file system that overlayfs can write to, such as "
        "ext4, xfs or btrfs",
    )
    try:
        yield upper
    finally:
        run(["umount", lower])
