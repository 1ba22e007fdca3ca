# SPDX-License-Identifier: GPL-2.0-or-later
"""Bringing a mirror up to date: read what the upstream signed, fetch what is new, and show it once
it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opkg.errors import IntegrityError, OpkgError
from opkg.files import locked, point
from opkg.index import Index
from opkg.target import known_targets
from repo_server.disk import flush_all
from repo_server.mirrors.apt import Archive, read_archive
from repo_server.mirrors.feed import feed
from repo_server.mirrors.fetch import Store, Upstream, Wanted
from repo_server.mirrors.listing import Listing
from repo_server.mirrors.mirror import Kind, Mirror, State, find
from repo_server.mirrors.own import read_channels
from repo_server.mirrors.rpm_md import read_folder
from repo_server.openpgp import verifier
from repo_server.repository import Progress, Repository, is_full

# Beside the copies: what the newest one has of its own, not for clients of the one before.
_FILES = "files.json"


def sync(
    repository: Repository, name: str, progress: Progress, *, source: Path | None = None
) -> State:
    """Bring a mirror up to date, from `source` where that is given: a folder that holds a copy of
    the upstream, and is trusted no more than it. Raises OpkgError; clients then see what they saw
    before, and what came is kept for the next time."""
    mirror = find(repository, name)
    url = f"file://{source.absolute()}" if source else mirror.settings.url

    def waiting() -> None:
        progress(f"waiting for another command that is changing the mirror {name} …")

    with locked(mirror.folder / "lock", waiting=waiting):
        before = mirror.state
        began = datetime.now(UTC).replace(microsecond=0).isoformat()
        started = msgspec.structs.replace(before, complete=False, began=began, error="")
        run = _Run(repository, mirror, Upstream(url), progress)
        try:
            mirror.note(started)
            state = run.bring(started)
            state = msgspec.structs.replace(state, complete=True, synced=began, lacking=0)
            mirror.note(state)
        except (OpkgError, OSError) as error:
            told = error if isinstance(error, OpkgError) else _unwritten(error, mirror)
            # On a full disk, the state that was noted says that it is not complete.
            with suppress(OSError):
                mirror.note(
                    msgspec.structs.replace(started, error=str(told), lacking=run.lacking())
                )
            if told is error:
                raise
            raise told from error
        return state


def _unwritten(error: OSError, mirror: Mirror) -> OpkgError:
    where = str(error.filename or mirror.folder)
    if is_full(error):
        return OpkgError("the disk is full", where=where, hint="make room, sync again")
    return OpkgError(f"cannot be written: {error.strerror}", where=where)


class _Run:
    """One synchronisation."""

    def __init__(
        self, repository: Repository, mirror: Mirror, upstream: Upstream, progress: Progress
    ) -> None:
        self._repository = repository
        self._mirror = mirror
        self._upstream = upstream
        self._progress = progress
        self._wanted: Sequence[Wanted] = ()

    def bring(self, state: State) -> State:
        """Do it, and return what became of `state`."""
        mirror, store = self._mirror, self._mirror.store
        self._progress(f"reading {self._upstream.url} …")
        listing, indexes = self._read(store)
        if mirror.settings.kind is not Kind.OPKG:  # TUF saw to that already
            _refuse_older(state.revisions, listing.revisions, self._upstream)
        state = msgspec.structs.replace(state, revisions=listing.revisions)
        if mirror.settings.into:
            return self._feed(state, listing, indexes)
        self._wanted = listing.files
        files = _placed(listing)
        gone = self._upstream.fetch(listing.files, store, self._progress)
        if gone:
            raise OpkgError(
                f"{len(gone)} files that its lists name are not there",
                where=self._upstream.address(gone[0].paths[0]),
                hint="it may be publishing: sync again later",
            )
        # A killed one may have shown more than it noted.
        number = max(state.generation, mirror.number)
        if not _shows(mirror, listing.documents):
            number += 1
            _show(mirror, number, listing.documents, files)
            store.sweep(
                {path.name for path in store.folder.glob("??/*") if path.stat().st_nlink > 1}
            )
        return msgspec.structs.replace(
            state,
            generation=number,
            valid_until=listing.valid_until,
            files=len(files) + len(listing.documents),
            size=sum(wanted.size for wanted in {one.digest: one for one in listing.files}.values()),
        )

    def _read(self, store: Store) -> tuple[Listing, tuple[Index, ...]]:
        mirror, settings = self._mirror, self._mirror.settings
        upstream, progress = self._upstream, self._progress
        if settings.kind is Kind.OPKG:
            root, memory = mirror.keys.read_bytes(), mirror.folder / "tuf"
            return read_channels(upstream, store, root, memory, settings.channels, progress)
        with verifier(mirror.keys) as signatures:
            if settings.kind is Kind.RPM:
                return read_folder(upstream, store, signatures, progress), ()
            native = (
                [known_targets().find(settings.target).native_architecture] if settings.into else []
            )
            archive = Archive(
                suites=settings.suites,
                components=settings.components,
                architectures=settings.architectures or tuple(native),
                sources=settings.sources,
            )
            return read_archive(archive, upstream, store, signatures, progress), ()

    def _feed(self, state: State, listing: Listing, indexes: Sequence[Index]) -> State:
        """Take what is new into the channel, and show it."""

        def fetch(wanted: Sequence[Wanted]) -> None:
            self._wanted = wanted
            if gone := self._upstream.fetch(wanted, self._mirror.store, self._progress):
                raise OpkgError(
                    "a file that its lists name is not there",
                    where=self._upstream.address(gone[0].paths[0]),
                )

        fed = feed(self._repository, self._mirror, listing, indexes, fetch, self._progress)
        # What the channel has needs no second copy.
        self._mirror.store.sweep({wanted.digest for wanted in listing.lists})
        return msgspec.structs.replace(
            state,
            generation=fed.generation or state.generation,
            valid_until=listing.valid_until,
            files=fed.files,
            size=fed.size,
        )

    def lacking(self) -> int:
        """How many files are not there yet, as far as the upstream's lists were read."""
        return len(self._mirror.store.lacking(self._wanted))


