# SPDX-License-Identifier: GPL-2.0-or-later
"""Files on their way in over HTTP: each in a folder of its own below uploads/, which only grows,
byte by byte, until it is as long as was said at the start."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from opkg.document import decode, encode
from opkg.errors import OpkgError
from opkg.files import locked, sha256_file, write_atomic
from opkg.target import known_targets
from repo_server.problems import RefusedError
from repo_server.repository import FullDiskError, Repository, check_channel, is_full

# The largest file that is taken, of documents that are read whole the largest, and how many
# uploads a token may have begun.
LIMIT = 8 << 30
DOCUMENT_LIMIT = 16 << 20
OPEN = 1000
# What is left of uploads is removed when nothing came for as long, in seconds.
STALE = 24 * 3600

_ABOUT = "meta.json"

# In this folder, the lock of whoever publishes, and how the folders of completions begin.
_TURN = ".turn"
WORKPLACE = "batch-"

_PIECE = 1 << 18
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{32}")
_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.+:~^-]{0,199}"
# One folder, so that the manifests of several targets can come together.
_NAME = re.compile(f"(?:{_WORD}/)?{_WORD}")


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was announced: `owner` is the ID of a token; `target` may be empty."""

    id: str
    owner: str
    channel: str
    target: str
    name: str
    size: int
    sha256: str


def folder(repository: Repository) -> Path:
    """Where uploads are: never served, closed to others."""
    path = repository.directory / "uploads"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def begin(
    repository: Repository,
    owner: str,
    *,
    channel: str,
    name: str,
    size: int,
    sha256: str,
    target: str = "",
) -> Upload:
    """Announce a file, or find the same one announced before. Raises OpkgError for one that could
    not be taken in."""
    check_channel(channel)
    if target:
        known_targets().find(target)
    check_name(name)
    if not _DIGEST.fullmatch(sha256):
        raise OpkgError("this is no SHA-256", hint="it has 64 hexadecimal digits, in small letters")
    check_size(name, size)
    words = "\0".join([owner, channel, target, name, str(size), sha256])
    upload = Upload(
        # The same file has the same ID: a client needs no memory to go on.
        id=hashlib.sha256(words.encode()).hexdigest()[:32],
        owner=owner,
        channel=channel,
        target=target,
        name=name,
        size=size,
        sha256=sha256,
    )
    place = folder(repository) / upload.id
    if not (place / _ABOUT).exists():
        _check_room(repository, owner, size)
        place.mkdir(mode=0o700, exist_ok=True)
        try:
            (place / "data").touch()
            # Last, since it makes the upload known.
            write_atomic(place / _ABOUT, encode(upload), mode=0o600)
        except OSError:
            remove(repository, upload)
            raise
    return upload


def check_name(name: str) -> None:
    """Raise OpkgError unless `name` is that of a file, with at most one folder."""
    if not _NAME.fullmatch(name):
        raise OpkgError(
            f"“{name}” cannot name an upload",
            hint="letters, digits and _ . + : ~ ^ - make a name, after at most one folder",
        )


def check_size(name: str, size: int) -> None:
    """Raise RefusedError for a file that is too large."""
    limit = DOCUMENT_LIMIT if name.endswith((".json", ".dsc", ".changes")) else LIMIT
    if size > limit:
        raise RefusedError(413, f"{name} has {size} bytes, and {limit} are the limit")


def find(repository: Repository, owner: str, number: str) -> Upload:
    """An upload of this owner by its ID. Raises RefusedError where there is none."""
    path = folder(repository) / number / _ABOUT
    if _ID.fullmatch(number) and path.exists():
        upload = decode(path.read_bytes(), Upload, where="upload")
        if upload.owner == owner:
            return upload
    raise RefusedError(404, f"there is no upload {number}", hint="begin it, and send it again")


def data(repository: Repository, upload: Upload) -> Path:
    """The file with what has come."""
    return folder(repository) / upload.id / "data"


def received(repository: Repository, upload: Upload) -> int:
    """How many bytes have come."""
    return data(repository, upload).stat().st_size


def write(
    repository: Repository, upload: Upload, offset: int, length: int, stream: IO[bytes]
) -> int:
    """Take `length` bytes of the file from a stream, which belong at `offset`, and return how many
    bytes of the file are there now. What is there already must be the same. Raises RefusedError."""
    if offset + length > upload.size:
        raise RefusedError(
            413, f"{upload.name} has {upload.size} bytes: these would end at {offset + length}"
        )
    handle = os.open(data(repository, upload), os.O_RDWR | os.O_NOFOLLOW)
    try:
        left = length
        while left and (piece := stream.read(min(_PIECE, left))):
            _write_piece(handle, upload, offset, piece)
            offset, left = offset + len(piece), left - len(piece)
        return os.fstat(handle).st_size
    except OSError as error:
        if not is_full(error):
            raise
        remove(repository, upload)
        raise FullDiskError("the disk is full; nothing was kept") from error
    finally:
        os.close(handle)


