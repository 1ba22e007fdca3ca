# SPDX-License-Identifier: GPL-2.0-or-later
"""A pool in a bucket: tests of other modules, with repositories that have theirs there, and what
is so with buckets alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import boto3
import pytest
import requests

from opkg.files import sha256_bytes, sha256_file
from repo_server.check import check
from repo_server.settings import SETTINGS
from tests.buckets import bucket_service
from tests.programs import forked
from tests.repo_server import (
    test_mirrors_own,
    test_repo_add,
    test_repo_apt,
    test_repo_channels,
    test_repo_crash,
    test_repo_dnf_zypper,
    test_repo_downloads,
    test_repo_nginx,
    test_repo_postgresql,
    test_repo_sources,
    test_repo_upload_server,
)
from tests.repo_server.clients import add_published
from tests.repo_server.conftest import MakeRepo, Repo
from tests.repo_server.upstreams import Mirrors

pytestmark = pytest.mark.slow

# With the fixtures that they need; `make_repo` and `published` are this module's.
fetched = test_repo_downloads.fetched
repo = test_repo_channels.repo
source = test_repo_sources.source
through_nginx = test_repo_nginx.through_nginx
token = test_repo_upload_server.token
for _test in (
    test_repo_add.test_same_again_is_harmless,
    test_repo_add.test_second_channel_shares_the_signed_package,
    test_repo_apt.test_apt_installs_upgrades_and_removes,
    test_repo_channels.test_gc_counts_an_opkg_with_its_packages,
    test_repo_channels.test_promoted_channel_shows_the_same,
    test_repo_channels.test_removed_opkg_goes_with_its_packages,
    test_repo_channels.test_roll_back_brings_back_what_was_removed,
    test_repo_crash.test_intake_killed_at_any_step_takes_all_or_nothing,
    test_repo_dnf_zypper.test_dnf_installs_with_the_commands_of_the_page,
    test_repo_dnf_zypper.test_rpm_client_installs_upgrades_and_removes,
    test_repo_downloads.test_no_download_is_lost_when_the_server_ends,
    test_repo_sources.test_repair_brings_a_source_package_back,
    test_repo_postgresql.test_publications_killed_on_their_way,
):
    globals()[_test.__name__] = _test


class TestUploads:
    @pytest.fixture
    def repo(self, make_repo: MakeRepo) -> Repo:
        return make_repo()

    test_fifty = staticmethod(
        test_repo_upload_server.test_fifty_uploads_at_once_are_all_listed_when_they_return
    )
    test_clients = staticmethod(
        test_repo_upload_server.test_apt_and_dnf_install_what_the_command_uploaded
    )


BUCKET = "packages"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Popen[bytes]]:
    with bucket_service(BUCKET, tmp_path_factory.mktemp("s3") / "log") as process:
        yield process


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, service: Popen[bytes]) -> Repo:
    """A repository as `init` makes it. Not to be changed."""
    repo = Repo(directory=tmp_path_factory.mktemp("empty") / "repo")
    repo.run("init", "--pool", f"s3://{BUCKET}/empty")
    return repo


def copied(empty: Repo, directory: Path) -> Repo:
    """A copy with a place in the bucket of its own."""
    shutil.copytree(empty.directory, directory, symlinks=True)
    settings = directory / SETTINGS
    settings.write_text(settings.read_text().replace("/empty", f"/{directory.parent.name}"))
    return Repo(directory=directory)


@pytest.fixture
def make_repo(tmp_path: Path, empty: Repo) -> MakeRepo:
    """Makes an empty repository."""
    return lambda: copied(empty, tmp_path / "repo")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, empty: Repo, debs, rpms) -> Repo:
    """A repository with alpha published for both targets. Not to be changed."""
    repo = copied(empty, tmp_path_factory.mktemp("published") / "repo")
    add_published(repo, debs.manifest, rpms.manifest)
    return repo


def objects(repo: Repo) -> dict[str, str]:
    """The keys of a repository's objects by their SHA-256."""
    prefix = f"{repo.directory.parent.name}/"
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    keys = [each["Key"] for each in found.get("Contents", ())]
    return {key.rpartition("/")[2]: key for key in keys}


def row_of(repo: Repo, name: str) -> dict[str, str]:
    return next(row for row in repo.json("list") if row["name"] == name)


def test_packages_are_in_the_bucket_alone(published):
    digests = {row["sha256"] for row in published.json("list")}
    assert objects(published).keys() == digests
    held = [path for path in published.directory.rglob("*") if path.suffix in (".deb", ".rpm")]
    assert held
    assert all(path.is_symlink() and not path.exists() for path in held)
    assert not (published.directory / "pool").exists()
    assert check(published.live).faults == ()


def test_client_gets_a_part_of_a_file_and_its_headers(published, debs):
    row = row_of(published, "opkg-alpha-server")
    [built] = [path for path in debs.packages if sha256_file(path) == row["sha256"]]
    with published.served() as url:
        address = f"{url}{row['file']}"
        whole = requests.get(address, timeout=10)
        part = requests.get(address, headers={"Range": "bytes=100-"}, timeout=10)
        head = requests.head(address, timeout=10, allow_redirects=True)
        page = requests.get(f"{url}opkg/testing/alpha", timeout=10).text
    assert whole.content == built.read_bytes()
    assert whole.headers["Content-Type"] == "application/vnd.debian.binary-package"
    assert built.name in whole.headers["Content-Disposition"]
    assert (part.status_code, part.content) == (206, built.read_bytes()[100:])
    assert (head.status_code, int(head.headers["Content-Length"])) == (200, built.stat().st_size)
    assert "opkg-alpha" in page


