# SPDX-License-Identifier: GPL-2.0-or-later
"""Who did what: a line of JSON for each change that was asked for over HTTP, and for each token
that was made or revoked. The files are in the repository's folder, and are never served."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opkg.files import locked
from repo_server.repository import Repository

FILE = "audit.jsonl"
# The file is put aside at this size, and so many older ones are kept.
LIMIT = 8 << 20
OLDER = 4


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody did, or tried: `who` is a token's name with its ID, or a user of the machine;
    `address` is where they were; `status` is the answer's, with its `error`."""

    time: str
    who: str
    action: str
    address: str = ""
    channel: str = ""
    detail: str = ""
    status: int = 0
    error: str = ""


def note(
    repository: Repository,
    who: str,
    action: str,
    *,
    address: str = "",
    channel: str = "",
    detail: str = "",
    status: int = 0,
    error: str = "",
) -> None:
    """Add a line."""
    now = datetime.now(UTC).replace(microsecond=0)
    entry = Entry(
        time=now.isoformat(), who=who, action=action, address=address, channel=channel,
        detail=detail, status=status, error=error,
    )  # fmt: skip
    path = repository.directory / FILE
    with locked(repository.private / ".audit.lock"):
        _make_room(path)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(msgspec.json.encode(entry) + b"\n")


def entries(repository: Repository) -> Iterator[Entry]:
    """All that is kept, the oldest first. What a crash left half-written is passed over."""
    path = repository.directory / FILE
    for number in range(OLDER, -1, -1):
        file = _older(path, number) if number else path
        if not file.exists():
            continue
        for line in file.read_bytes().splitlines():
            try:
                yield msgspec.json.decode(line, type=Entry)
            except msgspec.DecodeError:
                continue


def _make_room(path: Path) -> None:
    if not path.exists() or path.stat().st_size < LIMIT:
        return
    for number in range(OLDER, 0, -1):
        before = _older(path, number - 1) if number > 1 else path
        if before.exists():
            before.replace(_older(path, number))


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
