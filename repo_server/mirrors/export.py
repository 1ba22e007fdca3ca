# SPDX-License-Identifier: GPL-2.0-or-later
"""Carrying a mirror to a site without network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from opkg.errors import OpkgError
from opkg.files import locked
from repo_server.mirrors.mirror import Mirror
from repo_server.repository import is_full

# What says that a folder is a copy of ours, of which files may be removed.
_MARK = ".opkg-mirror"


def export(mirror: Mirror, folder: Path) -> int:
    """Make `folder` a copy of what clients see of a mirror, and return how many files that took.
    Only files of other size or date are copied. Raises OpkgError."""
    if not mirror.shown.is_dir():
        raise OpkgError(
            "this mirror has no copy to be carried",
            where=mirror.name,
            hint="sync it first; of one with --into, copy the channel: rsync -aL live/current/",
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise OpkgError(
            "holds something else, which would be lost",
            where=str(folder),
            hint="name an empty folder, or one that is not there yet",
        )
    with locked(mirror.folder / "lock"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _MARK).write_text(f"{mirror.name}\n")
            return _copy_tree(mirror.shown.resolve(), folder)
        except OSError as error:
            reason = "the disk is full" if is_full(error) else str(error.strerror)
            raise OpkgError(reason, where=str(folder), hint="make room, export again") from error


def _copy_tree(origin: Path, folder: Path) -> int:
    kept = {folder / _MARK}
    count = 0
    for top, _, names in os.walk(origin):
        place = folder / Path(top).relative_to(origin)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            old, new = Path(top, name), place / name
            kept.add(new)
            if not _is_copy(old, new):
                part = place / f".{name}.part"
                shutil.copy2(old, part)
                part.replace(new)
                count += 1
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top, name)
            if path not in kept:
                path.unlink()
    return count


def _is_copy(old: Path, new: Path) -> bool:
    if not new.is_file():
        return False
    ours, theirs = old.stat(), new.stat()
    # File systems of disks that are carried count in two seconds.
    return ours.st_size == theirs.st_size and abs(ours.st_mtime - theirs.st_mtime) <= 2
