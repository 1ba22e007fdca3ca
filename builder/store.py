# SPDX-License-Identifier: GPL-2.0-or-later
"""The artifact store: what recipes gave, by the key of all that decided it. It lies in a folder or
in an S3 bucket, and serves other runs, other folders and other machines."""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from builder.cache import cache_path
from builder.job import Job
from builder.made import Made
from builder.scratch import scratch
from opkg.document import decode, encode
from opkg.errors import OpkgError
from opkg.files import sha256_file
from opkg.manifest import Artifact, InputPackage, Record, SourceFile

NONE = "none"  # the name of no store
ENTRY = "entry.json"
_GIGABYTE = 10**9


class Store(ABC):
    """Keeps sets of files by keys. A set is there as a whole, or not at all.

    All methods raise OSError or OpkgError where the store cannot be reached or written.
    """

    @abstractmethod
    def has(self, key: str) -> bool:
        """Whether there is a set of this key."""

    @abstractmethod
    def fetch(self, key: str, place: Path) -> bool:
        """Copy the set of this key into the new folder `place`; whether it was there."""

    @abstractmethod
    def put(self, key: str, files: Mapping[str, Path]) -> None:
        """Keep a set of files, by their relative names; ENTRY must be among them. One that is
        there already stays."""

    @abstractmethod
    def drop(self, key: str) -> None:
        """Forget a set."""


class FolderStore(Store):
    """A folder, for each set a folder. What was used least recently goes when it holds more than
    `limit` bytes."""

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder = folder
        self.limit = limit
        if folder.exists() and not folder.is_dir():
            raise OpkgError(
                "this is no folder, and no artifact store", where=str(folder), hint="--store FOLDER"
            )

    def has(self, key: str) -> bool:
        return (self.folder / key / ENTRY).is_file()

    def fetch(self, key: str, place: Path) -> bool:
        try:
            os.utime(self.folder / key)
            shutil.copytree(self.folder / key, place)
        except OSError:
            shutil.rmtree(place, ignore_errors=True)
            if self.has(key):
                raise
            # Not there, or thrown away by another process while it was copied.
            return False
        return True

    def put(self, key: str, files: Mapping[str, Path]) -> None:
        if self.has(key):
            return
        with scratch(self.folder) as work:
            fresh = work / key
            for name, path in files.items():
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, fresh / name)
            try:
                fresh.rename(self.folder / key)
            except OSError:
                if not self.has(key):  # another process may have been faster
                    raise
        self._bound(key)

    def drop(self, key: str) -> None:
        with scratch(self.folder) as work:
            if (self.folder / key).exists():
                (self.folder / key).rename(work / key)

    def _bound(self, newest: str) -> None:
        sets = [path for path in self.folder.iterdir() if not path.name.startswith(".")]
        sizes = {path: sum(each.stat().st_size for each in path.rglob("*")) for path in sets}
        total = sum(sizes.values())
        for path in sorted(sets, key=lambda path: path.stat().st_mtime):
            if total <= self.limit or path.name == newest:
                return
            self.drop(path.name)
            total -= sizes[path]


def open_store(place: str, gigabytes: float) -> Store | None:
    """The store at `place`: a folder, `s3://BUCKET/PREFIX`, NONE, or "" for the one in the cache.
    A folder is bound to a size. Raises OpkgError where it cannot be used."""
    if place == NONE:
        return None
    if place.startswith("s3://"):
        # Only here: it takes longer than a build with nothing to do.
        from builder.store_s3 import S3Store

        return S3Store(place)
    folder = Path(place).absolute() if place else cache_path("artifacts")
    return FolderStore(folder, gigabytes * _GIGABYTE)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a job made; whether lintian or rpmlint have looked at it."""

    artifacts: tuple[Artifact, ...]
    sources: tuple[SourceFile, ...]
    records: tuple[Record, ...]
    used: tuple[InputPackage, ...]
    linted: bool


def is_kept(job: Job) -> bool:
    """Whether a job's packages go into a store. Those without a recipe are made sooner than they
    are fetched."""
    return bool(job.recipe and job.recipe.package)


def put(store: Store, key: str, made: Made, *, linted: bool) -> None:
    """Keep what the job of a key made. Raises OSError or OpkgError."""
    entry = Entry(
        artifacts=tuple(artifact for artifact, _ in made.artifacts),
        sources=tuple(source for source, _ in made.sources),
        records=tuple(record for record, _ in made.records),
        used=made.used,
        linted=linted,
    )
    with tempfile.TemporaryDirectory() as work:
        document = Path(work, ENTRY)
        document.write_bytes(encode(entry))
        store.put(key, {ENTRY: document, **{file.file: path for file, path in made.files}})


def take(
    store: Store, key: str, place: Path, say: Callable[[str], None]
) -> tuple[Made, Entry] | None:
    """What a job of this key made, copied into the new folder `place`. One that is not whole is
    thrown away, and None returned as if it had not been there. Raises OSError or OpkgError."""
    if not store.fetch(key, place):
        return None
    try:
        entry = decode((place / ENTRY).read_bytes(), Entry, where=str(place))
        files: tuple[Artifact | SourceFile, ...] = (
            *entry.artifacts,
            *entry.sources,
            *entry.records,
        )
        bad = [each.file for each in files if not is_whole(place, each.file, each.sha256)]
    except (OSError, OpkgError):
        bad = [ENTRY]
    if bad:
        say(f"thrown away from the artifact store, for it was damaged: {key}, {', '.join(bad)}")
        store.drop(key)
        shutil.rmtree(place)
        return None
    made = Made(
        artifacts=tuple((each, place / each.file) for each in entry.artifacts),
        sources=tuple((each, place / each.file) for each in entry.sources),
        records=tuple((each, place / each.file) for each in entry.records),
        used=entry.used,
    )
    return made, entry


def is_whole(place: Path, file: str, sha256: str) -> bool:
    """Whether a set that was fetched into `place` has a file of this relative name, and it is the
    one that was put there."""
    name = PurePosixPath(file)
    inside = not name.is_absolute() and ".." not in name.parts
    return inside and (place / name).is_file() and sha256_file(place / name) == sha256
