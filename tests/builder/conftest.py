# SPDX-License-Identifier: GPL-2.0-or-later
"""OPKGs written for a test, and the real opkgc."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.programs import forked

CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<oscar>
  <name>{name}</name>
  <class>included</class>
  <summary>A sample</summary>
  <description>What it does.</description>
  <license>GPL</license>
  <group>Applications/System</group>
  <authors>
    <author cat="maintainer"><name>Max</name><email>max@sample.example</email></author>
  </authors>
  {body}
  <changelog>
    <versionEntry version="{version}">
      <changelogEntry authorName="Max" date="2026-03-01T12:00:00+01:00">
        <item>100 % new &amp; better.</item>
      </changelogEntry>
    </versionEntry>
  </changelog>
</oscar>
"""

RECIPE = """
[source.main]
path = "src"

[[step]]
name = "install"
run = '''
install -D -m 755 hello "$DESTDIR/usr/bin/hello-{name}"
install -D -m 644 hello.conf "$DESTDIR/etc/hello-{name}.conf"
install -D -m 644 data "$DESTDIR/usr/share/hello-{name}/data"
'''

[[package]]
name = "hello-{name}"
part = "server"
summary = "Says hello"
description = "Says hello, 100 % of the time."
architecture = "all"
files = ["/usr/bin/*", "/usr/share/hello-{name}/**", "/etc/*"]
config = ["/etc/*.conf"]
requires = ["bash", {{ name = "coreutils", on = ["deb"] }}]
"""

PARTS = """
[source.main]
{source}

[build]
{build}

[[step]]
name = "install"
{step}

[[package]]
name = "thing"
summary = "a thing"
description = "It is installed, and that is all."
architecture = "all"
files = ["/usr/share/thing/**"]
{package}
"""
COPY = 'install -D -m 644 -t "$DESTDIR/usr/share/thing" thing'
INSTALL = f"run = '{COPY}'"

Write = Callable[..., Path]
Link = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test, or another run of this one, has built must not be taken for built."""
    monkeypatch.setenv("OPKG_STORE", "none")


@pytest.fixture
def opkg(tmp_path: Path) -> Write:
    """Writes an OPKG: its name, version, a part of config.xml, and files by path."""

    def write(
        name: str = "sample",
        *,
        version: str = "1.0-1",
        body: str = "",
        files: Mapping[str, str] | None = None,
        recipe: bool = False,
        where: Path = tmp_path / "opkgs",
    ) -> Path:
        folder = where / name
        everything = {
            "config.xml": CONFIG.format(name=name, version=version, body=body),
            **(files or {}),
        }
        if recipe:
            everything |= {
                "build.toml": RECIPE.format(name=name),
                "src/hello": "#!/bin/sh\necho hello\n",
                "src/hello.conf": "greeting=hello\n",
                "src/data": "data\n",
                **(files or {}),
            }
        for path, text in everything.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return folder

    return write


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The builder's cache, empty."""
    monkeypatch.setenv("OPKG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def recipe(opkg: Write, cache: Path) -> Write:
    """Writes an OPKG whose recipe is put together from parts; the test has a `cache` of its own."""

    def write(
        source: str = 'path = "src"',
        *,
        build: str = "",
        step: str = INSTALL,
        package: str = "",
        files: dict[str, str] | None = None,
    ) -> Path:
        text = PARTS.format(source=source, build=build, step=step, package=package)
        return opkg("thing", files={"build.toml": text, "src/thing": "here\n", **(files or {})})

    return write


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Ranges, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Gives the rest of a file to who asks for it, and notes who asked for what."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        path = Path(self.translate_path(self.path))
        with Path(self.directory, "log").open("a") as log:
            log.write(f"{self.path} {wanted}\n")
        if not wanted or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()[int(wanted.removeprefix("bytes=").rstrip("-")) :]
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


def opkgc(*words: str | Path, check: bool = True, lint: bool = False) -> CompletedProcess[str]:
    """Run opkgc as a person would; without `lint` the checkers, which take seconds, are off, and
    nothing is taken from a store that the environment does not name."""
    env = {"OPKG_STORE": "none", **os.environ, "OPKG_BUILD_LINT": str(lint)}
    done = forked("builder", *words, env=env)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def results(printed: str) -> list[dict[str, Any]]:
    """The results that `opkgc build --json` ends with."""
    found: list[dict[str, Any]] = json.loads(printed.splitlines()[-1])["results"]
    return found


LINK = """
[source.main]
path = "src"

[build]
requires = [{requires}]

[[step]]
name = "install"
run = '''
{step}
install -d "$DESTDIR/usr/share/{name}"
cat words {read} > "$DESTDIR/usr/share/{name}/words"
'''

[[package]]
name = "{name}-data"
summary = "words of {name}"
description = "What others are built with."
architecture = "all"
files = ["/usr/share/{name}/**"]
requires = [{installed}]
"""


@pytest.fixture
def link(opkg: Write) -> Link:
    """Writes an OPKG that is built with the packages of others: with their words behind its own."""

    def write(
        name: str, needs: Sequence[str] = (), *, step: str = ":", installed: Sequence[str] = ()
    ) -> Path:
        recipe = LINK.format(
            name=name,
            requires=", ".join(f'"{need}-data"' for need in needs),
            read=" ".join(f"/usr/share/{need}/words" for need in needs),
            installed=", ".join(f'"{each}-data"' for each in installed),
            step=step,
        )
        return opkg(name, files={"build.toml": recipe, "src/words": f"{name}\n"})

    return write


def words_in(out: Path, name: str) -> list[str]:
    deb = next(out.glob(f"*/{name}-data_*.deb"))
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True)
    line = ["tar", "-xO", f"./usr/share/{name}/words"]
    return subprocess.run(line, input=tar.stdout, capture_output=True).stdout.decode().split()
