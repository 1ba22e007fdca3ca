# SPDX-License-Identifier: GPL-2.0-or-later
"""Who asks over HTTP: tokens, how often they may be used, and what they did."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn, cast

from apiflask import APIFlask, HTTPBasicAuth, HTTPTokenAuth
from flask import request

from opkg.errors import OpkgError
from repo_server import audit, limits, tokens
from repo_server.limits import Limiter
from repo_server.problems import RefusedError, status_of
from repo_server.repository import Repository
from repo_server.tokens import ALL, Action, Token

_log = logging.getLogger(__name__)

_OURS = (
    "make one with opkg-repo token create, and send it as: Authorization: Bearer TOKEN, "
    "or as the password of basic authentication"
)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Lets requests in that bring a token: as a bearer's, or as the password of basic
    authentication for programs that know nothing else."""

    repository: Repository
    limiter: Limiter
    bearer: HTTPTokenAuth = field(default_factory=lambda: HTTPTokenAuth(scheme="Bearer"))
    basic: HTTPBasicAuth = field(default_factory=HTTPBasicAuth)

    def connect(self, api: APIFlask) -> None:
        """Let the two ways in know what to ask."""
        self.bearer.verify_token(self._verify)
        self.basic.verify_password(lambda _user, password: self._verify(password))
        for way in (self.bearer, self.basic):
            way.error_processor(_unknown)
        api.config["MAX_CONTENT_LENGTH"] = 1 << 20

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return request.remote_addr or "?"

    def _verify(self, text: str) -> Token | None:
        failures = f"failures {self.address}"
        if self.limiter.count(failures, add=0) >= limits.FAILURES:
            raise RefusedError(429, "too many wrong tokens", hint="wait for a minute")
        token = tokens.find(self.repository, text)
        if token is None:
            self.limiter.count(failures)
            return None
        if self.limiter.count(f"token {token.id}") > limits.CHANGES:
            raise RefusedError(429, "too many requests with this token", hint="wait for a minute")
        return token

    @property
    def token(self) -> Token:
        """The token of this request."""
        return cast("Token", self.bearer.current_user or self.basic.current_user)

    def need(self, action: Action, channel: str = ALL) -> Token:
        """The token of this request. Raises RefusedError where it is not good for that."""
        token = self.token
        if not token.allows(action, channel):
            where = "the whole repository" if channel == ALL else f"the channel {channel}"
            raise RefusedError(
                403,
                f"the token {token.name} is not good for {action} in {where}",
                hint=f"it is good for {', '.join(token.actions)} in {', '.join(token.channels)}",
            )
        return token

    @contextmanager
    def change(self, action: Action, channel: str = ALL, detail: str = "") -> Iterator[Token]:
        """Let a change be made if the token is good for it, and note it, also when it is not."""
        who = f"{self.token.name} ({self.token.id})"
        status, error = 500, ""
        try:
            yield self.need(action, channel)
            status = 200
        except OpkgError as reason:
            status, error = status_of(reason), str(reason)
            raise
        finally:
            try:
                audit.note(
                    self.repository, who, action, address=self.address, channel=channel,
                    detail=detail[:500], status=status, error=error[:500],
                )  # fmt: skip
            except OSError:
                # What was done, or refused, must be told all the same.
                _log.exception("%s by %s in “%s” could not be noted", action, who, channel)


def _unknown(_error: object) -> NoReturn:
    raise RefusedError(401, "this needs a token that is valid", hint=_OURS)
