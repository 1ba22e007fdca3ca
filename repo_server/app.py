# SPDX-License-Identifier: GPL-2.0-or-later
"""What the repository shows over HTTP: the live tree as it is, and pages for people."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from flask import Flask, Response, abort, render_template, request, send_from_directory

from repo_server import pages
from repo_server.repository import Repository

_TYPES = {
    ".deb": "application/vnd.debian.binary-package",
    ".rpm": "application/x-rpm",
    ".json": "application/json",
    ".xml": "application/xml",
    ".gz": "application/gzip",
    ".xz": "application/x-xz",
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
    r"|rpm/[^/]+/[^/]+/(packages/|repodata/[0-9a-f]{64}-).*"
    r"|opd/[^/]+/(targets/|metadata/\d+\.).*"
)
_YEAR = 365 * 24 * 3600


def create_app(repository: Repository) -> Flask:
    """The web application of one repository."""
    app = Flask(__name__)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.add_template_filter(pages.minutes)

    @app.get("/<any(deb, rpm, opd, keys):top>/<path:rest>")
    def tree(top: str, rest: str) -> Response:
        path = f"{top}/{rest}"
        response = send_from_directory(
            repository.live,
            path,
            # Named here, since a guess would call a list "encoded" and clients would unpack it.
            mimetype=content_type(path),
            max_age=_YEAR if _LASTING.fullmatch(path) else None,
        )
        if response.cache_control.max_age:
            response.cache_control.immutable = True
        return response

    @app.get("/")
    def home() -> str:
        return render_template(
            "home.html", site=_site(), channels=pages.channels(repository.live.resolve())
        )

    @app.get("/opkg/<channel>/<name>")
    def opkg(channel: str, name: str) -> str:
        found = pages.opkg(repository.live.resolve(), channel, name)
        if found is None:
            abort(404)
        return render_template("opkg.html", site=_site(), opkg=found)

    @app.get("/healthz")
    def health() -> tuple[dict[str, str | int], int]:
        number = repository.live_number()
        if number and repository.live.is_dir():
            return {"status": "ok", "generation": number}, 200
        return {"status": "nothing is published"}, 503

    def _site() -> pages.Site:
        return pages.site(repository, request.url_root.rstrip("/"))

    return app


def content_type(path: str) -> str:
    """The media type of a file of the tree."""
    name = PurePosixPath(path)
    return _NAMED_TYPES.get(name.name) or _TYPES.get(name.suffix, "application/octet-stream")
