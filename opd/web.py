# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages on the headnode: all OPKGs on offer, and the questions of those that are installed. They
need Flask, so they are imported where they are used.

Whoever may use them changes the headnode: so a secret leads in, which only who started them was
told, and nothing that another site's page sends is taken.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Response as AnyResponse

from opd import repository, show
from opd.answers import questions
from opd.choose import Choice
from opd.form import Answers, Field, settle
from opd.offered import find
from opd.place import Place
from opd.state import State
from opkg.errors import OpkgError

_COOKIE = "opd"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    # Not “no-referrer”: with that, browsers do not tell where a form came from.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# Beyond that a list to choose from is shorter than its buttons.
_BUTTONS = 6


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the pages are about: the state, the headnode, what is `installed` there now, and what
    stores the answers of an OPKG (name, answers) and raises OpkgError."""

    state: State
    headnode: Place
    installed: Callable[[], Sequence[Choice]]
    store: Callable[[Choice, Answers], None]


def serve(site: Site, host: str, port: int) -> tuple[BaseWSGIServer, str]:
    """A server of the pages, and the address that leads in. Raises OSError where it cannot
    listen."""
    secret = secrets.token_urlsafe(24)
    server = make_server(host, port, create_app(site, secret), threaded=True)
    shown = f"[{host}]" if ":" in host else host
    return server, f"http://{shown}:{server.server_port}/enter/{secret}"


def create_app(site: Site, secret: str) -> Flask:
    """The pages, for who knows the `secret`."""
    app = Flask(__name__)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    _guard(app, secret)
    _offer(app, site)
    _ask(app, site)

    @app.errorhandler(OpkgError)
    def fault(error: OpkgError) -> tuple[str, int]:
        return render_template("fault.html", error=error), 400

    return app


def _guard(app: Flask, secret: str) -> None:
    """Let nobody in who does not know the secret, and no other site's page speak for who does."""
    # Not the secret itself: that stands in the browser's history.
    key = secrets.token_urlsafe(24)

    @app.before_request
    def check() -> None:
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            abort(403)
        known = hmac.compare_digest(request.cookies.get(_COOKIE, "").encode(), key.encode())
        if not known and request.endpoint not in ("enter", "static"):
            abort(401)

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @app.errorhandler(401)
    def unknown(_error: Exception) -> tuple[str, int]:
        return render_template("unknown.html"), 401

    @app.get("/enter/<given>")
    def enter(given: str) -> AnyResponse:
        if not hmac.compare_digest(given.encode(), secret.encode()):
            abort(401)
        response = redirect(url_for("home"))
        response.set_cookie(_COOKIE, key, httponly=True, samesite="Strict")
        return response


def _offer(app: Flask, site: Site) -> None:
    """The pages of what is on offer."""

    @app.get("/")
    def home() -> str:
        words = request.args.get("q", "")
        offers = show.newest(repository.load_all(site.state))
        here = {choice.name: str(choice.version) for choice in site.installed()}
        shown = [
            (offers[0].opkg, here.get(name, ""))
            for name, (_, offers) in offers.items()
            if show.matches(offers[0], words.split())
        ]
        asking = [name for name in here if questions(site.headnode, name).fields]
        return render_template("home.html", shown=shown, words=words, asking=sorted(asking))

    @app.get("/opkg/<name>")
    def opkg(name: str) -> str:
        known, offers = find(repository.load_all(site.state), name)
        return render_template("opkg.html", name=name, text=show.details(known, offers))


def _ask(app: Flask, site: Site) -> None:
    """The pages of questions."""
    one_at_a_time = Lock()

    @app.get("/configure/<name>")
    def form(name: str) -> str:
        asked = questions(site.headnode, _choice(site, name).name)
        answers = settle(asked.fields, asked.old, {}, name)
        return _form(name, asked.fields, answers, saved="saved" in request.args)

    @app.post("/configure/<name>")
    def save(name: str) -> str | AnyResponse:
        choice = _choice(site, name)
        fields = [f for f in questions(site.headnode, name).fields if not f.hidden]
        given = {field.name: _given(field) for field in fields}
        faults = {f.name: fault for f in fields if (fault := f.fault(given[f.name]))}
        if faults:
            return _form(name, fields, given, faults=faults)
        with one_at_a_time:
            site.store(choice, given)
        return redirect(url_for("form", name=name, saved=""), 303)


def _choice(site: Site, name: str) -> Choice:
    for choice in site.installed():
        if choice.name == name:
            return choice
    raise OpkgError(f"{name} is not installed in the headnode", hint=f"opd install {name}")


def _given(field: Field) -> list[str]:
    """What the page sent for a question. Browsers send lines' ends as of old."""
    return [value.replace("\r\n", "\n") for value in request.form.getlist(field.name)]


def _form(
    name: str,
    fields: Sequence[Field],
    answers: Answers,
    *,
    faults: Mapping[str, str] | None = None,
    saved: bool = False,
) -> str:
    return render_template(
        "form.html",
        name=name,
        fields=[field for field in fields if not field.hidden],
        answers=answers,
        faults=faults or {},
        saved=saved,
        buttons=_BUTTONS,
    )
