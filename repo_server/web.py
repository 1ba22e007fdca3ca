# SPDX-License-Identifier: GPL-2.0-or-later
"""The web pages for people: made here whole, without a script."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from flask import Blueprint, Response, abort, render_template, request
from werkzeug.exceptions import NotFound

from opkg.errors import OpkgError
from repo_server import downloads, pages, papers, past, picture
from repo_server.mirrors import mirror
from repo_server.repository import Repository

# Nothing but our own style sheet and forms: whatever a package says of itself stays text.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def pages_of(repository: Repository) -> Blueprint:
    """The pages of a repository."""
    blueprint = Blueprint("web", __name__)
    blueprint.add_app_template_filter(pages.minutes)
    blueprint.add_app_template_filter(_ago, "ago")

    @blueprint.context_processor
    def everywhere() -> dict[str, object]:
        return {"site": pages.site(repository, request.url_root.rstrip("/"))}

    @blueprint.after_request
    def protect(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @blueprint.errorhandler(404)
    def missing(_error: NotFound) -> tuple[str, int]:
        return render_template("missing.html"), 404

    _add_packages(blueprint, repository)
    _add_state(blueprint, repository)
    return blueprint


def _add_packages(blueprint: Blueprint, repository: Repository) -> None:
    def shelves() -> dict[str, pages.Shelf]:
        return pages.shelves(repository.current.resolve())

    @blueprint.get("/")
    def home() -> str:
        return render_template("home.html", channels=shelves().values())

    @blueprint.get("/channel/<name>")
    def channel(name: str) -> str:
        shelf = shelves().get(name) or abort(404)
        table = pages.table(shelf, page=request.args.get("page", 1, int))
        return render_template("channel.html", channel=shelf, table=table)

    @blueprint.get("/search")
    def search() -> str:
        words = request.args.get("q", "").strip()[:200]
        page = request.args.get("page", 1, int)
        found = [
            (shelf, pages.table(shelf, words=words, page=page))
            for shelf in shelves().values()
            if words
        ]
        return render_template("search.html", words=words, found=found)

    @blueprint.get("/opkg/<channel>/<name>")
    def opkg(channel: str, name: str) -> str:
        shelf = shelves().get(channel) or abort(404)
        found = pages.opkg(shelf, name) or abort(404)
        read = papers.Papers()
        for artifact in found.documented[:1]:
            path = repository.current / artifact.file
            with suppress(OpkgError):
                read = papers.read(path, artifact.name, artifact.sha256)
        drawn = picture.draw(name, found.latest.opkg.relations, found.needed_by, found.known)
        offers = [offer for _, of_target in found.offers for offer in of_target]
        names = {artifact.name for offer in offers for artifact in offer.artifacts}
        fetched = downloads.plot(repository.directory, _today(), channel=channel, packages=names)
        return render_template(
            "opkg.html", opkg=found, papers=read, picture=drawn, phases=pages.PHASES, plot=fetched
        )


def _add_state(blueprint: Blueprint, repository: Repository) -> None:
    @blueprint.get("/history")
    def history() -> str:
        before = request.args.get("before", None, int)
        rows = past.recent(repository, before=before)
        return render_template("history.html", rows=rows)

    @blueprint.get("/history/<int:number>")
    def generation(number: int) -> str:
        found = past.difference(repository, number) or abort(404)
        return render_template("generation.html", difference=found)

    @blueprint.get("/compare")
    def compare() -> str:
        live = repository.live_number()
        new = request.args.get("to", live, int)
        old = request.args.get("from", max(1, new - 1), int)
        try:
            changes = past.between(repository, old, new)
        except OpkgError:
            abort(404)
        return render_template(
            "compare.html", old=old, new=new, live=live, changes=changes[: past.MOST],
            left_out=max(0, len(changes) - past.MOST),
        )  # fmt: skip

    @blueprint.get("/downloads")
    def downloaded() -> str:
        folder, today = repository.directory, _today()
        wanted = downloads.most_wanted(folder, today, pages.PAGE)
        return render_template("downloads.html", plot=downloads.plot(folder, today), wanted=wanted)

    @blueprint.get("/mirrors")
    def mirrors() -> str:
        return render_template("mirrors.html", mirrors=mirror.health(repository))


def _today() -> date:
    return datetime.now(UTC).date()


def _ago(seconds: int) -> str:
    """A time that has passed, for people."""
    passed = timedelta(seconds=max(seconds, 0))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if count := int(passed.total_seconds() // size):
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
