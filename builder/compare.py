# SPDX-License-Identifier: GPL-2.0-or-later
"""Says in words what differs between two packages that should be the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.contents import Value, facts_of, unsigned

_SHOWN = 100  # characters of a value


def differences(old: Path, new: Path) -> list[str]:
    """What differs between a package as it was made before and as it was made again, a line each;
    none where they are the same, byte for byte. Signatures of RPMs are left out. Raises
    IntegrityError for one that cannot be read."""
    if unsigned(old) == unsigned(new):
        return []
    before, after = facts_of(old), facts_of(new)
    lines = [
        line
        for subject in sorted(before.keys() | after.keys())
        for line in _compared(subject, before.get(subject), after.get(subject))
    ]
    return lines or ["the same contents, packed otherwise (their order, or the compression)"]


def _compared(
    subject: str, old: Mapping[str, Value] | None, new: Mapping[str, Value] | None
) -> Iterator[str]:
    if old is None or new is None:
        yield f"{subject}: {'was not there' if old is None else 'is not there any more'}"
        return
    for aspect in sorted(old.keys() | new.keys()):
        was, now = old.get(aspect, ""), new.get(aspect, "")
        if was != now:
            yield f"{subject}: {f'{aspect}: ' if aspect else ''}{_change(was, now)}"


def _change(old: Value, new: Value) -> str:
    if isinstance(old, bytes) and isinstance(new, bytes):
        return _change_of_content(old, new)
    if isinstance(old, tuple) and isinstance(new, tuple):
        gone = [f"without {_quoted(entry)}" for entry in old if entry not in new]
        come = [f"with {_quoted(entry)}" for entry in new if entry not in old]
        return ", ".join(gone + come) or "in another order"
    return f"{_words(old)} → {_words(new)}"


def _change_of_content(old: bytes, new: bytes) -> str:
    try:
        texts = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        texts = [], []
    for number, (was, now) in enumerate(zip(*texts, strict=False), 1):
        if was != now and was.isprintable() and now.isprintable():
            return f"line {number}: {_quoted(was)} → {_quoted(now)}"
    pairs = enumerate(zip(old, new, strict=False))
    at = next((at for at, (was, now) in pairs if was != now), min(len(old), len(new)))
    return f"{len(old)} bytes → {len(new)} bytes, the first that differs is byte {at + 1}"


def _words(value: Value) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return _quoted(", ".join(value) if isinstance(value, tuple) else value)


def _quoted(text: str) -> str:
    return f"“{text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}”"
