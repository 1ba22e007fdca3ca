# SPDX-License-Identifier: GPL-2.0-or-later
"""The REST API: what the command line does, over HTTP."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, render_template
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import contains_eager

from opkg.errors import OpkgError
from opkg.target import known_targets
from repo_server import (
    api_dput,
    api_uploads,
    catalog,
    channels,
    garbage,
    history,
    pages,
    problems,
    upkeep,
)
from repo_server import api_schemas as schemas
from repo_server.access import Access
from repo_server.check import check
from repo_server.limits import Limiter
from repo_server.package import tree_path
from repo_server.publish import publish
from repo_server.repository import Repository, check_channel, full_disk
from repo_server.tables import Content, Placement
from repo_server.tokens import Action

_DESCRIPTION = """What is there can be read by everybody. Changes need a token, as
`Authorization: Bearer TOKEN`. What is wrong is told as application/problem+json (RFC 9457)."""


def create_api(repository: Repository) -> APIFlask:
    """The API of a repository, to be mounted at /api."""
    api = APIFlask(
        __name__,
        title=f"{repository.origin} OPKG repository",
        version="v1",
        spec_path="/v1/openapi.json",
        docs_path=None,
        static_folder=None,  # type: ignore[arg-type]  # Flask takes None for no folder
    )
    api.config.update(
        DESCRIPTION=_DESCRIPTION,
        SERVERS=[{"url": "/api"}],
        AUTO_TAGS=False,
        AUTO_404_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
    )
    api.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    access = Access(
        repository=repository, limiter=Limiter(path=repository.private / "limits.sqlite")
    )
    access.connect(api)
    _tell_problems(api, repository)
    _describe(api)
    _serve_reading(api, repository)
    _serve_changes(api, repository, access)
    api_uploads.serve(api, repository, access)
    api_dput.serve(api, repository, access)
    return api


def _tell_problems(api: APIFlask, repository: Repository) -> None:
    def answer(body: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
        response = Response(
            api.json.dumps(body), body["status"], headers, content_type=problems.TYPE
        )
        if body["status"] == 401:
            response.headers["WWW-Authenticate"] = 'Bearer, Basic realm="opkg-repo"'
        if body["status"] == 429:
            response.headers["Retry-After"] = "60"
        return response

    @api.error_processor
    def http_error(error: HTTPError) -> Response:
        body = problems.problem(error.status_code, error.message or "")
        if error.detail:
            body |= {
                "detail": "the request is not as it should be",
                "faults": _faults(error.detail),
            }
        allowed = dict(error.headers).get("Allow")
        return answer(body, {"Allow": str(allowed)} if allowed else {})

    @api.errorhandler(OpkgError)
    def refused(error: OpkgError) -> Response:
        return answer(problems.problem_of(error, repository), {})

    @api.errorhandler(OSError)
    @api.errorhandler(OperationalError)
    @api.errorhandler(sqlite3.OperationalError)
    def failed(error: Exception) -> Response:
        full = full_disk(repository, error)
        if full is None:
            raise error
        return refused(full)


def _describe(api: APIFlask) -> None:
    @api.spec_processor
    def describe(spec: Any) -> Any:
        """Every operation may be refused with a problem; two take files."""
        name = "Problem"
        spec["components"]["schemas"][name] = _problem_schema()
        content = {problems.TYPE: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        operations = [
            operation
            for path in spec["paths"].values()
            for operation in path.values()
            if isinstance(operation, dict)
        ]
        for operation in operations:
            operation["responses"]["default"] = {"description": "Refused.", "content": content}
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
        piece = {"schema": {"type": "string", "format": "binary"}}
        body = {"required": True, "content": {"application/octet-stream": piece}}
        for path in ("/v1/uploads/{number}", "/v1/dput/{channel}/{name}"):
            spec["paths"][path]["put"]["requestBody"] = body
        return spec

    @api.get("/v1/")
    @api.doc(hide=True)
    def docs() -> str:
        return render_template("api.html", spec=api.spec)


def _faults(detail: Any, path: str = "") -> list[str]:
    if isinstance(detail, Mapping):
        return [
            fault
            for key, value in detail.items()
            for fault in _faults(value, f"{path}.{key}" if path else str(key))
        ]
    rows = detail if isinstance(detail, list) else [detail]
    return [f"{path}: {row}" for row in rows]


def _problem_schema() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "integer"}
    return {
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": text, "title": text, "status": number, "detail": text, "hint": text,
            "faults": {"type": "array", "items": text},
        },
    }  # fmt: skip


def _serve_reading(api: APIFlask, repository: Repository) -> None:
    @api.get("/v1/channels")
    @api.output(schemas.Channel(many=True))
    def list_channels() -> list[dict[str, Any]]:
        """All channels."""
        found: dict[str, dict[str, Any]] = {}
        with catalog.opened(repository.directory) as session:
            for name, target in history.shelves(session):
                row = {"name": name, "targets": [], "packages": 0, "waiting": 0}
                found.setdefault(name, row)["targets"].append(target)
            for (name, _, state), count in history.counts(session).items():
                row = {"name": name, "targets": [], "packages": 0, "waiting": 0}
                key = "packages" if state == "live" else "waiting"
                found.setdefault(name, row)[key] += count
        return [found[name] for name in sorted(found)]

    @api.get("/v1/channels/<channel>/packages")
    @api.input(schemas.PackagesQuery, location="query")
    @api.output(schemas.Package(many=True))
    def list_packages(channel: str, query_data: dict[str, Any]) -> list[dict[str, Any]]:
        """The packages of a channel, published or waiting; ask again from `start` for more."""
        return _packages(repository, channel, **query_data)

    @api.get("/v1/channels/<channel>/opkgs")
    @api.output(schemas.Opkg(many=True))
    def list_opkgs(channel: str) -> list[dict[str, str]]:
        """The OPKGs that a channel offers."""
        index = pages.indexes(repository.current.resolve()).get(channel)
        return [
            {
                "name": offer.opkg.name,
                "version": offer.opkg.version,
                "target": offer.target,
                "summary": offer.opkg.summary,
                "category": offer.opkg.category,
            }
            for offer in (index.offers if index else ())
        ]

    @api.get("/v1/generations")
    @api.output(schemas.Generation(many=True))
    def list_generations() -> list[upkeep.Past]:
        """What was published, the newest last."""
        return upkeep.generations(repository)


def _packages(
    repository: Repository, channel: str, *, start: int, limit: int, name: str | None = None
) -> list[dict[str, Any]]:
    query = (
        select(Placement)
        .join(Placement.content)
        .options(contains_eager(Placement.content))
        .where(Placement.channel == channel, Placement.until.is_(None))
        .order_by(Content.name, Placement.target, Placement.id)
    )
    if name is not None:
        query = query.where(Content.name == name)
    live = repository.live_number()
    with catalog.opened(repository.directory) as session:
        return [
            {
                "channel": row.channel,
                "target": row.target,
                "name": row.content.name,
                "version": row.content.version,
                "architecture": row.content.architecture,
                "size": row.content.size,
                "sha256": row.content.sha256,
                "file": tree_path(row.content.family, channel, row.target, row.content.path),
                "generation": row.since if (row.since or live + 1) <= live else None,
            }
            for row in session.scalars(query.offset(start).limit(limit))
        ]


def _serve_changes(api: APIFlask, repository: Repository, access: Access) -> None:
    @api.post("/v1/channels/<channel>/publish")
    @api.auth_required(access.bearer)
    @api.output(schemas.Published)
    def publish_channel(channel: str) -> Any:
        """Show what waits in a channel."""
        with access.change(Action.PUBLISH, channel):
            check_channel(channel)
            return publish(repository, _quiet, channels=[channel])

    @api.post("/v1/channels/<channel>/remove")
    @api.auth_required(access.bearer)
    @api.input(schemas.RemoveOrder)
    @api.output(schemas.Moved(many=True))
    def remove(channel: str, json_data: dict[str, Any]) -> Any:
        """Take OPKGs or packages (NAME or NAME=VERSION) out of a channel: shown by `publish`."""
        names, target = json_data["names"], json_data.get("target")
        with access.change(Action.REMOVE, channel, " ".join(names)):
            chosen = known_targets().find(target) if target else None
            return channels.remove(repository, channel, names, chosen, _quiet)

    @api.post("/v1/channels/<channel>/promote")
    @api.auth_required(access.bearer)
    @api.input(schemas.PromoteOrder)
    @api.output(schemas.Moved(many=True))
    def promote(channel: str, json_data: dict[str, Any]) -> Any:
        """Put what the channel `origin` shows, all or some, into a channel: shown by `publish`."""
        origin, names = json_data["origin"], json_data["names"]
        with access.change(Action.PROMOTE, channel, f"from {origin}: {' '.join(names) or 'all'}"):
            return channels.promote(repository, origin, channel, names, _quiet)

    @api.post("/v1/channels/<channel>/rollback")
    @api.auth_required(access.bearer)
    @api.input(schemas.RollbackOrder)
    @api.output(schemas.Published)
    def rollback(channel: str, json_data: dict[str, Any]) -> Any:
        """Publish a channel as an earlier generation showed it."""
        number = json_data["generation"]
        with access.change(Action.ROLLBACK, channel, f"to {number or 'the one before'}"):
            return channels.roll_back(repository, channel, number, _quiet)

    @api.post("/v1/gc")
    @api.auth_required(access.bearer)
    @api.input(schemas.CollectOrder)
    @api.output(schemas.Collected)
    def collect(json_data: dict[str, Any]) -> Any:
        """Remove from the disk what no kept generation shows; with `keep`, old versions too."""
        with access.change(Action.GC, detail=f"keep {json_data['keep'] or 'all'}"):
            return garbage.collect(repository, json_data["keep"], _quiet)

    @api.post("/v1/check")
    @api.auth_required(access.bearer)
    @api.output(schemas.Report)
    def check_tree() -> Any:
        """Check the live tree as its clients would."""
        with access.change(Action.CHECK):
            return check(repository.live)


def _quiet(_message: str) -> None:
    """Nobody looks on."""
