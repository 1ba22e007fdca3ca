# SPDX-License-Identifier: GPL-2.0-or-later
"""What dput and dput-ng send over HTTP: each file of a .changes (deb-changes(5)), then itself.

They know no token, but a user and a password: the token is the password.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from apiflask import APIFlask

from opkg.errors import OpkgError
from opkg.files import sha256_file
from repo_server import api_schemas as schemas
from repo_server import completion, deb_changes, uploads
from repo_server.access import Access
from repo_server.api_uploads import ProblemError, body
from repo_server.problems import RefusedError
from repo_server.repository import FullDiskError, Repository, check_channel, is_full
from repo_server.tokens import Action

_PIECE = 1 << 18


def serve(api: APIFlask, repository: Repository, access: Access) -> None:
    """Add the view to the API."""

    @api.put("/v1/dput/<channel>/<name>")
    @api.auth_required(access.basic)
    @api.output(schemas.Delivered)
    def deliver(channel: str, name: str) -> dict[str, Any]:
        """Deliver a file as dput does. A .changes comes last: then all that it names is taken in,
        or nothing, and published."""
        owner = access.need(Action.UPLOAD, channel)
        check_channel(channel)
        uploads.check_name(name)
        inbox = _inbox(repository, owner.id, channel)
        size = _store(inbox / name)
        if not name.endswith(deb_changes.SUFFIX):
            return {"name": name, "size": size, "generation": None}
        with access.change(Action.UPLOAD, channel, name):
            files = {name: inbox / name}
            try:
                files |= _files(inbox, name)
                answer = completion.take(repository, channel, "", files, lambda _: None)
            finally:
                # Taken or refused, nobody needs them any more.
                for path in files.values():
                    path.unlink(missing_ok=True)
            if answer.problem:
                raise ProblemError(answer.problem)
            return {"name": name, "size": size, "generation": answer.generation}


def _inbox(repository: Repository, owner: str, channel: str) -> Path:
    """Where the files of one token for one channel wait for their .changes."""
    name = hashlib.sha256(f"{owner}\0{channel}".encode()).hexdigest()[:32]
    path = uploads.folder(repository) / f"dput-{name}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _store(path: Path) -> int:
    """Take the body of this request as a file, whole or not at all; its size."""
    length, stream = body()
    uploads.check_size(path.name, length)
    if len(list(path.parent.iterdir())) > uploads.OPEN:
        raise RefusedError(429, "too many files wait for their .changes")
    free = os.statvfs(path.parent)
    if 2 * length > free.f_bavail * free.f_frsize:
        raise FullDiskError(f"there is no room for {length} bytes; nothing was kept")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            while piece := stream.read(_PIECE):
                file.write(piece)
        if Path(name).stat().st_size != length:
            raise RefusedError(400, f"{path.name} did not come whole")
        Path(name).replace(path)
    except OSError as error:
        if is_full(error):
            raise FullDiskError("the disk is full; nothing was kept") from error
        raise
    finally:
        Path(name).unlink(missing_ok=True)
    return length


def _files(inbox: Path, name: str) -> dict[str, Path]:
    """The files that a .changes names, which are there and as it says."""
    files = {}
    for file in deb_changes.read(inbox / name).files.values():
        uploads.check_name(file.path)
        path = inbox / file.path
        if not path.is_file():
            raise OpkgError(f"{file.path} did not come", where=name, hint="send it with the others")
        if sha256_file(path) != file.sha256:
            path.unlink()
            raise OpkgError(
                f"{file.path} is not the file that it means",
                where=name,
                hint="send all of them again",
            )
        files[file.path] = path
    return files
