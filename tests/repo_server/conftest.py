# SPDX-License-Identifier: GPL-2.0-or-later
"""Real packages made by the native tools, and repositories made of them by the real command."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from opkg.document import encode
from opkg.files import sha256_file
from opkg.manifest import Artifact, Manifest, OpkgInfo
from opkg.run import run
from opkg.spec import Part

# What commands import when they are asked for: here once for all forks.
from repo_server import catalog, check, cli_access, cli_advisories, cli_channels, cli_mirror, create  # noqa: F401
from repo_server.tables import Base
from tests.programs import forked
from tests.repo_server.upstreams import Mirrors, Signer, signer

DEB_TARGET = "debian-12-x86_64"
RPM_TARGET = "demo-rpm-9-x86_64"
OPKG = "alpha"
VERSION = "1.0-1"

SPEC = """
Name: {name}
Version: {version}
Release: {release}
Summary: A package for tests
License: GPL-2.0-or-later
BuildArch: noarch
{requires}
%description
It holds one file <& says so>.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
echo '{content}' > %{{buildroot}}/usr/share/{name}/content
%files
/usr/share/{name}
%changelog
* Mon Jan 01 2024 Some Body <some@body.example> - 1.0-1
- Made for tests
"""


def build_deb(
    folder: Path,
    name: str,
    version: str,
    *,
    content: str = "one",
    architecture: str = "all",
    depends: str = "",
    compression: str = "xz",
    source: str = f"opkg-{OPKG}",
) -> Path:
    """A .deb, by dpkg-deb."""
    root = folder / f"{name}.root"
    place = root / "usr/share" / name
    place.mkdir(parents=True, exist_ok=True)
    # Not compressible, so that the archive is long enough to be damaged inside.
    (place / "content").write_text(content + "\n" + os.urandom(4096).hex())
    (root / "DEBIAN").mkdir(exist_ok=True)
    control = {
        "Package": name,
        "Source": source,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "Some Body <some@body.example>",
        "Depends": depends,
        "Description": "A package for tests\n It holds one file.\n .\n And says so.",
    }
    lines = [f"{key}: {value}" for key, value in control.items() if value]
    (root / "DEBIAN/control").write_text("\n".join([*lines, ""]))
    target = folder / f"{name}_{version}_{architecture}.deb"
    run(["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", root, target])
    return target


def build_rpm(
    folder: Path,
    name: str,
    version: str,
    *,
    content: str = "one",
    requires: str = "",
) -> Path:
    """An unsigned .rpm, by rpmbuild."""
    upstream, release = version.rsplit("-", 1)
    spec = folder / f"{name}.spec"
    spec.write_text(
        SPEC.format(
            name=name,
            version=upstream,
            release=release,
            content=content,
            requires=f"Requires: {requires}" if requires else "",
        )
    )
    run(["rpmbuild", "--quiet", "--define", f"_topdir {folder}/top", "-bb", spec])
    return folder / f"top/RPMS/noarch/{name}-{version}.noarch.rpm"


def write_manifest(
    folder: Path, target: str, artifacts: Sequence[Artifact], version: str = VERSION
) -> Path:
    """The manifest of one OPKG, as the builder writes it."""
    info = OpkgInfo(
        name=OPKG,
        version=version,
        category="included",
        summary="Software for tests",
        description="First paragraph.\n\nSecond, with <b>no</b> markup.",
        licence="GPL-2.0-or-later",
        groups=("System/Tests",),
        uri="http://alpha.example/",
        maintainer="Some Body <some@body.example>",
        relations=(),
        scripts=("server-post-install",),
        changed="2024-01-01T00:00:00+00:00",
    )
    manifest = Manifest(
        format=1, target=target, tools={}, inputs=(), opkgs=(info,), artifacts=tuple(artifacts)
    )
    path = folder / "manifest.json"
    path.write_bytes(encode(manifest))
    return path


def artifact(path: Path, name: str, version: str, architecture: str, part: Part | None) -> Artifact:
    """What a manifest says of a file beside it."""
    return Artifact(
        opkg=OPKG,
        part=part,
        name=name,
        version=version,
        architecture=architecture,
        file=path.name,
        size=path.stat().st_size,
        sha256=sha256_file(path),
    )


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """The two native builders."""
    return SimpleNamespace(deb=build_deb, rpm=build_rpm)


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build leaves for one target: a folder with packages and their manifest."""

    manifest: Path
    packages: tuple[Path, ...]


def build_debs(folder: Path, version: str) -> Built:
    """The OPKG alpha for Debian: three parts, and a further package for one architecture."""
    native = f"{version}~deb12"
    rows = [
        (Part.API, "opkg-alpha", "all", ""),
        (Part.SERVER, "opkg-alpha-server", "all", f"opkg-alpha (= {native}), alpha"),
        (Part.CLIENT, "opkg-alpha-client", "all", ""),
        (None, "alpha", "amd64", ""),
    ]
    built = [
        (build_deb(folder, name, native, architecture=arch, depends=depends), name, arch, part)
        for part, name, arch, depends in rows
    ]
    artifacts = [artifact(path, name, native, arch, part) for path, name, arch, part in built]
    return Built(
        manifest=write_manifest(folder, DEB_TARGET, artifacts, version),
        packages=tuple(path for path, *_ in built),
    )


