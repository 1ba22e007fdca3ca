# SPDX-License-Identifier: GPL-2.0-or-later
"""What went wrong, as HTTP tells it: problem+json (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from opkg.errors import InvalidInputError, OpkgError
from repo_server.repository import FullDiskError, Repository

TYPE = "application/problem+json"


class RefusedError(OpkgError):
    """A request is refused with an HTTP `status`."""

    def __init__(self, status: int, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint, where=where)
        self.status = status


def status_of(error: OpkgError) -> int:
    """The HTTP status that tells what kind of error this is."""
    if isinstance(error, RefusedError):
        return error.status
    return 507 if isinstance(error, FullDiskError) else 422


def problem(status: int, detail: str, *, hint: str = "", **more: Any) -> dict[str, Any]:
    """The document of a problem."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return body | ({"hint": hint} if hint else {}) | more


def problem_of(error: OpkgError, repository: Repository, *folders: str) -> dict[str, Any]:
    """The document of an error, without the places of the server's own files: those in `folders`
    are known to the client by their names there."""

    def public(text: str) -> str:
        for folder in folders:
            text = text.replace(f"{folder}/", "")
        return text.replace(str(repository.directory), "DIR")

    more = {}
    if isinstance(error, InvalidInputError):
        more["faults"] = [public(str(one)) for one in error.diagnostics]
    elif faults := getattr(error, "faults", ()):
        more["faults"] = list(faults)
    return problem(status_of(error), public(str(error)), hint=public(error.hint), **more)
