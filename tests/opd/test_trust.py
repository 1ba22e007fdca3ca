# SPDX-License-Identifier: GPL-2.0-or-later
"""What is not what its signature says is refused, and everything stays as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.opd.conftest import Opd, Repository, serve_files
from tests.trees import changes, picture

pytestmark = pytest.mark.slow


def spoil(tree: Path, pattern: str) -> None:
    """Change one byte in the middle of each file that matches."""
    paths = [path for path in tree.glob(pattern) if path.is_file()]
    assert paths, pattern
    for path in paths:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.unlink()
        path.write_bytes(data)


@pytest.fixture
def fresh(tmp_path: Path, headnode: Path, env: dict[str, str]) -> Opd:
    """A headnode that trusts nobody yet."""
    return Opd(tmp_path / "state", headnode, env)


def test_a_repository_is_pinned_by_fingerprint_or_file(
    fresh: Opd, published: Repository, url: str
) -> None:
    wrong = "0" * 64
    done = fresh.run("repo", "add", url, "--root-key", wrong, status=1)
    assert "has another fingerprint than the one you gave" in done.err
    assert published.fingerprint in done.err
    assert fresh.json("repo", "list") == []
    assert not any((fresh.state / "repositories").glob("*"))

    fresh.run("repo", "add", url, "--root-key", published.fingerprint, "--name", "by-print")
    fresh.run("repo", "add", url, "--root-key", published.root_json, "--name", "by-file")
    rows = {row["name"]: row for row in fresh.json("repo", "list")}
    assert {row["root_sha256"] for row in rows.values()} == {published.fingerprint}
    done = fresh.run("repo", "add", url, "--root-key", published.root_json,
                     "--name", "by-file", status=1)  # fmt: skip
    assert "already" in done.err


def test_what_is_no_root_metadata_pins_nothing(fresh: Opd, tmp_path: Path, url: str) -> None:
    (tmp_path / "key").write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    done = fresh.run("repo", "add", url, "--root-key", tmp_path / "key", status=1)
    assert str(tmp_path / "key") in done.err
    assert fresh.json("repo", "list") == []


@pytest.mark.parametrize(
    "pattern",
    ["metadata/timestamp.json", "metadata/*snapshot.json", "metadata/*targets.json",
     "targets/*index.json"],
)  # fmt: skip
def test_a_changed_index_is_refused_and_the_old_one_stays(
    fresh: Opd, published: Repository, tmp_path: Path, pattern: str
) -> None:
    own = published.copy(tmp_path / "own")
    (tmp_path / "served").symlink_to(own.live)
    with serve_files(tmp_path / "served") as url:
        fresh.run("repo", "add", url, "--root-key", own.root_json, "--name", "own")
        before = fresh.json("list")
        own.publish_second()
        (tmp_path / "served").unlink()
        (tmp_path / "served").symlink_to(own.live)
        spoil(own.live / "opd/stable", pattern)
        done = fresh.run("update", status=1)
        assert "is not what its pinned key vouches for" in done.err
        assert fresh.json("list") == before
        assert "sulky" in {row["name"] for row in before}


@pytest.mark.parametrize(
    "pattern",
    ["deb/stable/dists/*/InRelease", "deb/stable/pool/**/opkg-alpha-server_*.deb"],
)
def test_apt_refuses_what_was_changed(
    fresh: Opd, deb_image: Path, published: Repository, tmp_path: Path, pattern: str
) -> None:
    own = published.copy(tmp_path / "own")
    spoil(own.live, pattern)
    spoil(own.live, pattern.replace("-server_", "-client_")) if "-server_" in pattern else None
    headnode = {path: entry for path, entry in picture(fresh.headnode).items() if lasting(path)}
    image = picture(deb_image)
    with serve_files(own.live) as url:
        fresh.run("repo", "add", url, "--root-key", own.root_json)
        done = fresh.run("install", "alpha", "--headnode", status=1)
        assert "apt-get" in done.err
        assert "failed in headnode" in done.err
        done = fresh.run("install", "alpha", "--image", deb_image, status=1)
        assert f"failed in {deb_image}" in done.err
    after = {path: entry for path, entry in picture(fresh.headnode).items() if lasting(path)}
    assert changes(headnode, after) == []
    assert changes(image, picture(deb_image)) == []


# Logs, locks, dnf's history of what it did not do, and what SQLite has while it reads.
PASSING = (
    "var/log", "var/lib/apt", "var/lib/dpkg/lock", "var/lib/dnf", "var/lib/rpm/rpmdb.sqlite-",
)  # fmt: skip


def lasting(path: str) -> bool:
    """Not what package managers write even when they change nothing, nor the times of the folders
    that this and OPD's stand-ins were in."""
    return not path.startswith(PASSING) and path not in (
        ".", "etc", "usr/sbin", "var/lib", "var/lib/dpkg", "var/lib/rpm",
    )  # fmt: skip


@pytest.mark.parametrize(
    "pattern",
    [
        "rpm/stable/*/repodata/repomd.xml",
        "rpm/stable/*/repodata/repomd.xml.asc",
        "rpm/stable/*/packages/**/opkg-alpha-client-*.rpm",
    ],
)
def test_dnf_refuses_what_was_changed(
    cluster: Opd, published: Repository, tmp_path: Path, pattern: str
) -> None:
    own = published.copy(tmp_path / "own")
    spoil(own.live, pattern)
    before = picture(cluster.image("rpm"))
    with serve_files(own.live) as url:
        cluster.run("repo", "remove", "test")
        cluster.run("repo", "add", url, "--root-key", own.root_json)
        done = cluster.run("install", "alpha", "--image", "rpm", status=1)
    assert "dnf failed in rpm" in done.err
    assert changes(before, picture(cluster.image("rpm"))) == []
    assert cluster.generations("rpm") == ["1"]


def test_a_download_is_checked_before_it_gets_its_name(
    fresh: Opd, published: Repository, tmp_path: Path
) -> None:
    own = published.copy(tmp_path / "own")
    with serve_files(own.live) as url:
        fresh.run("repo", "add", url, "--root-key", own.root_json)
        done = fresh.run("download", "alpha", "-o", tmp_path / "good")
        files = sorted(path.name for path in (tmp_path / "good").iterdir())
        assert sorted(Path(line).name for line in done.out.splitlines()) == files
        assert len(files) == 3
        spoil(own.live, "deb/stable/pool/**/opkg-alpha_*.deb")
        # What was downloaded once is not asked for again.
        shutil.rmtree(fresh.state / "cache/downloads")
        done = fresh.run("download", "alpha", "-o", tmp_path / "bad", status=1)
        assert "as signed" in done.err
        assert not list((tmp_path / "bad").glob(".*"))
        assert "opkg-alpha_1.0-1~deb12_all.deb" not in {
            p.name for p in (tmp_path / "bad").iterdir()
        }


def test_a_server_that_is_gone_is_one_clear_error(
    fresh: Opd, published: Repository, tmp_path: Path
) -> None:
    with serve_files(published.live) as url:
        fresh.run("repo", "add", url, "--root-key", published.root_json)
    for words in (("update",), ("download", "alpha", "-o", tmp_path / "out"), ("install", "alpha")):
        assert url.removeprefix("http://") in fresh.run(*words, status=1).err
    done = fresh.run(
        "repo", "add", url, "--root-key", published.fingerprint, "--name", "n", status=1
    )
    assert "cannot be fetched" in done.err
    assert "sulky" in fresh.run("list").out
