# SPDX-License-Identifier: GPL-2.0-or-later
"""Mirrors of a repository of our own kind, by our own command and by plain tools."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from opkg.files import sha256_file
from opkg.run import run
from tests.programs import forked
from tests.repo_server.clients import (
    SERVER,
    add_published,
    any_web_server,
    apt_client,
    dnf_client,
    fetch_index,
    spoil,
    updater,
)
from tests.repo_server.conftest import DEB_TARGET, Repo
from tests.repo_server.upstreams import Mirrors, files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def upstream(published) -> Iterator[str]:
    with published.served() as url:
        yield url


def add(mirrors: Mirrors, url: str, published: Repo, *words: str) -> None:
    root = sha256_file(published.live / "keys/root.json")
    mirrors.run("add", "other", url, "--channel", "testing", "--root-key", root, *words)


def check_by_clients(tree: Path, url: str, folder: Path) -> None:
    """What apt, dnf and TUF's client say of a copy."""
    apt = apt_client(folder / "apt", tree, url)
    done = apt("update", "--error-on=any")
    assert done.status == 0, done.stderr
    done = apt("download", SERVER)
    assert done.status == 0, done.stderr
    done = dnf_client(folder / "dnf", tree, url)("install", SERVER)
    assert done.status == 0, done.stderr
    index = fetch_index(updater(folder / "tuf", tree, url))
    assert {offer.opkg.name for offer in index.offers} == {"alpha"}


def test_a_mirror_of_our_own_kind_serves_every_client(mirrors, published, upstream, tmp_path):
    add(mirrors, upstream, published)
    mirrors.sync()
    assert mirrors.health()["complete"] is True
    theirs = files(published.live / "current")
    assert {path: theirs.get(path) for path in files(mirrors.shown)} == files(mirrors.shown)
    with mirrors.repo.served() as url:
        check_by_clients(mirrors.shown, f"{url}mirror/other/", tmp_path)
        [row] = requests.get(f"{url}mirrors.json", timeout=10).json()
    assert (row["name"], row["complete"], row["error"]) == ("other", True, "")
    assert 0 <= row["age"] < 600


def test_a_mirror_follows_publications(mirrors, make_repo, debs, tmp_path, offer):
    first = make_repo()
    first.run("add", "--channel", "testing", debs.manifest)
    first.run("publish")
    with first.served() as url:
        add(mirrors, url, first)
        mirrors.sync()
        first.run("add", "--channel", "testing", offer(tmp_path, "1.1-1"))
        first.run("publish")
        mirrors.sync()
        with any_web_server(mirrors.shown) as copy:
            index = fetch_index(updater(tmp_path / "tuf", first.live, f"{copy}/"))
        assert {one.opkg.version for one in index.offers} == {"1.0-1", "1.1-1"}


def test_clients_go_on_with_a_copy_whose_update_failed(
    mirrors, make_repo, debs, rpms, tmp_path, offer
):
    first = make_repo()
    add_published(first, debs.manifest, rpms.manifest)
    with first.served() as url:
        add(mirrors, url, first)
        mirrors.sync()
        add_published(first, offer(tmp_path, "1.1-1"))
        damaged = f"deb/testing/pool/*/*/{SERVER}_1.1-1*.deb"
        spoil(first.live, damaged)
        mirrors.sync(status=1)
        assert mirrors.health()["complete"] is False
        with mirrors.repo.served() as copy:
            check_by_clients(mirrors.shown, f"{copy}mirror/other/", tmp_path / "before")
        spoil(first.live, damaged)
        mirrors.sync()
        with mirrors.repo.served() as copy:
            check_by_clients(mirrors.shown, f"{copy}mirror/other/", tmp_path / "after")
    names = [
        [path.name for path in (tmp_path / when / "apt").glob("*.deb")]
        for when in ("before", "after")
    ]
    assert names == [[f"{SERVER}_{version}~deb12_all.deb"] for version in ("1.0-1", "1.1-1")]


def test_another_root_does_not_vouch(mirrors, upstream, make_repo, tmp_path):
    other = Repo(directory=tmp_path / "strange")
    other.run("init")
    root = other.live / "keys/root.json"
    mirrors.run("add", "other", upstream, "--channel", "testing", "--root-key", root)
    assert "not what its pinned key vouches for" in mirrors.sync(status=1)
    assert not mirrors.shown.exists()


