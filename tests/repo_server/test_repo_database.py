# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalog's database: of an older form, of a newer one, and none at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from repo_server import catalog, schema
from repo_server.tables import Base

FIRST = Path(__file__).with_name("catalog-first.sql")


def script(repo, text: str) -> None:
    with closing(sqlite3.connect(repo.directory / "catalog.sqlite")) as database:
        database.executescript(text)


def dump(repo) -> list[str]:
    with closing(sqlite3.connect(repo.directory / "catalog.sqlite")) as database:
        return [str(database.execute("PRAGMA user_version").fetchone()), *database.iterdump()]


def made_first(repo) -> None:
    """Let a repository have the catalog that an early opkg-repo wrote, with a package in it."""
    for path in repo.directory.glob("catalog.sqlite*"):
        path.unlink()
    script(repo, FIRST.read_text())


def test_todays_form_is_the_last_step():
    folder = Path(schema.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == schema.TODAY


@pytest.mark.slow
def test_first_catalog_comes_into_todays_form(make_repo, tmp_path, build):
    repo = make_repo()
    made_first(repo)
    [row] = repo.json("list")
    assert (row["name"], row["generation"]) == ("beta", None)
    with catalog.opened(repo.directory) as session:
        connection = session.connection()
        # SQLite keeps the names of types that mean the same to it.
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Base.metadata) == []
    repo.run("add", "--channel", "testing", build.deb(tmp_path, "gamma", "1-1~deb12"))
    assert len(repo.json("list")) == 2


def test_upgrade_that_fails_leaves_the_catalog_as_it_was(make_repo):
    repo = make_repo()
    made_first(repo)
    script(repo, "CREATE TABLE companions (stray TEXT);")
    before = dump(repo)
    _, err = repo.run("list", status=1)
    assert "companions" in err
    assert dump(repo) == before


def test_newer_catalog_is_refused(make_repo):
    repo = make_repo()
    script(repo, "UPDATE alembic_version SET version_num = '9999';")
    _, err = repo.run("list", status=1)
    assert "newer than this opkg-repo" in err
    assert "Traceback" not in err


def test_lost_catalog_is_said(make_repo):
    repo = make_repo()
    (repo.directory / "catalog.sqlite").unlink()
    _, err = repo.run("list", status=1)
    assert "this is no catalog" in err
    assert "Traceback" not in err
