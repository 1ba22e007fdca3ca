# SPDX-License-Identifier: GPL-2.0-or-later
"""A catalog in PostgreSQL: tests of other modules, with repositories that have theirs there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opkg.run import run
from repo_server import catalog, database
from repo_server.check import check
from repo_server.publish import publish
from repo_server.repository import open_repository
from repo_server.settings import SETTINGS
from tests.repo_server import (
    test_repo_advisories,
    test_repo_channels,
    test_repo_crash,
    test_repo_lists,
    test_repo_sources,
)
from tests.repo_server.clients import add_published
from tests.repo_server.conftest import MakeRepo, Repo
from tests.repo_server.test_repo_crash import killed_at, silent

pytestmark = pytest.mark.slow

# With the fixtures that they need; `make_repo` is this module's.
advisory = test_repo_advisories.advisory
repo = test_repo_channels.repo
source = test_repo_sources.source
for _test in (
    test_repo_advisories.test_changed_and_removed_advisories,
    test_repo_channels.test_gc_counts_an_opkg_with_its_packages,
    test_repo_channels.test_gc_keeps_the_newest_versions_and_what_generations_show,
    test_repo_channels.test_promoted_channel_shows_the_same,
    test_repo_channels.test_removed_opkg_goes_with_its_packages,
    test_repo_channels.test_repair_mends,
    test_repo_channels.test_roll_back_brings_back_what_was_removed,
    test_repo_crash.test_renewal_shows_nothing_else,
    test_repo_lists.test_packages_of_many_chunks_are_all_listed,
    test_repo_sources.test_packages_may_share_a_file_but_not_a_name,
    test_repo_sources.test_source_package_goes_from_the_disk_as_a_whole,
    test_repo_sources.test_sources_of_a_manifest_come_and_go_with_their_opkg,
):
    globals()[_test.__name__] = _test

USER = "postgres"
Sql = Callable[[str, str], str]


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The folder of a server's socket; it listens nowhere else."""
    [program] = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    # In /tmp, where its user may go, and for the socket's short name.
    with tempfile.TemporaryDirectory(prefix="opkg-", dir="/tmp") as name:
        folder = Path(name)
        shutil.chown(folder, USER)
        as_user = ["runuser", "-u", USER, "--"]
        data = ["-D", folder / "data"]
        run([*as_user, program / "initdb", "--no-sync", "--auth", "trust", *data], cwd=folder)
        settings = f"-c listen_addresses= -c fsync=off -k {folder}"
        log = ["-l", folder / "log"]
        ctl = [*as_user, program / "pg_ctl", *data]
        run([*ctl, *log, "-w", "-o", settings, "start"], cwd=folder)
        try:
            yield folder
        finally:
            run([*ctl, "-w", "-m", "immediate", "stop"], cwd=folder)


@pytest.fixture(scope="module")
def sql(server) -> Sql:
    """Has a database do something."""

    def ask(name: str, text: str) -> str:
        words = ["psql", "-h", server, "-U", USER, "-qAtX", "-v", "ON_ERROR_STOP=1"]
        return run([*words, "-d", name, "-c", text]).stdout.strip()

    return ask


def address(server: Path, name: str) -> str:
    return f"postgresql://{USER}@/{name}?host={server}"


@pytest.fixture(scope="module")
def empty(tmp_path_factory, server, sql) -> Repo:
    """A repository as `init` makes it. Not to be changed."""
    sql(USER, "CREATE DATABASE empty")
    repo = Repo(directory=tmp_path_factory.mktemp("empty") / "repo")
    repo.run("init", "--db", address(server, "empty"))
    return repo


@pytest.fixture
def make_repo(tmp_path, empty, server, sql) -> MakeRepo:
    """Makes empty repositories, with a database each."""

    def make() -> Repo:
        count = sql(USER, "SELECT count(*) FROM pg_database")
        name = f"repo{count}"
        repo = Repo(directory=tmp_path / name)
        shutil.copytree(empty.directory, repo.directory, symlinks=True)
        sql(USER, f"CREATE DATABASE {name} TEMPLATE empty")
        settings = repo.directory / SETTINGS
        settings.write_text(settings.read_text().replace("/empty?", f"/{name}?"))
        return repo

    return make


def test_settings_that_may_hold_a_password_are_for_the_owner_alone(empty):
    assert (empty.directory / SETTINGS).stat().st_mode & 0o777 == 0o600
    assert not list(empty.directory.glob("*.sqlite*"))


def test_database_with_tables_is_not_taken(server, empty, tmp_path):
    other = Repo(directory=tmp_path / "other")
    _, err = other.run("init", "--db", address(server, "empty"), status=1)
    assert "tables in this database already" in err
    assert list(other.directory.iterdir()) == []
    assert empty.json("list") == []


@pytest.mark.parametrize("url", ["postgresql://u:secret@/none?host=/nowhere", "mysql://u@h/d", "x"])
def test_address_that_leads_nowhere_is_refused(tmp_path, url):
    other = Repo(directory=tmp_path / "other")
    _, err = other.run("init", "--db", url, status=1)
    assert "Traceback" not in err
    assert "secret" not in err
    assert "error: " in err


def test_two_machines_change_one_repository_one_after_the_other(make_repo, debs):
    """The lock is the database's: a file system between them may have none."""
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    with catalog.opened(repo.directory) as session:
        database.hold(session, lambda: None)
        process = repo.start("publish")
        assert process.stderr is not None
        assert "waiting for another command" in process.stderr.readline()
        assert repo.number == 1
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert repo.number == 2


def test_publications_killed_on_their_way(make_repo, tmp_path, build):
    repo = make_repo()
    repository = open_repository(repo.directory)
    ended = False
    # Every single step is tried with SQLite.
    for number in range(12):
        name = f"beta{number}"
        repo.run("add", "--channel", "testing", build.deb(tmp_path, name, "1-1~deb12"))
        ended = not killed_at(2**number, lambda: publish(repository, silent))
        assert check(repo.live).faults == ()
        publish(repository, silent)
        assert check(repo.live).faults == ()
        assert name in repo.packages("deb/testing/dists/debian-12/main/binary-amd64")
        if ended:
            break
    assert ended
    assert number > 2


def test_database_that_went_away_is_said(make_repo, sql, build, tmp_path):
    repo = make_repo()
    add_published(repo, build.deb(tmp_path, "beta", "1-1~deb12"))
    sql(USER, f"ALTER DATABASE {repo.directory.name} RENAME TO gone{os.getpid()}")
    _, err = repo.run("publish", status=1)
    assert "the database failed" in err
    assert "Traceback" not in err
    assert check(repo.live).faults == ()
