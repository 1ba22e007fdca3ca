# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching the files of another repository: several at a time, gone on with at the byte where they
broke off, each checked before it counts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests_file import FileAdapter
from urllib3.exceptions import HTTPError

from opkg.errors import IntegrityError, OpkgError
from opkg.files import write_atomic
from repo_server.repository import Progress

_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 17
_AT_A_TIME = 8
_TRIES = 3
# Of what is read before its size is known: signed documents, and signatures.
_LIMIT = 16 << 20
# Weaker ones vouch for nothing.
ALGORITHMS = ("sha256", "sha384", "sha512")
_GONE = (requests.codes.not_found, requests.codes.gone)
_HEX = re.compile("[0-9a-f]{64,128}")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A file that signed metadata name: the paths at which it is there, and will be here, and what
    it must be. Raises IntegrityError for a path that leads elsewhere or a digest that is none."""

    paths: tuple[str, ...]
    size: int
    algorithm: str
    digest: str

    def __post_init__(self) -> None:
        for path in self.paths:
            check_path(path)
        if self.algorithm not in ALGORITHMS or not _HEX.fullmatch(self.digest):
            raise IntegrityError(
                f"named by a digest that vouches for nothing: {self.algorithm}",
                where=self.paths[0],
                hint=f"a repository is mirrored that has one of {', '.join(ALGORITHMS)}",
            )

    def is_in(self, path: Path) -> bool:
        """Whether the file `path` is this one."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, self.algorithm).hexdigest() == self.digest


def check_path(path: str) -> None:
    """Raise IntegrityError unless `path` stays within the repository that names it."""
    steps = path.split("/")
    if any(step in ("", ".", "..") or not step.isprintable() for step in steps) or "\\" in path:
        raise IntegrityError(
            f"it names a file outside of itself: “{path}”",
            hint="nothing of it is used; ask whoever runs the repository",
        )


@dataclass(frozen=True, kw_only=True)
class Store:
    """Files by their digests, each whole and checked. A part of one has .part behind its name."""

    folder: Path

    def path(self, wanted: Wanted) -> Path:
        return self.folder / wanted.digest[:2] / wanted.digest

    def lacking(self, files: Iterable[Wanted]) -> list[Wanted]:
        """Those that are not here, each content once."""
        found = {wanted.digest: wanted for wanted in files}
        return [wanted for wanted in found.values() if not self.path(wanted).exists()]

    def sweep(self, needed: set[str]) -> None:
        """Remove what is not among the digests `needed`, and parts of such files."""
        for path in self.folder.glob("??/*"):
            if path.name.partition(".")[0] not in needed:
                path.unlink()


