# SPDX-License-Identifier: GPL-2.0-or-later
"""What the repository shows over HTTP: the live tree as it is, and pages for people."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import msgspec
from flask import (
    Flask,
    Response,
    abort,
    current_app,
    redirect,
    request,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.security import safe_join

from opkg.errors import OpkgError
from opkg.target import Family
from repo_server import web
from repo_server.api import create_api
from repo_server.downloads import Downloads, is_download
from repo_server.metrics import metrics
from repo_server.mirrors import mirror
from repo_server.package import tree_path
from repo_server.pool import url_of
from repo_server.repository import TOPS, Repository

_TYPES = {
    ".deb": "application/vnd.debian.binary-package",
    ".rpm": "application/x-rpm",
    ".json": "application/json",
    ".xml": "application/xml",
    ".gz": "application/gzip",
    ".xz": "application/x-xz",
    ".zst": "application/zstd",
    ".asc": "application/pgp-keys",
    ".key": "application/pgp-keys",
}
_NAMED_TYPES = {
    "InRelease": "text/plain",
    "Release": "text/plain",
    "Packages": "text/plain",
    "Release.gpg": "application/pgp-signature",
    "repomd.xml.asc": "application/pgp-signature",
}

# Paths whose content never changes: they hold a digest or a version.
_LASTING = re.compile(
    r"deb/[^/]+/(pool/|.*/by-hash/).*"
    r"|rpm/[^/]+/[^/]+/(?:source/)?(packages/|repodata/[0-9a-f]{64}-).*"
    r"|opd/[^/]+/(targets/|metadata/\d+\.).*"
)
_YEAR = 365 * 24 * 3600

_ACCEL = "X_ACCEL"
DOWNLOADS = "DOWNLOADS"

_TOP = f"<any({', '.join(TOPS)}):top>"


def create_app(repository: Repository, *, accel: str = "") -> Flask:
    """The web application of one repository. With `accel`, nginx is in front of it, which sends
    the files of the live tree from there (X-Accel-Redirect), and says where requests come from."""
    app = Flask(__name__)
    app.config[_ACCEL] = accel
    app.config[DOWNLOADS] = Downloads(repository.directory)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    _serve_tree(app, repository)
    _serve_mirrors(app, repository)
    app.register_blueprint(web.pages_of(repository))
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]  # Flask's way
        app.wsgi_app, {"/api": create_api(repository)}
    )
    if accel:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]  # Flask's way

    @app.get("/healthz")
    def health() -> tuple[dict[str, str | int], int]:
        number = repository.live_number()
        if number and repository.current.is_dir():
            return {"status": "ok", "generation": number}, 200
        return {"status": "nothing is published"}, 503

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics(repository), content_type=CONTENT_TYPE_LATEST)

    return app


def _serve_tree(app: Flask, repository: Repository) -> None:
    @app.get(f"/{_TOP}/<path:rest>")
    def tree(top: str, rest: str) -> Response:
        return _file(repository, repository.live, f"{top}/{rest}")

    @app.get(f"/generations/<int:number>/{_TOP}/<path:rest>")
    def generation(number: int, top: str, rest: str) -> ResponseReturnValue:
        """The tree as it was in one publication; once that is gone, as it is."""
        folder = repository.generation(number)
        if not folder.is_dir():
            return redirect(url_for("tree", top=top, rest=rest))
        return _file(repository, folder, f"{top}/{rest}")

    @app.get("/mirrorlist/rpm/<channel>/<target>")
    def mirrorlist(channel: str, target: str) -> Response:
        """The address of a repository in the live generation alone: repomd.xml and its signature
        are two requests, and a publication may come between them."""
        path = tree_path(Family.RPM, channel, target)
        number = repository.live_number()
        if not (repository.generation(number) / path).is_dir():
            abort(404)
        address = f"{request.url_root}generations/{number}/{path}/\n"
        return Response(address, mimetype="text/plain", headers={"Cache-Control": "no-cache"})


def _serve_mirrors(app: Flask, repository: Repository) -> None:
    @app.get("/mirror/<name>/<path:rest>")
    def mirrored(name: str, rest: str) -> Response:
        return _file(repository, repository.live / "mirror", f"{name}/{rest}")

    @app.get("/mirrors.json")
    def mirrors_health() -> Response:
        data = msgspec.json.encode(mirror.health(repository))
        return Response(data, mimetype="application/json", headers={"Cache-Control": "no-cache"})


def _file(repository: Repository, folder: Path, path: str) -> Response:
    # Named here, since a guess would call a list "encoded" and clients would unpack it.
    kind = content_type(path)
    max_age = _YEAR if _LASTING.fullmatch(path) else None
    if elsewhere := _by_bucket(folder, path, kind):
        if is_download(request.method, 200, request.headers):
            current_app.config[DOWNLOADS].note(path)
        return elsewhere
    if prefix := current_app.config[_ACCEL]:
        response = _by_nginx(repository, folder, path, prefix)
        response.mimetype = kind
        response.cache_control.max_age = max_age
        response.cache_control.no_cache = True if max_age is None else None
    else:
        response = send_from_directory(folder, path, mimetype=kind, max_age=max_age)
    if is_download(request.method, response.status_code, request.headers):
        current_app.config[DOWNLOADS].note(path)
    if response.cache_control.max_age:
        response.cache_control.immutable = True
    return response


def _by_bucket(folder: Path, path: str, kind: str) -> Response | None:
    """Send a client to the bucket that has the file, if one has."""
    place = safe_join(str(folder), path)
    url = place and url_of(Path(place))
    if not url:
        return None
    # Only here: its library takes its time.
    from repo_server import pool_s3

    try:
        name = PurePosixPath(path).name
        address = pool_s3.address(url, request.method, name=name, kind=kind)
    except OpkgError as error:
        abort(503, error.message)
    response = Response(status=302, headers={"Location": address})
    response.cache_control.no_store = True
    return response


def _by_nginx(repository: Repository, folder: Path, path: str, prefix: str) -> Response:
    found = safe_join(str(folder), path)
    if found is None or not Path(found).is_file():
        abort(404)
    place = Path(found).relative_to(repository.live)
    return Response(headers={"X-Accel-Redirect": f"{prefix.rstrip('/')}/{quote(str(place))}"})


def content_type(path: str) -> str:
    """The media type of a file of the tree."""
    name = PurePosixPath(path)
    return _NAMED_TYPES.get(name.name) or _TYPES.get(name.suffix, "application/octet-stream")
