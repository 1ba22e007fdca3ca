# SPDX-License-Identifier: GPL-2.0-or-later
"""The compressed forms of a list, joined from members that were compressed one by one.

A list of fifty thousand packages is some hundred members. One more package changes one of them,
and only that is compressed again.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

import zstandard

from opkg.errors import OpkgError

PLAIN = ""
FORMS = ("gz", "xz", "zst")

# The .xz file format 1.2.0, chapter 2: what stands before and after a stream's blocks.
_XZ_HEADER = 12
_XZ_FOOTER = 12
_XZ_MAGIC = b"YZ"


def member(form: str, data: bytes) -> bytes:
    """`data` compressed by itself, alike at any time; as it is for PLAIN. Raises OpkgError for a
    form that there is not."""
    if form == PLAIN:
        return data
    if form == "gz":
        return gzip.compress(data, mtime=0)
    if form == "xz":
        return lzma.compress(data, preset=3)
    if form == "zst":
        return zstandard.compress(data, 10)
    raise _unknown(form)


def unpack(form: str, data: bytes) -> bytes:
    """The content of a file in one of the forms. Raises OpkgError for a form that there is not,
    and the library's own error for damaged data."""
    if form == "gz":
        return gzip.decompress(data)
    if form == "xz":
        return lzma.decompress(data)
    if form == "zst":
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
            return stream.read()
    raise _unknown(form)


def _unknown(form: str) -> OpkgError:
    return OpkgError(
        f"lists cannot be compressed as “{form}”",
        where="targets.toml",
        hint=f"index_compression takes {', '.join(FORMS)}",
    )


def joined(form: str, members: Iterable[bytes]) -> Iterator[bytes]:
    """One file's content from its members; those without a byte add nothing."""
    members = filter(None, members)
    first = next(members, None)
    if first is None:
        # A file without a byte is none for apt.
        return iter([member(form, b"")])
    members = chain([first], members)
    # RFC 1952, chapter 2.2, and RFC 8878, chapter 3: members and frames follow one another, and
    # clients read them so. Of .xz, apt reads the first stream alone, but all of its blocks.
    return _joined_xz(members) if form == "xz" else members


def _joined_xz(members: Iterable[bytes]) -> Iterator[bytes]:
    """One stream with the blocks of all members, and one index of them (chapter 4)."""
    header, records = b"", []
    for stream in members:
        size = (int.from_bytes(stream[-8:-4], "little") + 1) * 4
        index = stream[-_XZ_FOOTER - size : -_XZ_FOOTER]
        if not header:
            header = stream[:_XZ_HEADER]
            yield header
        yield stream[_XZ_HEADER : -_XZ_FOOTER - size]
        records.append(_record(index))
    index = b"\0" + _number(len(records)) + b"".join(records)
    index += bytes(-len(index) % 4)
    index += zlib.crc32(index).to_bytes(4, "little")
    # Backward size and stream flags.
    tail = (len(index) // 4 - 1).to_bytes(4, "little") + header[6:8]
    yield index
    yield zlib.crc32(tail).to_bytes(4, "little") + tail + _XZ_MAGIC


def _record(index: bytes) -> bytes:
    """The one record of an index, two numbers: the last byte of each is below 128."""
    start = 2
    end = start
    for _ in range(2):
        while index[end] & 0x80:
            end += 1
        end += 1
    return index[start:end]


def _number(value: int) -> bytes:
    """A number as .xz spells it (chapter 1.2): seven bits a byte, the lowest first."""
    spelled = b""
    while value >= 0x80:
        spelled += bytes([value & 0x7F | 0x80])
        value >>= 7
    return spelled + bytes([value])