class Upstream:
    """Another repository, at an http, https or file address."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # All of it is on one host.
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_AT_A_TIME))
        # Only for a folder: a server's redirection must not lead to files of this machine.
        if self.url.startswith("file://"):
            self._session.mount("file://", FileAdapter())

    def address(self, path: str) -> str:
        return f"{self.url}/{quote(path, safe='/+~:@')}"

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none. Raises OpkgError where nobody answers."""
        check_path(path)
        try:
            with self._session.get(self.address(path), stream=True, timeout=_TIMEOUT) as reply:
                if reply.status_code in _GONE:
                    return None
                reply.raise_for_status()
                data = b""
                for chunk in reply.iter_content(_CHUNK):
                    data += chunk
                    if len(data) > _LIMIT:
                        raise IntegrityError("far larger than it can be", where=self.address(path))
                return data
        except requests.RequestException as error:
            raise self._trouble(path, _reason(error)) from error

    def need(self, path: str) -> bytes:
        """A small file that must be there. Raises OpkgError."""
        data = self.read(path)
        if data is None:
            raise OpkgError(
                "there is no such file", where=self.address(path), hint="is the address right?"
            )
        return data

    def fetch(self, files: Iterable[Wanted], store: Store, progress: Progress) -> list[Wanted]:
        """Bring what the store lacks into it, and return what is not there.

        Raises IntegrityError for a file that is not what it must be, OpkgError for one that does
        not come; what came of it is gone on with the next time.
        """
        lacking = store.lacking(files)
        if lacking:
            size = sum(wanted.size for wanted in lacking)
            progress(f"fetching {len(lacking)} files, {size / 1e6:.1f} MB …")
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            jobs = [pool.submit(self._fetch, wanted, store) for wanted in lacking]
            try:
                came = [job.result() for job in jobs]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [wanted for wanted, there in zip(lacking, came, strict=True) if not there]

    def _fetch(self, wanted: Wanted, store: Store) -> bool:
        """Bring one file into the store; false where it is at none of its paths."""
        place = store.path(wanted)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{wanted.digest}.part")
        for path in wanted.paths:
            if self._receive_patiently(path, wanted, part):
                part.chmod(0o444)
                part.replace(place)
                part.with_suffix(".tag").unlink(missing_ok=True)
                return True
        return False

    def _receive_patiently(self, path: str, wanted: Wanted, part: Path) -> bool:
        """Bring `part` to the whole file, going on where the connection broke; false where there
        is nothing at `path`."""
        reason, damaged = "", False
        for _ in range(_TRIES):
            try:
                if not self._receive(path, wanted, part):
                    return False
            except (requests.RequestException, HTTPError) as error:
                reason, damaged = _reason(error), False
                continue
            if wanted.is_in(part):
                return True
            size = part.stat().st_size if part.exists() else 0
            reason = f"it broke off after {size} of {wanted.size} bytes"
            if damaged := size >= wanted.size:
                part.unlink()
        if damaged:
            raise IntegrityError(
                "it is not the file that was signed",
                where=self.address(path),
                hint="it was changed on the way or at the server; nothing of it was kept",
            )
        raise self._trouble(path, reason)

    def _receive(self, path: str, wanted: Wanted, part: Path) -> bool:
        """Append what comes to `part`; false where there is nothing at `path`."""
        have = part.stat().st_size if part.exists() else 0
        if have >= wanted.size:
            have = 0
        headers = _range(part, have)
        with self._session.get(
            self.address(path), stream=True, timeout=_TIMEOUT, headers=headers
        ) as reply:
            if reply.status_code in _GONE:
                return False
            if reply.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink()
                return True
            reply.raise_for_status()
            # How long it must be is known here: what came before it broke off is kept.
            reply.raw.enforce_content_length = False
            resumed = reply.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if reply.status_code != requests.codes.partial_content or not resumed:
                have = 0
            write_atomic(part.with_suffix(".tag"), reply.headers.get("ETag", ""))
            # Written as it comes: who is killed has what came.
            with part.open("ab", buffering=0) as out:
                out.truncate(have)
                while chunk := reply.raw.read1(_CHUNK):
                    # One byte too many is enough to know.
                    out.write(chunk[: wanted.size + 1 - have])
                    have += len(chunk)
                    if have > wanted.size:
                        break
        return True

    def _trouble(self, path: str, reason: str) -> OpkgError:
        return OpkgError(
            f"cannot be fetched: {reason}",
            where=self.address(path),
            hint="does the server run? sync again: what came is kept",
        )


def _reason(error: BaseException) -> str:
    """The system's word for what broke, from below the layers of libraries; else the error's."""
    inner = error
    while cause := inner.__cause__ or inner.__context__:
        inner = cause
    told = inner.strerror if isinstance(inner, OSError) else ""
    return told or str(error)


def _range(part: Path, have: int) -> dict[str, str]:
    """The headers that ask for the rest of a file, of the same version (RFC 9110, 13.1.5)."""
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        tag = part.with_suffix(".tag")
        name = tag.read_text() if tag.exists() else ""
        if name and not name.startswith("W/"):
            headers["If-Range"] = name
    return headers


def check_address(url: str) -> None:
    """Raise OpkgError unless `url` is one that can be mirrored."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and url.isprintable()
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise OpkgError(
            f"“{url}” is no http or https address", hint="as in: https://host.example/debian"
        )