def test_nginx_lets_clients_go_to_the_bucket(through_nginx, published):
    row = row_of(published, "opkg-alpha-server")
    answer = requests.get(f"{through_nginx}{row['file']}", timeout=10)
    assert answer.status_code == 200
    assert sha256_bytes(answer.content) == row["sha256"]
    assert answer.url.startswith(os.environ["AWS_ENDPOINT_URL"])
    assert requests.get(f"{through_nginx}deb/testing/none", timeout=10).status_code == 404


def test_what_is_lost_or_damaged_is_told(make_repo, debs):
    repo = make_repo()
    add_published(repo, debs.manifest)
    lost, bad, unlinked = (
        row_of(repo, name) for name in ("alpha", "opkg-alpha", "opkg-alpha-client")
    )
    client = boto3.client("s3")
    client.delete_object(Bucket=BUCKET, Key=objects(repo)[lost["sha256"]])
    client.put_object(Bucket=BUCKET, Key=objects(repo)[bad["sha256"]], Body=b"other")
    (repo.live / unlinked["file"]).unlink()
    faults = {row["path"]: row["message"] for row in repo.json("check", status=1)["faults"]}
    assert faults == {
        lost["file"]: "is not there",
        bad["file"]: "is not the file that the metadata name",
        unlinked["file"]: "is not there",
    }
    mended = repo.json("check", "--repair", status=1)["faults"]
    assert {row["path"] for row in mended} == {lost["file"], bad["file"]}


def test_gc_removes_objects_that_nobody_knows(make_repo, debs, build, tmp_path):
    repo = make_repo()
    add_published(repo, debs.manifest)
    key = f"{repo.directory.parent.name}/ab/{'ab' * 32}"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"left by a killed run")
    done = repo.json("gc")
    assert (done["files"], done["freed"]) == (1, len("left by a killed run"))
    assert len(objects(repo)) == 4
    assert check(repo.live).faults == ()


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ("s3://nowhere/packages", "the pool cannot be used"),
        ("s3://packages/used", "there are objects here already"),
        ("s3://", "is no place for a pool"),
        ("s3://packages/a b", "is no place for a pool"),
        ("/a/folder", "is no place for a pool"),
    ],
)
def test_place_that_cannot_be_the_pool_is_refused(service, tmp_path, pool, words):
    boto3.client("s3").put_object(Bucket=BUCKET, Key="used/file", Body=b"somebody's")
    other = Repo(directory=tmp_path / "other")
    _, err = other.run("init", "--pool", pool, status=1)
    assert words in err
    assert "Traceback" not in err
    assert not other.directory.exists()


def test_service_that_is_away_keeps_nothing_from_being_whole(tmp_path, debs, build, monkeypatch):
    """What is in the tree is published and served without it."""
    with bucket_service(BUCKET, tmp_path / "log") as process:
        repo = Repo(directory=tmp_path / "repo")
        repo.run("init", "--pool", f"s3://{BUCKET}/one")
        repo.run("add", "--channel", "testing", debs.manifest)
        process.kill()
        process.wait()
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        assert "the pool cannot be used" in repo.refusal(build.deb(tmp_path, "beta", "1-1~deb12"))
        repo.run("publish")
        assert "Package: alpha" in repo.packages("deb/testing/dists/debian-12/main/binary-amd64")
        faults = repo.json("check", status=1)["faults"]
        assert any("the pool cannot be used" in fault["message"] for fault in faults)
        with repo.served() as url:
            assert requests.get(f"{url}keys/repository.asc", timeout=10).status_code == 200
            assert requests.get(f"{url}opkg/testing/alpha", timeout=10).status_code == 200


def test_mirror_of_our_own_kind_is_whole(make_repo, published, tmp_path):
    mirrors = Mirrors(make_repo())
    with published.served() as url:
        test_mirrors_own.add(mirrors, url, published)
        mirrors.sync()
    assert mirrors.health()["complete"] is True
    held = {sha256_file(path) for path in mirrors.shown.rglob("*") if path.is_file()}
    assert held >= {row["sha256"] for row in published.json("list")}


def test_opd_gets_packages_from_the_bucket(published, tmp_path):
    state = ("--state", tmp_path / "state", "--headnode-root", tmp_path)
    root = published.live / "keys/root.json"
    with published.served() as url:
        for words in (
            ("repo", "add", url, "--channel", "testing", "--root-key", root),
            ("download", "alpha", "-t", "debian-12", "-o", tmp_path / "files"),
        ):
            done = forked("opd", *state, *words)
            assert done.returncode == 0, done.stderr
    digests = {row["sha256"] for row in published.json("list")}
    came = {sha256_file(path) for path in (tmp_path / "files").glob("*.deb")}
    assert len(came) == 4
    assert came < digests
