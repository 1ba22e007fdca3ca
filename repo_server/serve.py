# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTTP server: gunicorn, within this process."""

from __future__ import annotations

from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from repo_server.app import create_app
from repo_server.repository import Repository

WORKERS = 2
THREADS = 16


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


def serve(repository: Repository, host: str, port: int) -> None:
    """Serve a repository until SIGTERM or SIGINT. Never returns: the process exits with 0."""

    def announce(arbiter: Any) -> None:
        port = arbiter.LISTENERS[0].sock.getsockname()[1]
        print(f"http://{_bracketed(host)}:{port}/", flush=True)  # noqa: T201 (the command's result)

    settings = {
        "bind": f"{_bracketed(host)}:{port}",
        "worker_class": "gthread",
        "workers": WORKERS,
        "threads": THREADS,
        "when_ready": announce,
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    _Server(create_app(repository), settings).run()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