@pytest.fixture(scope="session")
def offer() -> Callable[[Path, str], Path]:
    """Builds alpha for Debian in another version and gives the manifest."""
    return lambda folder, version: build_debs(folder, version).manifest


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Alpha for Debian."""
    return build_debs(tmp_path_factory.mktemp("debs"), VERSION)


@pytest.fixture(scope="session")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The OPKG alpha for an RPM distribution, unsigned."""
    folder = tmp_path_factory.mktemp("rpms")
    version = f"{VERSION}.demo9"
    rows = [
        (Part.API, "opkg-alpha", ""),
        (Part.SERVER, "opkg-alpha-server", f"opkg-alpha = {version}"),
        (Part.CLIENT, "opkg-alpha-client", ""),
    ]
    built = []
    for part, name, requires in rows:
        path = build_rpm(folder, name, version, requires=requires)
        built.append((path.rename(folder / path.name), name, part))
    artifacts = [artifact(path, name, version, "noarch", part) for path, name, part in built]
    return Built(
        manifest=write_manifest(folder, RPM_TARGET, artifacts),
        packages=tuple(path for path, *_ in built),
    )


@dataclass(frozen=True, kw_only=True)
class Repo:
    """A repository, and the command opkg-repo on it."""

    directory: Path

    @property
    def live(self) -> Path:
        return self.directory / "live"

    @property
    def generations(self) -> Path:
        return self.live / "generations"

    @property
    def number(self) -> int:
        """The live generation."""
        return int((self.live / "current").readlink().name)

    def packages(self, path: str) -> str:
        """The text of a list of Debian packages, for the folder of its architecture."""
        return gzip.decompress((self.live / path / "Packages.gz").read_bytes()).decode()

    def start(self, command: str, *arguments: str | Path) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "repo_server", command, self.directory, *arguments]
        return subprocess.Popen(
            [str(word) for word in argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )

    def run(self, command: str, *arguments: str | Path, status: int = 0) -> tuple[str, str]:
        """Run a command to its end, expect its exit status, and return what it said."""
        # Of a group of commands, the folder comes after the second word.
        place = 1 if command in ("advisory", "signer", "token") else 0
        words = [*arguments[:place], self.directory, *arguments[place:]]
        done = forked("repo_server", command, *words)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout, done.stderr

    def json(self, command: str, *arguments: str | Path, status: int = 0) -> Any:
        return json.loads(self.run(command, *arguments, "--json", status=status)[0])

    def refusal(self, *arguments: str | Path) -> str:
        """The one error with which `add` refuses these arguments, leaving everything as it was."""
        before = self.state()
        _, err = self.run("add", "--channel", "testing", *arguments, status=1)
        assert self.state() == before
        errors = [line for line in err.splitlines() if "error:" in line]
        assert len(errors) == 1, err
        assert "Traceback" not in err
        return errors[0]

    def state(self) -> tuple[list[str], list[str]]:
        """All that the catalog holds, and every file of the repository that could have grown."""
        with catalog.opened(self.directory) as session:
            rows = [
                f"{table.name} {row}"
                for table in Base.metadata.sorted_tables
                for row in session.execute(select(table).order_by(*table.primary_key))
            ]
        files = [
            f"{path.relative_to(self.directory)} {sha256_file(path) if path.is_file() else ''}"
            for top in ("pool", "staging", "live/generations", "live/packages")
            for path in sorted((self.directory / top).rglob("*"))
        ]
        return rows, files

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address of the repository while its own server runs."""
        process = self.start("serve", "--port", "0")
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            _, err = process.communicate()
        assert process.returncode == 0, err


MakeRepo = Callable[[], Repo]


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A repository as `init` makes it. Not to be changed."""
    repo = Repo(directory=tmp_path_factory.mktemp("empty") / "repo")
    repo.run("init")
    return repo


@pytest.fixture
def make_repo(tmp_path: Path, empty: Repo) -> MakeRepo:
    """Makes empty repositories, which share their keys."""

    def make() -> Repo:
        repo = Repo(directory=tmp_path / f"repo{len(list(tmp_path.glob('repo*')))}")
        shutil.copytree(empty.directory, repo.directory, symlinks=True)
        return repo

    return make


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, debs: Built, rpms: Built) -> Repo:
    """A repository with alpha published for both targets. Not to be changed."""
    repo = Repo(directory=tmp_path_factory.mktemp("published") / "repo")
    repo.run("init")
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    repo.run("publish")
    return repo


@pytest.fixture
def mirror(published, tmp_path) -> Path:
    """A copy of the published tree that a test may spoil."""
    copy = tmp_path / "mirror"
    shutil.copytree(published.live, copy)
    return copy


@pytest.fixture
def changing(make_repo, debs, rpms):
    """A repository with alpha published, that may be changed."""
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    repo.run("publish")
    return repo


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place])
    try:
        yield place
    finally:
        run(["umount", place])


def fill(place: Path, *, leave: int) -> Path:
    """Fill a file system up to `leave` bytes."""
    ballast = place / "ballast"
    room = os.statvfs(place)
    ballast.write_bytes(bytes(max(room.f_bavail * room.f_frsize - leave, 0)))
    return ballast


@pytest.fixture
def mirrors(make_repo) -> Mirrors:
    return Mirrors(make_repo())


@pytest.fixture(scope="session")
def by() -> Iterator[Signer]:
    """Who signs what is mirrored."""
    with signer() as made:
        yield made
