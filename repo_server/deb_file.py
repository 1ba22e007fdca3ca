# SPDX-License-Identifier: GPL-2.0-or-later
"""A .deb as a file (deb(5)): an archive of ar(1) with two compressed archives of tar(1). Somebody
may have made it to do harm, so nothing in it decides how much memory is used."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import zstandard
from debian.arfile import ArError, ArFile

# What the control archive may unpack to, and the most that is read at once: of such a size would
# be the name of a file in the other one, or the control file, which the lists repeat.
CONTROL = 16 << 20
_AT_ONCE = 1 << 20
# What the names of all of its files may have together.
_NAMES = 64 << 20

# The sizes of what ar(1) puts before all, and before each member.
_MAGIC, _HEADER = 8, 60

DAMAGES = (
    ArError,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    zstandard.ZstdError,
    EOFError,
    OSError,
    ValueError,
)

_OPEN: dict[str, Callable[[Any], Any]] = {
    "": lambda member: member,
    ".gz": lambda member: gzip.GzipFile(fileobj=member),
    ".xz": lzma.LZMAFile,
    ".lzma": lzma.LZMAFile,
    ".bz2": bz2.BZ2File,
    ".zst": lambda member: zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
        member, read_across_frames=True
    ),
}


@dataclass(frozen=True, kw_only=True)
class DebFile:
    """What is in a .deb: the text of its file `control`, and the paths of all that it installs
    but folders, without a slash before them."""

    control: str
    paths: tuple[str, ...]


def read(path: Path) -> DebFile:
    """Read a .deb, every byte of it, to where the checksums are. Raises one of DAMAGES."""
    with path.open("rb") as file:
        archive = ArFile(fileobj=file)
        names = [member.name for member in archive.members]
        if names[:1] != ["debian-binary"]:
            raise ValueError("it does not begin with debian-binary")
        end = _MAGIC
        for member in archive.members:
            end += end % 2 + _HEADER + member.size
        if end > path.stat().st_size:
            raise ValueError("its end is missing")
        text = _control(_part(archive, "control.tar"))
        paths = _paths(_part(archive, "data.tar"))
    return DebFile(control=text, paths=paths)


class _Guarded:
    """A stream that only goes on, gives `limit` bytes in all, and little at once."""

    def __init__(self, stream: IO[bytes], limit: int | None) -> None:
        self._stream = stream
        self._limit = limit
        self._place = 0

    def read(self, size: int = -1) -> bytes:
        if size > (self._limit or _AT_ONCE) or size < 0:
            raise ValueError("it holds a name that is too long")
        data = b""
        # A decompressor may give less than was asked for.
        while len(data) < size and (more := self._stream.read(size - len(data))):
            data += more
        self._place += len(data)
        if self._limit and self._place > self._limit:
            raise ValueError(f"its control archive unpacks to more than {self._limit >> 20} MB")
        return data

    def seek(self, place: int) -> int:
        if place < self._place:
            raise ValueError("its archive leads back")
        while self._place < place:
            if not self.read(min(place - self._place, _AT_ONCE)):
                break
        return self._place

    def tell(self) -> int:
        return self._place


def _part(archive: ArFile, name: str) -> IO[bytes]:
    """The unpacked stream of one of the two archives."""
    found = [member for member in archive.members if member.name.startswith(name)]
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} archives {name}")
    opener = _OPEN.get(found[0].name.removeprefix(name))
    if opener is None:
        raise ValueError(f"nobody can unpack its {found[0].name}")
    return cast("IO[bytes]", opener(found[0]))


def _control(stream: IO[bytes]) -> str:
    guarded = _Guarded(stream, CONTROL)
    text = None
    with tarfile.open(fileobj=cast("IO[bytes]", guarded), mode="r:") as archive:
        while member := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # its list of what was
            if member.name.removeprefix("./") == "control" and member.isfile() and text is None:
                if member.size > _AT_ONCE:
                    raise ValueError("its control file is too long")
                text = guarded.read(member.size).decode()
    _drain(guarded)
    if text is None:
        raise ValueError("it has no control file")
    return text


def _paths(stream: IO[bytes]) -> tuple[str, ...]:
    guarded = _Guarded(stream, None)
    paths, room = [], _NAMES
    with tarfile.open(fileobj=cast("IO[bytes]", guarded), mode="r:") as archive:
        while member := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # its list of what was
            if member.isdir():
                continue
            room -= len(member.name)
            if room < 0:
                raise ValueError(f"the names of its files have more than {_NAMES >> 20} MB")
            paths.append(member.name.removeprefix("./").lstrip("/"))
    _drain(guarded)
    return tuple(paths)


def _drain(guarded: _Guarded) -> None:
    while guarded.read(_AT_ONCE):
        pass
