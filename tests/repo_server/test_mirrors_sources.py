# SPDX-License-Identifier: GPL-2.0-or-later
"""Mirrors of source packages, and of flat apt repositories."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from opkg.run import run
from tests.repo_server.clients import Client, any_web_server, apt_client
from tests.repo_server.conftest import DEB_TARGET
from tests.repo_server.test_repo_sources import debian_source
from tests.repo_server.upstreams import SUITE, Mirrors, Signer, files, flaky, index_apt

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages(tmp_path_factory, build) -> Path:
    """A deb for all machines, one for others, and a source package."""
    work, pool = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("pool")
    shutil.copy(build.deb(work, "tool", "1.0-1"), pool)
    shutil.copy(build.deb(work, "foreign", "1.0-1", architecture="arm64"), pool)
    for path in debian_source(work, "1.0-1").parent.iterdir():
        if path.is_file() and path.suffix != ".deb":
            shutil.copy(path, pool)
    return pool


def add(mirrors: Mirrors, url: str, by: Signer, *words: str) -> None:
    mirrors.run("add", "other", url, "--key", by.key, *words)


def client(folder: Path, by: Signer, url: str, suite: str, components: str) -> Client:
    """apt of a machine that takes the copy for the repository itself."""
    (folder / "keys/keys").mkdir(parents=True)
    shutil.copy(by.key, folder / "keys/keys/repository.asc")
    apt = apt_client(folder / "apt", folder / "keys", url)
    (folder / "apt/etc/test.sources").write_text(
        f"Types: deb deb-src\nURIs: {url}mirror/other/\nSuites: {suite}\n{components}"
        f"Signed-By: {folder}/apt/key.asc\n"
    )
    done = apt("update", "--error-on=any")
    assert done.status == 0, done.stderr
    return apt


def gets_both(apt: Client, folder: Path) -> None:
    """See that apt gets the package, and the source package."""
    done = apt("download", "tool")
    assert done.status == 0, done.stderr
    done = apt("source", "--download-only", "beta")
    assert done.status == 0, done.stderr
    assert list((folder / "apt").glob("beta_*.dsc"))
    assert list((folder / "apt").glob("beta_*.debian.tar.*"))


def test_source_packages_are_copied_where_they_are_wanted(mirrors, packages, by, tmp_path):
    archive = tmp_path / "archive"
    shutil.copytree(packages, archive / "pool")
    lists = archive / f"dists/{SUITE}/main/source"
    lists.mkdir(parents=True)
    told = run(["apt-ftparchive", "sources", "pool"], cwd=archive).stdout
    (lists / "Sources").write_text(told)
    run(["xz", "-kf", lists / "Sources"])
    index_apt(archive, by)
    with flaky(archive) as upstream:
        add(mirrors, upstream.url, by, "--suite", SUITE)
        mirrors.sync()
        assert not [path for path in files(mirrors.shown) if "beta" in path or "Sources" in path]
        mirrors.run("remove", "other")
        add(mirrors, upstream.url, by, "--suite", SUITE, "--sources")
        mirrors.sync()
        theirs = files(upstream.folder)
        assert {path for path in theirs if "beta" in path} < set(files(mirrors.shown))
    with any_web_server(mirrors.repo.live) as url:
        gets_both(client(tmp_path, by, url, SUITE, "Components: main\n"), tmp_path)


@pytest.mark.parametrize("place", ["./", "stable/x86/"])
def test_a_flat_repository_is_copied(mirrors, packages, by, tmp_path, place):
    archive = tmp_path / "archive"
    folder = archive / place
    shutil.copytree(packages, folder)
    for kind in ("packages", "sources"):
        told = run(["apt-ftparchive", kind, place], cwd=archive).stdout
        (folder / kind.capitalize()).write_text(told)
        run(["gzip", "-nkf", folder / kind.capitalize()])
    (folder / "Release").write_text(run(["apt-ftparchive", "release", folder]).stdout)
    by.clear(folder / "Release", folder / "InRelease")
    with flaky(archive) as upstream:
        add(mirrors, upstream.url, by, "--suite", place, "--sources", "--architecture", "amd64")
        mirrors.sync()
        assert mirrors.health()["complete"]
        assert not any("foreign" in path for path in files(mirrors.shown))
        # The same, into a channel of ours.
        words = ("--suite", place, "--into", "extra", "--target", DEB_TARGET)
        mirrors.run("add", "part", upstream.url, "--key", by.key, *words)
        mirrors.run("sync", "part")
    listed = mirrors.repo.packages("deb/extra/dists/debian-12/main/binary-amd64")
    assert "Package: tool\n" in listed
    assert "foreign" not in listed
    with any_web_server(mirrors.repo.live) as url:
        gets_both(client(tmp_path, by, url, place, ""), tmp_path)


def test_source_packages_of_what_has_no_list_of_them_are_refused(mirrors, by):
    for words in (("--sources",), ("--sources", "--suite", "x", "--into", "c", "--target", "x")):
        told = ("add", "other", "http://x.example", "--key", by.key, *words)
        assert "leave --sources out" in mirrors.run(*told, status=1)
