# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching package files, each checked before it gets its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests

from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_file

_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 18
_AT_A_TIME = 4


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A file to fetch: where it is, what it must be, and its name here."""

    url: str
    size: int
    sha256: str
    name: str


def fetch_all(wishes: Sequence[Wish], folder: Path, progress: Callable[[int], None]) -> list[Path]:
    """Fetch files into a folder, a few at a time. What is there already and right is not fetched
    again. `progress` is told of bytes as they come.

    Raises IntegrityError for a file that is not what it must be, OpkgError for one that cannot
    be fetched; no half file is left under its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with requests.Session() as session, ThreadPoolExecutor(_AT_A_TIME) as pool:
        jobs = [pool.submit(_fetch, session, wish, folder, progress) for wish in wishes]
        return [job.result() for job in jobs]


def _fetch(
    session: requests.Session, wish: Wish, folder: Path, progress: Callable[[int], None]
) -> Path:
    path = folder / wish.name
    if path.is_file() and path.stat().st_size == wish.size and sha256_file(path) == wish.sha256:
        progress(wish.size)
        return path
    part = path.with_name(f".{wish.name}.part")
    try:
        digest = _receive(session, wish, part, progress)
        if digest != wish.sha256:
            raise IntegrityError(
                f"its SHA-256 is {digest}, not {wish.sha256} as signed",
                where=wish.url,
                hint="it was changed on the way or at the server; nothing was kept",
            )
        part.replace(path)
    except requests.RequestException as error:
        raise OpkgError(f"cannot be fetched: {error}", where=wish.url) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _receive(
    session: requests.Session, wish: Wish, part: Path, progress: Callable[[int], None]
) -> str:
    """Write what the server sends to `part`, never more than was signed; returns its SHA-256."""
    digest, received = hashlib.sha256(), 0
    with session.get(wish.url, stream=True, timeout=_TIMEOUT) as response, part.open("wb") as out:
        response.raise_for_status()
        for chunk in response.iter_content(_CHUNK):
            received += len(chunk)
            if received > wish.size:
                raise IntegrityError(
                    f"it is longer than the {wish.size} bytes that are signed", where=wish.url
                )
            digest.update(chunk)
            out.write(chunk)
            progress(len(chunk))
    return digest.hexdigest()
