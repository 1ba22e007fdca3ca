# SPDX-License-Identifier: GPL-2.0-or-later
"""A maintainer's side of uploads: sends files, goes on after breaks, completes them together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from opkg.errors import OpkgError
from opkg.files import sha256_file
from opkg.manifest import read_manifest
from repo_server import deb_changes
from repo_server.repository import Progress

PIECE = 8 << 20
# Seconds to wait before each attempt to go on.
_PATIENCE = (1, 2, 5, 10, 30)
_TIMEOUT = (30, 900)


def named(files: Sequence[Path]) -> dict[str, Path]:
    """The files to send, by their names: manifests with what they name, each in a folder, .changes
    with what they name, and single files. Raises OpkgError."""
    found: dict[str, Path] = {}
    for number, path in enumerate(files, 1):
        if not path.is_file():
            raise OpkgError("there is no such file", where=str(path))
        if path.suffix == deb_changes.SUFFIX:
            found |= {name: path.parent / name for name in deb_changes.read(path).files}
        if path.suffix != ".json":
            found[path.name] = path
            continue
        folder = f"{number}"
        found[f"{folder}/{path.name}"] = path
        for file in read_manifest(path).files:
            found[f"{folder}/{file.file}"] = path.parent / file.file
    return found


@dataclass(frozen=True, kw_only=True)
class Client:
    """The API of the repository at `url`, for who has a token."""

    url: str
    token: str
    progress: Progress

    def upload(self, files: Sequence[Path], channel: str, target: str) -> dict[str, Any]:
        """Send files, with those that manifests among them name, and publish them in a channel;
        what the server says of it. Raises OpkgError."""
        numbers = [self._send(name, path, channel, target) for name, path in named(files).items()]
        self.progress(f"publishing {len(numbers)} files …")
        done: dict[str, Any] = self._ask("POST", "/complete", json={"uploads": numbers}).json()
        return done

    def _send(self, name: str, path: Path, channel: str, target: str) -> str:
        size = path.stat().st_size
        order = {
            "channel": channel,
            "target": target,
            "name": name,
            "size": size,
            "sha256": sha256_file(path),
        }
        state = self._ask("POST", "", json=order).json()
        with path.open("rb") as file:
            while (have := int(state["received"])) < size:
                self.progress(f"{path.name}: {have} of {size} bytes")
                file.seek(have)
                address = f"/{state['id']}?offset={have}"
                state = self._ask("PUT", address, data=file.read(PIECE)).json()
        return str(state["id"])

    def _ask(self, method: str, path: str, **body: Any) -> requests.Response:
        """Ask until there is an answer. Everything may be asked again: nothing happens twice."""
        for wait in (*_PATIENCE, 0):
            try:
                reply = requests.request(
                    method,
                    f"{self.url.rstrip('/')}/api/v1/uploads{path}",
                    headers={"Authorization": f"Bearer {self.token}"},
                    timeout=_TIMEOUT,
                    **body,
                )
            except requests.RequestException as error:
                reason = str(error)
            else:
                if reply.ok:
                    return reply
                if reply.status_code not in (429, 502, 503, 504):
                    raise _refusal(reply)
                reason = f"status {reply.status_code}"
            if wait:
                self.progress(f"no answer, trying again in {wait} s")
                time.sleep(wait)
        raise OpkgError(
            f"no answer: {reason}",
            where=self.url,
            hint="give the same command again later: it goes on where it stopped",
        )


def _refusal(reply: requests.Response) -> OpkgError:
    try:
        problem = reply.json()
        detail, hint = str(problem["detail"]), str(problem.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        return OpkgError(f"the server answered with status {reply.status_code}", where=reply.url)
    faults = "".join(f"; {fault}" for fault in problem.get("faults", ()))
    return OpkgError(f"refused: {detail}{faults}", hint=hint)
