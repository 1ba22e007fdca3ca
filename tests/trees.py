# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory tree as a value: two trees are the same when their pictures are equal."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ABSENT = "absent"


class Entry(NamedTuple):
    """All that there is to know of one path; `content` is a digest, or where a link leads."""

    mode: int
    owner: tuple[int, int]
    device: int
    content: str
    modified: int
    attributes: tuple[tuple[str, bytes], ...]


Picture = dict[str, Entry]


def picture(root: Path) -> Picture:
    """Every path of a tree, the root being "."."""
    return {str(path.relative_to(root)): _entry(path) for path in (root, *_walk(root))}


def changes(before: Picture, after: Picture) -> list[str]:
    """The paths that differ, for a message that can be read."""
    return sorted(
        path
        for path in before.keys() | after.keys()
        if before.get(path, ABSENT) != after.get(path, ABSENT)
    )


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in folders + files)


def _entry(path: Path) -> Entry:
    state = path.lstat()
    content = ""
    if stat.S_ISLNK(state.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(state.st_mode):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    names = os.listxattr(path, follow_symlinks=False)
    return Entry(
        mode=state.st_mode,
        owner=(state.st_uid, state.st_gid),
        device=state.st_rdev,
        content=content,
        modified=state.st_mtime_ns,
        attributes=tuple(
            (name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names)
        ),
    )
