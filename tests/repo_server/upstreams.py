# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories of somebody else, made by their own tools, behind a web server that can fail."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from opkg.files import sha256_file
from opkg.run import run
from tests.programs import forked

if TYPE_CHECKING:
    from tests.repo_server.conftest import Repo

SUITE = "steady"


@dataclass
class Flaky:
    """Serves a folder, with ranges. `breaks` says after how many bytes an answer to a path that
    ends so breaks off, or waits for `go_on` where that is not set; `asked` are the paths, with the
    byte from which."""

    folder: Path
    breaks: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    url: str = ""
    go_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go_on.set()

    @property
    def packages(self) -> list[str]:
        """The names of the packages that were asked for."""
        return [
            path.rpartition("/")[2] for path, _ in self.asked if path.endswith((".deb", ".rpm"))
        ]


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, flaky: Flaky, *arguments: object) -> None:
        self._flaky = flaky
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        start = int((re.findall(r"\d+", self.headers.get("Range", "")) or [0])[0])
        self._flaky.asked.append((path, start))
        place = self._flaky.folder / path.lstrip("/")
        if not place.is_file():
            self.send_error(404)
            return
        data = place.read_bytes()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = next((n for tail, n in self._flaky.breaks.items() if path.endswith(tail)), len(data))
        self.wfile.write(data[start : max(start, end)])
        self.wfile.flush()
        if end < len(data):
            self._flaky.go_on.wait(60)

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def flaky(folder: Path) -> Iterator[Flaky]:
    """A server of a folder."""
    served = Flaky(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, served))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        served.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Mirrors:
    """`opkg-repo mirror` on a repository."""

    repo: Repo

    def run(self, command: str, *words: str | Path, status: int = 0) -> str:
        done = forked("repo_server", "mirror", command, self.repo.directory, *words)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def sync(self, *, status: int = 0) -> str:
        return self.run("sync", "other", status=status)

    def add_apt(self, upstream: Flaky, by: Signer, *words: str) -> None:
        self.run("add", "other", upstream.url, "--suite", SUITE, "--key", by.key, *words)

    def health(self) -> dict[str, object]:
        done = forked("repo_server", "mirror", "list", "--json", self.repo.directory)
        [row] = json.loads(done.stdout)
        return dict(row)

    @property
    def shown(self) -> Path:
        return self.repo.live / "mirror/other"


def files(folder: Path) -> dict[str, str]:
    """The digests of the files in a folder, by their paths."""
    return {
        str(Path(top, name).relative_to(folder)): sha256_file(Path(top, name))
        for top, _, names in os.walk(folder, followlinks=True)
        for name in names
    }


@dataclass(frozen=True)
class Signer:
    """gpg with one key, whose public half is `key`."""

    home: Path
    key: Path

    def clear(self, path: Path, into: Path) -> None:
        self._gpg("--clearsign", "--output", into, path)

    def detached(self, path: Path, into: Path) -> None:
        self._gpg("--armor", "--detach-sign", "--output", into, path)

    def _gpg(self, *words: str | Path) -> None:
        run(["gpg", "--homedir", self.home, "--batch", "--yes", "--quiet", *words])


@contextmanager
def signer() -> Iterator[Signer]:
    """gpg with a fresh key; in /tmp, for its agent's socket."""
    with tempfile.TemporaryDirectory(prefix="opkg-", dir="/tmp") as folder:
        home = Path(folder)
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
        who = "Somebody Else <else@body.example>"
        run([*gpg, "--passphrase", "", "--quick-generate-key", who, "rsa3072", "sign", "never"])
        run([*gpg, "--armor", "--output", home / "key.asc", "--export"])
        yield Signer(home, home / "key.asc")
        run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


def index_apt(
    archive: Path, by: Signer, *, valid_until: str = "", date: datetime | None = None
) -> None:
    """Make the lists of an archive, by apt-ftparchive, and sign them, as of `date`, or now."""
    folder = archive / f"dists/{SUITE}"
    binary = folder / "main/binary-amd64"
    binary.mkdir(parents=True, exist_ok=True)
    packages = run(["apt-ftparchive", "packages", "pool"], cwd=archive).stdout
    (binary / "Packages").write_text(packages)
    run(["xz", "-kf", binary / "Packages"])
    run(["gzip", "-nkf", binary / "Packages"])
    options = {"Suite": SUITE, "Codename": SUITE, "Components": "main", "Architectures": "amd64"}
    if valid_until:
        options["ValidTime"] = valid_until
    words = [f"-oAPT::FTPArchive::Release::{key}={value}" for key, value in options.items()]
    (folder / "Release").unlink(missing_ok=True)
    text = run(["apt-ftparchive", *words, "release", folder]).stdout
    if date:
        text = re.sub(r"^Date:.*$", f"Date: {format_datetime(date)}", text, flags=re.MULTILINE)
    (folder / "Release").write_text(text)
    by.clear(folder / "Release", folder / "InRelease")
    by.detached(folder / "Release", folder / "Release.gpg")


def index_rpm(folder: Path, by: Signer, *words: str) -> None:
    """Make the lists of a folder of RPMs, by createrepo_c, and sign them."""
    run(["createrepo_c", "--quiet", *words, folder])
    by.detached(folder / "repodata/repomd.xml", folder / "repodata/repomd.xml.asc")
