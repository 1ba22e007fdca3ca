# SPDX-License-Identifier: GPL-2.0-or-later
"""Tokens: who may change what over HTTP.

A token is `opkg_ID_SECRET`. The ID, which is no secret, says which hash the secret is checked
against: a look-up is one hash, however many tokens there are. The secret is 256 random bits, so
the hash need not be slow: nobody can try them all.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from opkg.document import decode, encode
from opkg.errors import OpkgError
from opkg.files import locked, write_atomic
from repo_server.repository import Repository, check_channel

# As a channel: all of them, and what concerns no single one.
ALL = "*"

_FORM = re.compile(r"opkg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_HASHER = PasswordHasher(time_cost=1, memory_cost=4096, parallelism=1)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([hd])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}


class Action(StrEnum):
    """What a token may be good for. `upload` brings packages into a channel, and shows them;
    `publish` shows what waits there; `promote` changes the channel that gets the packages."""

    UPLOAD = "upload"
    PUBLISH = "publish"
    PROMOTE = "promote"
    REMOVE = "remove"
    ROLLBACK = "rollback"
    GC = "gc"
    CHECK = "check"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret. The dates are ISO 8601; `expires` and `revoked` may be empty."""

    id: str
    name: str
    hash: str
    channels: tuple[str, ...]
    actions: tuple[Action, ...]
    created: str
    expires: str = ""
    revoked: str = ""

    def allows(self, action: Action, channel: str) -> bool:
        """Whether it is good for an action on a channel; ALL stands for the whole repository."""
        return action in self.actions and (ALL in self.channels or channel in self.channels)

    def state(self, now: datetime) -> str:
        """Whether it is good at all: “valid”, “expired” or “revoked”."""
        if self.revoked:
            return "revoked"
        expired = self.expires and now >= datetime.fromisoformat(self.expires)
        return "expired" if expired else "valid"


class _Tokens(msgspec.Struct, frozen=True, kw_only=True):
    tokens: tuple[Token, ...] = ()


def create(
    repository: Repository,
    name: str,
    channels: Sequence[str],
    actions: Sequence[Action],
    lifetime: timedelta | None,
    *,
    now: datetime | None = None,
) -> tuple[Token, str]:
    """Make a token, and return it and its text: only now is that known. Raises OpkgError where
    there is a valid one of that name."""
    if not _NAME.fullmatch(name):
        raise OpkgError(
            f"“{name}” cannot name a token",
            hint="use up to 64 letters, digits, . _ @ + and -, for example anna@laptop",
        )
    for channel in channels:
        if channel != ALL:
            check_channel(channel)
    date = (now or datetime.now(UTC)).replace(microsecond=0)
    number, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = Token(
        id=number,
        name=name,
        hash=_HASHER.hash(secret),
        channels=tuple(dict.fromkeys(channels)),
        actions=tuple(dict.fromkeys(actions)),
        created=date.isoformat(),
        expires=(date + lifetime).isoformat() if lifetime else "",
    )
    with locked(_lock(repository)):
        before = known(repository)
        if any(one.name == name and one.state(date) == "valid" for one in before):
            raise OpkgError(
                f"there is a token “{name}” already",
                hint="revoke it first, or give this one another name",
            )
        _write(repository, [*before, token])
    return token, f"opkg_{number}_{secret}"


def known(repository: Repository) -> tuple[Token, ...]:
    """All tokens that were ever made, the oldest first."""
    path = _path(repository)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    return decode(data, _Tokens, where=str(path)).tokens


def revoke(repository: Repository, name: str, *, now: datetime | None = None) -> Token:
    """Let the token with this name or ID be good for nothing from now on. Raises OpkgError where
    there is no valid one."""
    date = (now or datetime.now(UTC)).replace(microsecond=0)
    with locked(_lock(repository)):
        before = known(repository)
        found = [one for one in before if name in (one.id, one.name) and not one.revoked]
        if not found:
            raise OpkgError(
                f"there is no token “{name}” to revoke",
                hint=f"see opkg-repo token list {repository.directory}",
            )
        gone = msgspec.structs.replace(found[-1], revoked=date.isoformat())
        _write(repository, [gone if one.id == gone.id else one for one in before])
    return gone


def find(repository: Repository, text: str, *, now: datetime | None = None) -> Token | None:
    """The token whose text this is; None where there is no valid one."""
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    number, secret = form.groups()
    token = next((one for one in known(repository) if one.id == number), None)
    if token is None or token.state(now or datetime.now(UTC)) != "valid":
        return None
    try:
        _HASHER.verify(token.hash, secret)
    except (Argon2Error, InvalidHashError):
        return None
    return token


def duration(text: str) -> timedelta:
    """How long 90d or 12h is. Raises OpkgError for what is neither."""
    form = _DURATION.fullmatch(text)
    if form is None:
        raise OpkgError(f"“{text}” is no length of time", hint="for example 90d or 12h")
    return int(form[1]) * _UNITS[form[2]]


def _path(repository: Repository) -> Path:
    return repository.private / "tokens.json"


def _lock(repository: Repository) -> Path:
    return repository.private / ".tokens.lock"


def _write(repository: Repository, tokens: Sequence[Token]) -> None:
    write_atomic(_path(repository), encode(_Tokens(tokens=tuple(tokens))), mode=0o600)
