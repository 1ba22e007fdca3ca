# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTTP server: gunicorn, within this process, and the renewal of what it serves."""

from __future__ import annotations

import socket
import sys
import threading
import time
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication

from opkg.console import say
from opkg.errors import OpkgError
from opkg.run import run
from repo_server.app import DOWNLOADS, create_app
from repo_server.repository import Repository
from repo_server.request_log import JsonLogger

WORKERS = 2
THREADS = 16

# What is live is renewed at half of its lifetime, and looked at as often as this, in seconds: a
# server that cannot renew has a week to say so.
RENEW_DAYS = 7
LOOK_EVERY = 3600


class _Server(BaseApplication):
    """gunicorn with settings of ours instead of those of a command line."""

    def __init__(self, app: Flask, settings: dict[str, Any]) -> None:
        self._app = app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for key, value in self._settings.items():
            self.cfg.set(key, value)

    def load(self) -> Any:
        return self._app


def serve(
    repository: Repository, host: str, port: int, *, accel: str = "", log_json: bool = False
) -> None:
    """Serve a repository until SIGTERM or SIGINT; 0 takes any free port. `accel` is as of
    `create_app`; with `log_json`, each request is a line of JSON on stderr. Never returns: the
    process exits with 0. Raises OpkgError where it cannot listen."""
    listener = _listen(host, port)
    taken = listener.getsockname()[1]

    def announce(_arbiter: object) -> None:
        click.echo(f"http://{f'[{host}]' if ':' in host else host}:{taken}/")
        threading.Thread(target=_keep_fresh, args=[repository], daemon=True).start()

    app = create_app(repository, accel=accel)
    settings = {
        "worker_exit": lambda _server, _worker: app.config[DOWNLOADS].flush(),
        "bind": f"fd://{listener.fileno()}",
        "worker_class": "gthread",
        "workers": WORKERS,
        "threads": THREADS,
        # Seconds; after gunicorn's own two, a client that paused finds its connection closed.
        "keepalive": 30,
        "when_ready": announce,
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    if log_json:
        # gunicorn asks its logger for each request only where there is such a file.
        settings |= {"logger_class": JsonLogger, "accesslog": "-"}
    _Server(app, settings).run()


def _keep_fresh(repository: Repository) -> None:
    """Renew the dates before they end, again and again. In the server's first process, so once
    for all workers; a second server on the repository waits for the lock and finds them new."""
    # By a process of its own, since this one forks workers: they would inherit locks.
    command = [sys.executable, "-m", "repo_server", "renew", str(repository.directory)]
    while True:
        try:
            run([*command, "--older-than", str(RENEW_DAYS)])
        except OpkgError as error:
            say(f"the dates of what is published could not be renewed: {error}")
        time.sleep(LOOK_EVERY)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # Python adds the address to the system's words.
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise OpkgError(
            f"cannot listen on {host}, port {port}: {reason}",
            hint="choose another with --host and --port; --port 0 takes a free one",
        ) from error
