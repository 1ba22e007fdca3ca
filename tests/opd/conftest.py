# SPDX-License-Identifier: GPL-2.0-or-later
"""A small world for OPD: OPKGs built by the real opkgc, published by the real opkg-repo, and roots
to install them into."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pexpect
import pytest
from filelock import FileLock

from tests.lab.roots import debian_root, overlay, unpacked
from tests.lab.standin import KEY_FILE, standin_repository
from tests.programs import forked, on_terminal

TOLD = "told"

CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<oscar>
  <name>{name}</name>
  <class>included</class>
  <summary>{name} for tests, [bold]as it is[/bold]</summary>
  <description>It does nothing but tell.</description>
  <license>GPL</license>
  <group>Applications/System</group>
  <authors>
    <author cat="maintainer"><name>Max</name><email>max@sample.example</email></author>
  </authors>
  {relations}
  <changelog>
    <versionEntry version="{version}">
      <changelogEntry authorName="Max" date="2026-03-01T12:00:00+01:00"><item>Made.</item>
      </changelogEntry>
    </versionEntry>
  </changelog>
</oscar>
"""
# Each script leaves a line in the root that it runs in, and says one.
TELL = """#!/bin/sh
me=$(basename "$0")
echo "{name} {version} $me $*" >> /{told}
services=$(test -e /usr/sbin/policy-rc.d || echo yes)
echo "$me of {name} in $OSCAR_PACKAGE_HOME, starting services: $services"
{rest}
"""
PHASES = ("api-post-install", "server-post-install", "client-post-install", "api-post-image")
# While the headnode has the file, the script does not end.
GATE = "touch /gate-reached; while test -e /gate-closed; do sleep 0.05; done; rm /gate-reached"
SPOIL = "echo half > /etc/half; rm /etc/passwd; exit 3"

# Name, version: what config.xml says of other OPKGs, and what a script does beside telling.
OPKGS: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("alpha", "1.0-1"): ("", {}),
    ("alpha", "2.0-1"): ("", {}),
    # Sorts before what it requires.
    ("aback", "1.0-1"): ("<requires><pkg>alpha</pkg></requires>", {}),
    ("blue", "1.0-1"): ("", {}),
    ("red", "1.0-1"): ("<conflicts><pkg>blue</pkg></conflicts>", {}),
    ("lonely", "1.0-1"): ("<requires><pkg>absent</pkg></requires>", {}),
    ("sulky", "1.0-1"): ("", {"client-post-install": SPOIL}),
    ("sulky", "2.0-1"): ("", {}),
    ("stuck", "1.0-1"): ("", {"server-post-install": "test -e /mended"}),
    ("gate", "1.0-1"): ("", {"api-post-image": GATE}),
}  # fmt: skip
FIRST = [key for key in OPKGS if key[1] == "1.0-1"]


def write_opkg(folder: Path, name: str, version: str) -> Path:
    """Write the directory of one of OPKGS."""
    relations, rest = OPKGS[name, version]
    place = folder / version / name
    (place / "scripts").mkdir(parents=True)
    config = CONFIG.format(name=name, version=version, relations=relations)
    (place / "config.xml").write_text(config)
    for script in PHASES:
        text = TELL.format(name=name, version=version, told=TOLD, rest=rest.get(script, ""))
        (place / "scripts" / script).write_text(text)
    return place


def program(name: str, *words: str | Path, env: dict[str, str] | None = None) -> str:
    """Run one of the programs to a good end; what it printed."""
    done = forked(name, *words, env={**os.environ, **(env or {})})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Repository:
    """What was built, and the repository with the first versions of it."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "repository"

    @property
    def live(self) -> Path:
        return (self.root / "live").resolve()

    @property
    def root_json(self) -> Path:
        return self.live / "keys/root.json"

    @property
    def fingerprint(self) -> str:
        return (self.folder / "fingerprint").read_text()

    def copy(self, folder: Path) -> Repository:
        """The same, to be spoiled. Plain copies: generations share what they publish."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Repository(folder)

    def publish_second(self) -> None:
        """Publish the second versions."""
        manifests = self.folder.glob("second/*/manifest.json")
        program("repo_server", "add", self.root, "--channel", "stable", *manifests)
        program("repo_server", "publish", self.root)


def _build(folder: Path, out: str, keys: list[tuple[str, str]]) -> None:
    sources = [write_opkg(folder / "sources" / out, name, version) for name, version in keys]
    targets = ("-t", "debian-12", "-t", "demo-rpm")
    program("builder", "build", *sources, *targets, "--no-lint", "-o", folder / out)


def publish_opkgs(folder: Path, opkgs: dict[str, dict[str, str]], **relations: str) -> Repository:
    """A repository with OPKGs of a test's own for Debian, in a folder: for each name the files that
    it has beside config.xml, which has what `relations` says of it."""
    made = Repository(folder)
    for name, files in opkgs.items():
        config = CONFIG.format(name=name, version="1.0-1", relations=relations.get(name, ""))
        for path, text in {"config.xml": config, **files}.items():
            place = folder / "opkgs" / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(0o755)
    sources = [folder / "opkgs" / name for name in opkgs]
    program("builder", "build", *sources, "-t", "debian-12", "--no-lint", "-o", folder / "out")
    program("repo_server", "init", made.root)
    manifest = next(folder.glob("out/*/manifest.json"))
    program("repo_server", "add", made.root, "--channel", "stable", manifest)
    program("repo_server", "publish", made.root)
    return made


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def _once(folder: Path) -> Iterator[bool]:
    """Whether `folder` is still to be made, while no other worker makes it."""
    with FileLock(folder.with_suffix(".lock")):
        done = folder.with_suffix(".done")
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def published(shared: Path) -> Repository:
    """The first versions, published. Not to be changed."""
    made = Repository(shared / "opd-published")
    with _once(made.folder) as needed:
        if needed:
            _build(made.folder, "first", FIRST)
            _build(made.folder, "second", [key for key in OPKGS if key not in FIRST])
            keys = dict(
                line.split() for line in program("repo_server", "init", made.root).splitlines()
            )
            (made.folder / "fingerprint").write_text(keys["root"])
            manifests = made.folder.glob("first/*/manifest.json")
            program("repo_server", "add", made.root, "--channel", "stable", *manifests)
            program("repo_server", "publish", made.root)
    return made


