# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON documents that one program writes and another reads: typed, and checked on reading."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from opkg.errors import OpkgError

Document = TypeVar("Document", bound=msgspec.Struct)


def encode(document: msgspec.Struct) -> bytes:
    """A document as indented JSON, the same bytes for the same content."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def decode(data: bytes, kind: type[Document], *, where: str) -> Document:
    """Read a document of `kind`. Raises OpkgError with the path to the first bad value."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OpkgError(
            f"not a readable {kind.__name__.lower()}: {error}",
            where=where,
            hint="it was damaged, or made by a version of this software that writes another form",
        ) from error
