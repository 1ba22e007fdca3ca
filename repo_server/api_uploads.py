# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads by the REST API: begin, send in pieces, go on after a break, complete together."""

from __future__ import annotations

from typing import IO, Any

from apiflask import APIFlask
from flask import request

from repo_server import api_schemas as schemas
from repo_server import completion, uploads
from repo_server.access import Access
from repo_server.completion import Answer
from repo_server.problems import RefusedError
from repo_server.repository import Repository
from repo_server.tokens import Action
from repo_server.uploads import Upload


class ProblemError(RefusedError):
    """A refusal that was written down before."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body["status"], body["detail"], hint=body.get("hint", ""))
        self.faults = body.get("faults", ())


def serve(api: APIFlask, repository: Repository, access: Access) -> None:
    """Add the views to the API."""

    def described(upload: Upload) -> dict[str, Any]:
        return {
            "id": upload.id,
            "channel": upload.channel,
            "target": upload.target,
            "name": upload.name,
            "size": upload.size,
            "sha256": upload.sha256,
            "received": uploads.received(repository, upload),
        }

    @api.post("/v1/uploads")
    @api.auth_required(access.bearer)
    @api.input(schemas.UploadOrder)
    @api.output(schemas.Upload, status_code=201)
    def begin(json_data: dict[str, Any]) -> dict[str, Any]:
        """Announce a file. The same file gets the same upload: go on at `received`."""
        owner = access.need(Action.UPLOAD, json_data["channel"])
        return described(uploads.begin(repository, owner.id, **json_data))

    @api.get("/v1/uploads/<number>")
    @api.auth_required(access.bearer)
    @api.output(schemas.Upload)
    def state(number: str) -> tuple[dict[str, Any], int, dict[str, str]]:
        """How far an upload is; HEAD has that as Upload-Offset."""
        found = described(uploads.find(repository, access.token.id, number))
        return found, 200, {"Upload-Offset": str(found["received"])}

    @api.put("/v1/uploads/<number>")
    @api.auth_required(access.bearer)
    @api.input(schemas.OffsetQuery, location="query")
    @api.output(schemas.Upload)
    def send(number: str, query_data: dict[str, int]) -> dict[str, Any]:
        """Send a piece of the file, which begins at `offset`. The same piece again is harmless."""
        upload = uploads.find(repository, access.token.id, number)
        access.need(Action.UPLOAD, upload.channel)
        length, stream = body()
        uploads.write(repository, upload, query_data["offset"], length, stream)
        return described(upload)

    @api.delete("/v1/uploads/<number>")
    @api.auth_required(access.bearer)
    @api.output({}, status_code=204)
    def forget(number: str) -> str:
        """Forget an upload."""
        uploads.remove(repository, uploads.find(repository, access.token.id, number))
        return ""

    @api.post("/v1/uploads/complete")
    @api.auth_required(access.bearer)
    @api.input(schemas.CompleteOrder)
    @api.output(schemas.Completed)
    def complete(json_data: dict[str, Any]) -> Answer:
        """Take uploads in, all or none, and publish them: once this succeeded, clients can
        install them. A manifest brings the packages that it names."""
        numbers = sorted(set(json_data["uploads"]))
        owner = access.token.id
        try:
            found = [uploads.find(repository, owner, number) for number in numbers]
        except RefusedError:
            # The answer may have been lost on its way.
            if before := completion.remembered(repository, owner, numbers):
                return before
            raise
        names = " ".join(upload.name for upload in found)
        with access.change(Action.UPLOAD, found[0].channel, names):
            answer = completion.complete(repository, found, lambda _: None)
            if answer.problem:
                raise ProblemError(answer.problem)
            return answer


def body() -> tuple[int, IO[bytes]]:
    """The length of the request's body, which may be longer than that of other requests, and the
    body, of which nothing was read. Raises RefusedError where the length is not said."""
    if "Transfer-Encoding" in request.headers:
        raise RefusedError(411, "this needs a Content-Length")
    length = request.content_length or 0
    # Whoever reads up to the limit is told that it is too long.
    request.max_content_length = length + 1
    return length, request.stream
