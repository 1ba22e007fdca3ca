# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching package files: several at a time, resumed where they broke off, from another mirror when
one fails, each checked before it gets its name, into a cache that many processes may share."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from opkg.errors import IntegrityError, OpkgError
from opkg.files import locked, sha256_file

_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 19
_SMALL_CHUNK = 1 << 16  # two seconds of a link of 256 kbit/s: progress is to move there
_FAST = 0.1  # seconds for a small one, on a link where large ones cost less
_AT_A_TIME = 10
_ROUNDS = 2  # how often each mirror is tried
# Told of bytes as they come: of which file, and how many; fewer than none when it starts over.
Progress = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A file to fetch: where it is to be had, the best place first, what it must be, and its name
    here."""

    urls: tuple[str, ...]
    size: int
    sha256: str
    name: str


@dataclass(frozen=True)
class _Speeds:
    """What each host has been seen to do, in bytes a second; nothing for one that failed."""

    seen: dict[str, float] = field(default_factory=dict)

    def best_first(self, urls: Sequence[str]) -> list[str]:
        """The untried first, in their order, so that they are measured; then by speed."""
        return sorted(urls, key=lambda url: -self.seen.get(urlsplit(url).netloc, float("inf")))

    def note(self, url: str, count: int, seconds: float) -> None:
        self.seen[urlsplit(url).netloc] = count / max(seconds, 1e-6)


@dataclass
class _Told:
    """Tells of the bytes of one attempt, and takes that back when it fails."""

    name: str
    progress: Progress
    count: int = 0

    def add(self, count: int) -> None:
        self.count += count
        self.progress(self.name, count)

    def take_back(self) -> None:
        self.progress(self.name, -self.count)


class _Refused(Exception):  # noqa: N818 (not an error yet: there may be another mirror)
    """One attempt to get a file failed; `damaged` says that something else came."""

    def __init__(self, reason: str, *, damaged: bool = False) -> None:
        super().__init__(reason)
        self.damaged = damaged


def fetch_all(
    wishes: Sequence[Wish], folder: Path, cache: Path, progress: Progress, *, offline: bool = False
) -> list[Path]:
    """Fetch files into a folder, a few at a time, by way of the folder `cache`, which keeps them.

    Raises IntegrityError for a file that is at no mirror what it must be, OpkgError for one that
    can be fetched from none, or is not in the cache when `offline`; no half file is left under its
    name, and what came of it is gone on from the next time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    if offline:
        lacking = [wish.name for wish in wishes if not _is_whole(cache / wish.sha256, wish)]
        if lacking:
            raise OpkgError(
                f"not in the cache: {', '.join(lacking)}", hint="fetch it once without --offline"
            )
    speeds, sessions = _Speeds(), threading.local()

    def fetch(wish: Wish) -> Path:
        kept = cache / wish.sha256
        # Somebody else may be fetching the same.
        with locked(cache / f"{wish.sha256}.lock"):
            if _is_whole(kept, wish):
                progress(wish.name, wish.size)
            else:
                if not hasattr(sessions, "own"):
                    sessions.own = requests.Session()
                _fetch(sessions.own, wish, kept, speeds, progress)
        return _hand_over(kept, folder / wish.name)

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        jobs = [pool.submit(fetch, wish) for wish in wishes]
        try:
            return [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _hand_over(kept: Path, path: Path) -> Path:
    """Give a file of the cache its name in the caller's folder. They share their bytes where they
    are on one file system: whoever changes them there only makes the cache fetch the file anew."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        part.hardlink_to(kept)
    except OSError:
        shutil.copyfile(kept, part)
    part.replace(path)
    part.unlink(missing_ok=True)  # two names of one file: then the one is not replaced
    return path


def _is_whole(path: Path, wish: Wish) -> bool:
    return path.is_file() and path.stat().st_size == wish.size and sha256_file(path) == wish.sha256


def _fetch(
    session: requests.Session, wish: Wish, kept: Path, speeds: _Speeds, progress: Progress
) -> None:
    """Fetch a file from the first mirror that has it, going on where another broke off."""
    part = kept.with_suffix(".part")
    reasons: dict[str, _Refused] = {}
    for url in speeds.best_first(wish.urls) * _ROUNDS:
        begun = time.monotonic()
        told = _Told(wish.name, progress)
        try:
            count = _receive(session, url, wish, part, told)
        except (_Refused, requests.RequestException) as error:
            reasons[url] = error if isinstance(error, _Refused) else _Refused(str(error))
            speeds.note(url, 0, 1)
            told.take_back()
            continue
        speeds.note(url, count, time.monotonic() - begun)
        part.replace(kept)
        _tag(part).unlink(missing_ok=True)
        return
    where = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
    if all(reason.damaged for reason in reasons.values()):
        raise IntegrityError(
            "it is not what was signed",
            where=where,
            hint="it was changed on the way or at the server; nothing was kept",
        )
    raise OpkgError(f"{wish.name} cannot be fetched", where=where, hint="try again: it is resumed")


def _tag(part: Path) -> Path:
    """Beside a part of a file that broke off: where it came from, and what the server calls this
    version. Of what was killed there is none; then the digest tells, in the end."""
    return part.with_suffix(".tag")


def _receive(session: requests.Session, url: str, wish: Wish, part: Path, told: _Told) -> int:
    """Bring `part` to the whole file, and return how many bytes came. Raises _Refused."""
    have = part.stat().st_size if part.exists() else 0
    digest = hashlib.sha256()
    if have <= wish.size:
        _hash(part, digest)
    if have == wish.size and digest.hexdigest() == wish.sha256:
        told.add(have)
        return 0
    if have >= wish.size:  # too long, or whole and wrong
        have = 0
    came = 0
    with session.get(url, stream=True, timeout=_TIMEOUT, headers=_range(url, part, have)) as reply:
        if reply.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink(missing_ok=True)
            raise _Refused("the server has less of it than came before")
        reply.raise_for_status()
        resumed = reply.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not have or reply.status_code != requests.codes.partial_content or not resumed:
            have, digest = 0, hashlib.sha256()
        told.add(have)
        try:
            with part.open("ab") as out:
                out.truncate(have)
                for chunk in _chunks(reply):
                    came += len(chunk)
                    if have + came > wish.size:
                        break
                    out.write(chunk)
                    digest.update(chunk)
                    told.add(len(chunk))
        finally:
            if have + came < wish.size:
                _tag(part).write_text(f"{url}\n{reply.headers.get('ETag', '')}")
    if have + came < wish.size:
        raise _Refused(f"it broke off after {have + came} of {wish.size} bytes")
    if have + came > wish.size or digest.hexdigest() != wish.sha256:
        part.unlink()
        what = "longer than" if have + came > wish.size else "another file than"
        raise _Refused(f"it is {what} what is signed", damaged=not have)
    return came


def _chunks(reply: requests.Response) -> Iterator[bytes]:
    """What comes: little at a time, and more once that comes fast."""
    begun = time.monotonic()
    for chunk in reply.iter_content(_SMALL_CHUNK):
        yield chunk
        if time.monotonic() - begun < _FAST:
            break
        begun = time.monotonic()
    else:
        return
    yield from reply.iter_content(_CHUNK)


def _hash(part: Path, digest: hashlib._Hash) -> None:
    """Take what came before into a digest."""
    if part.exists():
        with part.open("rb") as stream:
            while data := stream.read(_CHUNK):
                digest.update(data)


def _range(url: str, part: Path, have: int) -> dict[str, str]:
    """The headers that ask for the rest of a file (RFC 9110, 13.1.5): of the same version, where
    the server that began it named that in a way that can be relied on. Another mirror has other
    names; there the digest tells."""
    headers = {"Accept-Encoding": "identity"}
    if not have:
        return headers
    headers["Range"] = f"bytes={have}-"
    origin, _, tag = _tag(part).read_text().partition("\n") if _tag(part).exists() else ("", "", "")
    if origin == url and tag and not tag.startswith("W/"):
        headers["If-Range"] = tag
    return headers
