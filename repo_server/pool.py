# SPDX-License-Identifier: GPL-2.0-or-later
"""The pool: every package once, by its digest, in a folder; `pool_s3` has one in a bucket."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from opkg.files import sha256_file
from repo_server.disk import flush_all

# How the URLs of buckets begin.
_BUCKETS = "s3://"


class Pool(ABC):
    """Has files by their SHA-256, and lets places in the tree lead to them."""

    @abstractmethod
    def put(self, files: Mapping[str, Path]) -> None:
        """Move files in, by their digests; when this returns, they stay."""

    @abstractmethod
    def show(self, sha256: str, place: Path) -> None:
        """Let a place lead to a file, in the stead of what may be there."""

    @abstractmethod
    def mend(self, sha256: str, place: Path) -> None:
        """Put right what is missing or damaged, in the pool or at a place of one of its files, as
        far as the other of the two is whole."""

    @abstractmethod
    def sweep(self, known: Collection[str]) -> tuple[int, int]:
        """Remove all but the `known` files, and return how many files and bytes that were."""


class FolderPool(Pool):
    """Files are `<ab>/<sha256>` in a folder, and hard links at their places."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where a file is."""
        return self.folder / sha256[:2] / sha256

    def put(self, files: Mapping[str, Path]) -> None:
        placed: set[Path] = set()
        for sha256, file in files.items():
            place = self.path(sha256)
            # As it is where another source package has the same: the tree has links to that one.
            if not place.exists() or sha256_file(place) != sha256:
                place.parent.mkdir(parents=True, exist_ok=True)
                file.chmod(0o444)
                file.rename(place)
                placed |= {place, place.parent, self.folder}
        flush_all(placed)

    def show(self, sha256: str, place: Path) -> None:
        _link(self.path(sha256), place)

    def mend(self, sha256: str, place: Path) -> None:
        pooled = self.path(sha256)
        if place.exists() and pooled.exists() and place.samefile(pooled):
            return
        for good, bad in ((pooled, place), (place, pooled)):
            if good.exists() and sha256_file(good) == sha256:
                bad.parent.mkdir(parents=True, exist_ok=True)
                _link(good, bad)

    def sweep(self, known: Collection[str]) -> tuple[int, int]:
        files = freed = 0
        for path in files_in(self.folder):
            if path.name not in known:
                files, freed = files + 1, freed + path.stat().st_size
                path.unlink()
        return files, freed


def _link(origin: Path, place: Path) -> None:
    """Make a place a hard link of a file, at once."""
    try:
        os.link(origin, place)
    except FileExistsError:
        if not place.exists() or not place.samefile(origin):
            fresh = place.with_name(f".{place.name}")
            fresh.unlink(missing_ok=True)
            os.link(origin, fresh)
            fresh.replace(place)


def url_of(place: Path) -> str:
    """The URL of the object that a place of a tree leads to; empty where the file is there."""
    try:
        link = os.readlink(place)  # noqa: PTH115 (a Path would have one slash of “s3://” only)
    except OSError:
        return ""
    return link if link.startswith(_BUCKETS) else ""


def files_in(folder: Path) -> Iterator[Path]:
    """All files below a folder."""
    for top, _, names in os.walk(folder):
        yield from (Path(top, name) for name in names)
