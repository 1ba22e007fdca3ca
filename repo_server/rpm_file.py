# SPDX-License-Identifier: GPL-2.0-or-later
"""An .rpm as a file (https://rpm-software-management.github.io/rpm/manual/format_v4.html): a lead,
then two headers, the second at a multiple of 8, each with an introduction and an index of 16 bytes
an entry before its data. Somebody may have made it to do harm."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from opkg.errors import IntegrityError, OpkgError

_LEAD = 96
_MAGIC = bytes.fromhex("8eade801")
_INTRO = struct.Struct(">4s4xII")
_ENTRY = struct.Struct(">4I")
# A kernel with all of its modules has headers of about 5 MB.
_LARGEST = 64 << 20

# The digest of the payload.
_PAYLOAD = 5092
# Signatures over the main header, as they are (DSA and EdDSA; RSA), and in base64.
_BINARY, _ENCODED = (267, 268), 278


def refuse_bomb(path: Path, where: str) -> None:
    """Raise IntegrityError where a package's headers, which are read whole, claim to be longer than
    those of any package are, or than the file."""
    _places(path, where)


def signed_header(path: Path, where: str) -> tuple[list[bytes], bytes]:
    """The OpenPGP signatures of a package over its main header, and that header, which says the
    digest of all else. Raises OpkgError where it does not, and IntegrityError."""
    first, second, end = _places(path, where)
    with path.open("rb") as file:
        data = file.read(end)
    main = data[second:end]
    if not any(tag == _PAYLOAD for tag, _, _ in _entries(main)):
        raise OpkgError(
            "nothing in it says the digest of its files, so no signature is one of them",
            where=where,
            hint="build it with rpm 4.14 or newer",
        )
    return _signatures(data[first:second]), main


def damaged(where: str, reason: str) -> IntegrityError:
    """The error of a package that is not whole."""
    return IntegrityError(
        f"not a whole RPM package: {reason}", where=where, hint="copy or build it again"
    )


def _places(path: Path, where: str) -> tuple[int, int, int]:
    """Where the signatures' header begins, the main one, and what follows it."""
    size = path.stat().st_size
    begins = []
    with path.open("rb") as file:
        place = _LEAD
        for _ in ("signatures", "main"):
            place += -place % 8
            begins.append(place)
            file.seek(place)
            magic, entries, length = _INTRO.unpack(file.read(_INTRO.size).ljust(_INTRO.size))
            place += _INTRO.size + entries * _ENTRY.size + length
            if magic != _MAGIC or place > min(size, _LARGEST):
                raise damaged(where, "its headers are none, or too long")
    return begins[0], begins[1], place


def _entries(header: bytes) -> Iterator[tuple[int, int, int]]:
    """The tag of each entry of a header, where its value begins, and how long it is."""
    _, entries, _ = _INTRO.unpack_from(header)
    start = _INTRO.size + entries * _ENTRY.size
    for place in range(_INTRO.size, start, _ENTRY.size):
        tag, _, offset, count = _ENTRY.unpack_from(header, place)
        yield tag, start + offset, count


def _signatures(header: bytes) -> list[bytes]:
    found = []
    for tag, start, count in _entries(header):
        if tag in _BINARY:
            found.append(header[start : start + count])
        elif tag == _ENCODED:
            for text in header[start:].split(b"\0", count)[:count]:
                with suppress(binascii.Error):
                    found.append(base64.b64decode(text))
    return found