def test_a_wrong_fingerprint_is_refused(mirrors, upstream):
    words = ("add", "other", upstream, "--channel", "testing", "--root-key", "0" * 64)
    assert "another fingerprint" in mirrors.run(*words, status=1)


@pytest.mark.parametrize(
    "pattern",
    ["opd/testing/targets/*", "deb/testing/dists/debian-12/InRelease", "rpm/*/*/packages/*.rpm"],
)
def test_a_spoiled_copy_is_refused(mirrors, published, mirror, pattern):
    for path in (mirror / "current").glob(pattern):
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    root = published.live / "keys/root.json"
    nowhere = "http://127.0.0.1:9"
    mirrors.run("add", "other", nowhere, "--channel", "testing", "--root-key", root)
    mirrors.run("import", "other", mirror / "current", status=1)
    assert not mirrors.shown.exists()
    assert mirrors.health()["complete"] is False


def test_a_part_comes_with_its_opkg_under_our_key(mirrors, published, upstream):
    add(mirrors, upstream, published, "--filter", "alp*", "--newest", "1", "--into", "extra")
    mirrors.sync()
    rows = mirrors.repo.json("list", "--channel", "extra")
    assert len(rows) == 7
    assert mirrors.repo.json("check")["faults"] == []
    with any_web_server(mirrors.repo.live) as url:
        text = requests.get(f"{url}opd/extra/metadata/timestamp.json", timeout=10).text
    assert json.loads(text)["signed"]["version"] == mirrors.repo.number
    generation = mirrors.repo.number
    mirrors.sync()
    assert mirrors.repo.number == generation


def test_a_filter_that_fits_nothing_brings_nothing(mirrors, published, upstream):
    words = ("--filter", "beta", "--into", "extra", "--target", DEB_TARGET)
    add(mirrors, upstream, published, *words)
    mirrors.sync()
    assert mirrors.repo.json("list") == []


@pytest.fixture(params=["rsync", "wget"])
def plain_copy(request, published, upstream, tmp_path) -> Path:
    """A copy of the tree that a plain tool made."""
    copy = tmp_path / "copy"
    copy.mkdir()
    if request.param == "rsync":
        live = f"{published.live}/current/"
        run(["rsync", "-aL", "--delay-updates", "--delete-delay", live, copy])
        return copy
    with any_web_server(published.live / "current") as url:
        run(["wget", "-q", "-m", "-np", "-nH", "-R", "index.html*", "-P", copy, url])
    return copy


def test_a_copy_by_plain_tools_serves_every_client(plain_copy, tmp_path):
    with any_web_server(plain_copy) as url:
        check_by_clients(plain_copy, url, tmp_path)


def test_opd_takes_files_from_a_mirror_that_the_repository_announces(changing, tmp_path):
    with any_web_server(changing.live) as mirror:
        with changing.served() as url:
            words = ("mirror", "announce", changing.directory, mirror)
            done = forked("repo_server", *words)
            assert done.returncode == 0, done.stderr
            root = changing.live / "keys/root.json"
            state = ("--state", tmp_path / "state")
            add = ("repo", "add", url, "--root-key", root, "--channel", "testing")
            done = forked("opd", *state, *add)
            assert done.returncode == 0, done.stderr
        # The repository itself is gone.
        words = ("download", "alpha", "-t", "debian-12", "-o", tmp_path / "files")
        done = forked("opd", *state, *words)
        assert done.returncode == 0, done.stderr
    assert list((tmp_path / "files").glob("opkg-alpha-server_*.deb"))
    assert changing.json("check")["faults"] == []


def test_all_mirrors_are_synced_though_one_fails(mirrors, published, upstream):
    add(mirrors, upstream, published)
    root = published.live / "keys/root.json"
    words = ("http://127.0.0.1:9", "--channel", "testing", "--root-key", root)
    mirrors.run("add", "broken", *words)
    done = forked("repo_server", "mirror", "sync", mirrors.repo.directory)
    assert done.returncode == 1
    assert "not up to date: broken" in done.stderr
    assert "cannot be fetched: Connection refused\n" in done.stderr
    assert mirrors.shown.is_dir()
    shutil.rmtree(mirrors.repo.directory / "mirrors/broken")
    assert mirrors.health()["complete"] is True
