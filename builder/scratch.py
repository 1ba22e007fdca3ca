# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders for what is not finished."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from opkg.files import locked


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new folder in `folder`, where results go too, so that moving these into place is a rename.
    It goes in the end; those of processes that were killed go now."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        for left in folder.glob(".build-*"):
            _remove_left(left)
        place = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
        owner = FileLock(place / "lock")
        owner.acquire()
    try:
        yield place
    finally:
        owner.release()
        shutil.rmtree(place, ignore_errors=True)


def _remove_left(place: Path) -> None:
    """Remove a folder of `scratch`, unless its process is still there."""
    try:
        with FileLock(place / "lock", timeout=0):
            shutil.rmtree(place, ignore_errors=True)
    except (Timeout, FileNotFoundError):
        return  # its process is there, or has just removed it