def _refuse_older(before: Mapping[str, int], now: Mapping[str, int], upstream: Upstream) -> None:
    """Raise IntegrityError where signed metadata are older than those that were taken before."""
    for path, number in now.items():
        if number < before.get(path, number):
            raise IntegrityError(
                f"what it signed is of {_said(number)}, older than what was taken before, of "
                f"{_said(before[path])}",
                where=upstream.address(path),
                hint="somebody shows an old copy, or the upstream is behind: sync again later; "
                "where it went back on purpose, remove the mirror and add it again",
            )


def _said(revision: int) -> str:
    """A revision for people: most are seconds since 1970, some just count."""
    if not 10**9 <= revision < 10**10:
        return f"revision {revision}"
    return datetime.fromtimestamp(revision, UTC).isoformat()


def _placed(listing: Listing) -> dict[str, Wanted]:
    """Every file by its path. Raises IntegrityError where two would be at one place, or one where
    another needs a folder."""
    found: dict[str, Wanted] = {}
    for wanted in listing.files:
        for path in wanted.paths:
            there = found.setdefault(path, wanted)
            if there.digest != wanted.digest or path in listing.documents:
                raise IntegrityError("it names two files by one path", where=path)
    folders = {
        str(parent) for path in (*found, *listing.documents) for parent in Path(path).parents
    }
    if clash := next((path for path in (*found, *listing.documents) if path in folders), None):
        raise IntegrityError("it names a file where others need a folder", where=clash)
    return found


def _shows(mirror: Mirror, documents: Mapping[str, bytes]) -> bool:
    """Whether clients see this state already."""
    paths = {mirror.shown / path: data for path, data in documents.items()}
    return all(path.is_file() and path.read_bytes() == data for path, data in paths.items())


def _show(
    mirror: Mirror, number: int, documents: Mapping[str, bytes], files: Mapping[str, Wanted]
) -> None:
    """Make a whole copy of hard links and let clients see it. What only the last one had stays in
    it, for a client that has just read that one's metadata."""
    root = mirror.generations / str(number)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    folders: set[Path] = {root}
    written = []
    for path, data in documents.items():
        written.append(_place(root, path, folders))
        written[-1].write_bytes(data)
    for path, wanted in files.items():
        os.link(mirror.store.path(wanted), _place(root, path, folders))
    listed = mirror.folder / _FILES
    before = msgspec.json.decode(listed.read_bytes(), type=list[str]) if listed.exists() else []
    for path in before:
        old = mirror.shown / path
        if path not in documents and old.is_file() and not (root / path).exists():
            os.link(old, _place(root, path, folders))
    flush_all([*written, *folders])
    point(mirror.shown, f"{mirror.generations.name}/{number}")
    flush_all([mirror.shown.parent])
    listed.write_bytes(msgspec.json.encode(list(files)))
    for folder in mirror.generations.iterdir():
        if folder.name != str(number):
            shutil.rmtree(folder)


def _place(root: Path, path: str, folders: set[Path]) -> Path:
    place = root / path
    if place.parent not in folders:
        place.parent.mkdir(parents=True, exist_ok=True)
        folders.add(place.parent)
    return place