@contextmanager
def serve(repository: Path) -> Iterator[str]:
    """The address of a repository while opkg-repo serves it."""
    argv = [sys.executable, "-m", "repo_server", "serve", str(repository), "--port", "0"]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def serve_files(
    folder: Path, handler: Callable[..., SimpleHTTPRequestHandler] = _Quiet
) -> Iterator[str]:
    """The address of plain files while this process serves them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def url(published: Repository) -> Iterator[str]:
    """Where the first versions are served."""
    with serve(published.root) as address:
        yield address


@pytest.fixture(scope="session")
def targets(shared: Path) -> Path:
    """A table of targets in which demo-rpm has its mirror, and a small base."""
    standin = standin_repository()
    path = shared / "opd-targets.toml"
    text = (
        '[distributions.demo-rpm-9]\nbase = ["demo-rpm-release", "setup", "bash", "coreutils"]\n'
        f'[[distributions.demo-rpm-9.mirrors]]\nname = "demo-rpm"\nurl = "{standin.as_uri()}"\n'
        f'key = "{(standin / KEY_FILE).as_uri()}"\n'
    )
    with _once(path) as needed:
        if needed:
            path.write_text(text)
    return path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Opd:
    """The real command, with a state folder and a headnode root of its own."""

    state: Path
    headnode: Path
    env: dict[str, str]

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "opd", "--state", self.state, "--headnode-root",
                self.headnode, *words]  # fmt: skip
        return subprocess.Popen(
            [str(word) for word in argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )

    def on_terminal(
        self, *words: str | Path, first: Callable[[], None] | None = None
    ) -> pexpect.spawn[str]:
        argv = [sys.executable, "-m", "opd", "--state", self.state, "--headnode-root",
                self.headnode, *words]  # fmt: skip
        return on_terminal(argv, env=self.env, first=first)

    def run(self, *words: str | Path, status: int = 0) -> Done:
        """Run it to its end, expect its exit status and no traceback."""
        done = forked(
            "opd", "--state", self.state, "--headnode-root", self.headnode, *words, env=self.env
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str | Path) -> Any:
        return json.loads(self.run(*words, "--json").out)

    def image(self, name: str) -> Path:
        """The live tree of a managed image."""
        return (self.state / "images" / name / "root").resolve()

    def generations(self, name: str) -> list[str]:
        return sorted(
            path.name for path in (self.state / "images" / name / "generations").iterdir()
        )

    def told(self, root: Path | None = None) -> list[str]:
        """What scripts told in a root; otherwise in the headnode."""
        path = (root or self.headnode) / TOLD
        return path.read_text().splitlines() if path.exists() else []


def finish(process: subprocess.Popen[str], status: int = 0) -> Done:
    out, err = process.communicate()
    assert process.returncode == status, out + err
    assert "Traceback" not in err
    return Done(process.returncode, out, err)


@pytest.fixture
def env(targets: Path) -> dict[str, str]:
    """The environment of the commands: nothing of this machine's settings for OPD."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPD_")}
    return {**own, "OPKG_TARGETS": str(targets), "COLUMNS": "80", "LC_ALL": "C.UTF-8"}


def forget_archive(root: Path) -> None:
    """No test asks Debian's archive."""
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    shutil.rmtree(root / "etc/apt/sources.list.d", ignore_errors=True)


@pytest.fixture
def headnode() -> Iterator[Path]:
    """A Debian root to be changed at will."""
    with overlay(unpacked(debian_root())) as root:
        forget_archive(root)
        yield root


def copy_tree(origin: Path, place: Path) -> None:
    """A copy in all but the times of looking."""
    subprocess.run(["cp", "--archive", "--no-target-directory", origin, place], check=True)


@pytest.fixture
def deb_image(tmp_path: Path) -> Path:
    """A Debian root that somebody else made: an image for --image DIR."""
    root = tmp_path / "compute-deb"
    copy_tree(unpacked(debian_root()), root)
    forget_archive(root)
    return root


@pytest.fixture
def alone(
    tmp_path: Path, headnode: Path, env: dict[str, str], published: Repository, url: str
) -> Opd:
    """A headnode that trusts the repository, and has no image."""
    opd = Opd(tmp_path / "state", headnode, env)
    opd.run("repo", "add", url, "--root-key", published.root_json, "--name", "test")
    return opd


@pytest.fixture(scope="session")
def rpm_state(shared: Path, targets: Path) -> Path:
    """A state folder with a managed image `rpm`, made by opd. Not to be changed."""
    state = shared / "opd-rpm-state"
    with _once(state) as needed:
        if needed:
            env = {"OPKG_TARGETS": str(targets)}
            program("opd", "--state", state, "image", "create", "rpm", "-t", "demo-rpm", env=env)
    return state


@pytest.fixture
def cluster(rpm_state: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Opd:
    """A headnode and the managed image `rpm`, trusting the repository."""
    copy_tree(rpm_state, tmp_path / "state")
    made: Opd = request.getfixturevalue("alone")
    return made