def _write_piece(handle: int, upload: Upload, offset: int, piece: bytes) -> None:
    # For a piece alone: whoever stalls keeps nobody from going on with a new connection.
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        have = os.fstat(handle).st_size
        if offset > have:
            raise RefusedError(
                416,
                f"{upload.name} has come as far as {have}, and these bytes begin at {offset}",
                hint="HEAD says where to go on",
            )
        there = os.pread(handle, min(len(piece), have - offset), offset)
        if piece[: len(there)] != there:
            raise RefusedError(
                409,
                f"{upload.name} has other bytes at {offset} already",
                hint="did the file change? DELETE the upload, then begin again",
            )
        rest = piece[len(there) :]
        while rest:
            rest = rest[os.pwrite(handle, rest, os.fstat(handle).st_size) :]
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


def verify(repository: Repository, upload: Upload) -> None:
    """Raise RefusedError unless the whole file has come, with its digest. A wrong one is gone."""
    have = received(repository, upload)
    if have != upload.size:
        raise RefusedError(
            422,
            f"{upload.name} is not whole: {have} of {upload.size} bytes have come",
            hint="send the rest: HEAD says where to go on",
        )
    found = sha256_file(data(repository, upload))
    if found != upload.sha256:
        remove(repository, upload)
        raise RefusedError(
            422,
            f"{upload.name} has SHA-256 {found}, announced was {upload.sha256}",
            hint="nothing was kept: send it again",
        )


def remove(repository: Repository, upload: Upload) -> None:
    """Forget an upload."""
    # First what makes it known, for whoever finds the rest.
    data(repository, upload).with_name(_ABOUT).unlink(missing_ok=True)
    shutil.rmtree(folder(repository) / upload.id, ignore_errors=True)


@contextmanager
def workplace(repository: Repository) -> Iterator[Path]:
    """A folder for one completion, which ends with it. Its lock says that the process lives."""
    # Hidden until it is locked.
    hidden = Path(tempfile.mkdtemp(prefix=f".{WORKPLACE}", dir=folder(repository)))
    handle = os.open(hidden, os.O_RDONLY)
    place = hidden.with_name(hidden.name[1:])
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        hidden.rename(place)
        yield place
    finally:
        # Hidden again, all at once: nobody may see a part of it.
        with suppress(FileNotFoundError):
            place.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
        os.close(handle)


@contextmanager
def turn(repository: Repository) -> Iterator[None]:
    """Look after the folders of completions, alone; those whose process was killed are gone."""
    with locked(folder(repository) / _TURN):
        for place in folder(repository).glob(f"{WORKPLACE}*"):
            # It may end just now.
            with suppress(FileNotFoundError, BlockingIOError):
                handle = os.open(place, os.O_RDONLY)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(place, ignore_errors=True)
                finally:
                    os.close(handle)
        yield


def clean(repository: Repository) -> int:
    """Remove what is left of uploads that nothing came for since yesterday; how many there were.
    What killed completions left is removed at any age."""
    with turn(repository):
        pass
    oldest = time.time() - STALE
    removed = 0
    for entry in folder(repository).iterdir():
        if entry.name == _TURN or _newest(entry) > oldest:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
        removed += 1
    return removed


def _newest(entry: Path) -> float:
    """When something came last; now, for what is just being removed."""
    try:
        return max(file.lstat().st_mtime for file in (entry, *entry.rglob("*")))
    except FileNotFoundError:
        return time.time()


def _begun(repository: Repository) -> Iterator[tuple[Upload, int]]:
    """All uploads, and how many bytes of each are still to come."""
    for path in folder(repository).glob(f"*/{_ABOUT}"):
        with suppress(FileNotFoundError):  # one that is just being removed
            upload = decode(path.read_bytes(), Upload, where="upload")
            yield upload, upload.size - received(repository, upload)


def _check_room(repository: Repository, owner: str, size: int) -> None:
    others = list(_begun(repository))
    if sum(other.owner == owner for other, _ in others) >= OPEN:
        raise RefusedError(
            429, f"{OPEN} uploads are open", hint="complete some, or DELETE what is not wanted"
        )
    promised = sum(left for _, left in others)
    # Packages are copied once on their way from here to the pool.
    if promised + 2 * size > shutil.disk_usage(repository.directory).free:
        raise FullDiskError(f"there is no room for {size} bytes; nothing was kept")
