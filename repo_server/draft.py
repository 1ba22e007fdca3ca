# SPDX-License-Identifier: GPL-2.0-or-later
"""A generation while it is being made: small files are written, the rest is linked."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path

from repo_server.disk import flush_all
from repo_server.openpgp import Keyring
from repo_server.repository import Repository

# Parts of lists that are taken together: some megabytes.
_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Digest:
    """What metadata say of a file."""

    size: int
    sha256: str


def measure(parts: Iterable[bytes]) -> Digest:
    """The digest of what `parts` give together, made by a thread while the next ones are read."""
    digest, size = hashlib.sha256(), 0

    def take(batch: Sequence[bytes]) -> int:
        for part in batch:
            digest.update(part)
        return sum(map(len, batch))

    parts = iter(parts)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(take, ())
        # Another thread is told only of so much that it is worth it.
        while batch := list(islice(parts, _BATCH)):
            size += under_way.result()
            under_way = pool.submit(take, batch)
        size += under_way.result()
    return Digest(size=size, sha256=digest.hexdigest())


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The generation `number` of a repository, in the making, with the `date` and the end that
    all its metadata bear. `before` is the tree that is live. `lasting` collects the files whose
    names change with their content; `written` are files, and `filled` folders, that are not yet on
    the disk for sure, and `made` the folders that there are."""

    repository: Repository
    keys: Keyring
    number: int
    date: datetime
    valid_until: datetime
    before: Path
    lasting: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    filled: set[Path] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    @cached_property
    def root(self) -> Path:
        """The folder that becomes the generation."""
        return self.repository.generation(self.number)

    def write(self, path: str, data: bytes | str, *, lasting: bool = False) -> None:
        """Write a file. A lasting one stays in later generations, for clients that still hold
        the metadata which name it."""
        self.write_parts(path, [data.encode() if isinstance(data, str) else data])
        if lasting:
            self.lasting.append(path)

    def write_parts(self, path: str, parts: Iterable[bytes]) -> Digest:
        """Write a file that may be too large to be held at once."""
        place = self._place(path)
        digest, size = hashlib.sha256(), 0
        with place.open("wb") as stream:
            for part in parts:
                digest.update(part)
                size += stream.write(part)
        _date_after(place, self.before / path)
        self.written.append(place)
        return Digest(size=size, sha256=digest.hexdigest())

    def write_named(self, folder: str, name: str, parts: Iterable[bytes]) -> tuple[str, Digest]:
        """Write a lasting file into `folder` under its digest and `name`, which may start with -
        or a dot; return its path and digest."""
        digest = self.write_parts(f"{folder}/.new", parts)
        path = f"{folder}/{digest.sha256}{name}"
        self.written[-1] = self.written[-1].rename(self.root / path)
        self.lasting.append(path)
        return path, digest

    def link(self, path: str, origin: Path | str) -> None:
        """Give the file `origin` the name `path` in the tree, if nothing has it yet."""
        self._make_folder(path)
        with contextlib.suppress(FileExistsError):
            # There are many of them, so without a Path for each.
            os.link(origin, f"{self.root}/{path}")

    def share(self, path: str) -> None:
        """Let `path` lead to the folder of packages that all generations share."""
        place, shared = self._place(path), self.repository.packages / path
        shared.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(shared, place.parent))

    def share_package(self, path: str, sha256: str) -> None:
        """Put a package of the pool into those folders, in the place of what a publication that
        was killed may have left there by that name."""
        place = self.repository.packages / path
        if place.parent not in self.filled:
            place.parent.mkdir(parents=True, exist_ok=True)
        self.repository.pool.show(sha256, place)
        self.filled.add(place.parent)

    def take_over(self, folder: str, lasting: Iterable[str]) -> None:
        """Take a folder of the live tree as it is; `lasting` are that tree's lasting files."""
        origin = self.before / folder
        for top, _, names in os.walk(origin):
            place = f"{folder}/{os.path.relpath(top, origin)}"
            for name in names:
                self.link(os.path.normpath(f"{place}/{name}"), f"{top}/{name}")
        self.lasting.extend(path for path in lasting if path.startswith(f"{folder}/"))

    def settle(self) -> None:
        """See that all is on the disk before something points to it."""
        flush_all({*self.written, *(path.parent for path in self.written), *self.filled})

    def _place(self, path: str) -> Path:
        self._make_folder(path)
        return self.root / path

    def _make_folder(self, path: str) -> None:
        """See that the folder of a file is there."""
        folder = path.rpartition("/")[0]
        if folder not in self.made:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            self.made.add(folder)


def _date_after(path: Path, old: Path) -> None:
    """See that a client which has `old`, and asks whether there is anything since (RFC 9110,
    13.1.3: in whole seconds), is given `path`."""
    with contextlib.suppress(FileNotFoundError):
        second = int(old.stat().st_mtime)
        if int(path.stat().st_mtime) <= second:
            os.utime(path, (second + 1, second + 1))
