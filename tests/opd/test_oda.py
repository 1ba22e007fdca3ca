# SPDX-License-Identifier: GPL-2.0-or-later
"""The cluster database: made, and brought from older forms to today's without loss."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine
from sqlalchemy.exc import OperationalError

from opd import schema
from opd.oda import Base, Image, Oda, now
from opkg.errors import OpkgError
from tests.opd.conftest import program

# What the first databases were.
OLD = """
CREATE TABLE repositories (name VARCHAR(64) NOT NULL PRIMARY KEY, url VARCHAR(1024) NOT NULL,
  channel VARCHAR(64) NOT NULL, root_sha256 VARCHAR(64) NOT NULL);
CREATE TABLE images (name VARCHAR(64) NOT NULL PRIMARY KEY, target VARCHAR(64) NOT NULL,
  path VARCHAR(1024) NOT NULL, created VARCHAR(32) NOT NULL);
CREATE TABLE transactions (id INTEGER NOT NULL PRIMARY KEY, command TEXT NOT NULL,
  started VARCHAR(32) NOT NULL, ended VARCHAR(32) NOT NULL, outcome VARCHAR(16) NOT NULL,
  message TEXT NOT NULL);
CREATE TABLE changes (id INTEGER NOT NULL PRIMARY KEY,
  transaction_id INTEGER NOT NULL REFERENCES transactions (id), place VARCHAR(1024) NOT NULL,
  package VARCHAR(255) NOT NULL, before VARCHAR(255) NOT NULL, after VARCHAR(255) NOT NULL);
CREATE TABLE script_runs (id INTEGER NOT NULL PRIMARY KEY,
  transaction_id INTEGER NOT NULL REFERENCES transactions (id), place VARCHAR(1024) NOT NULL,
  opkg VARCHAR(255) NOT NULL, version VARCHAR(255) NOT NULL, phase VARCHAR(32) NOT NULL,
  script VARCHAR(255) NOT NULL, status INTEGER NOT NULL, undone BOOLEAN NOT NULL,
  started VARCHAR(32) NOT NULL, output TEXT NOT NULL);
INSERT INTO transactions VALUES (1, 'opd install a', '2026-03-01T12:00:00+00:00', '', 'done', '');
INSERT INTO changes VALUES (1, 1, 'headnode', 'opkg-a', '', '1-1');
"""


def opened(folder: Path) -> Oda:
    url = URL.create("sqlite", database=str(folder / "oda.sqlite"))
    return Oda(url, folder / "oda.lock")


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_the_tables_are_those_that_the_code_knows(tmp_path: Path, old: bool) -> None:
    if old:
        with sqlite3.connect(tmp_path / "oda.sqlite") as database:
            database.executescript(OLD)
    oda = opened(tmp_path)
    with oda.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    rows = [(row.command, row.changes[0].package, row.undoes) for row in oda.history()]
    assert rows == ([("opd install a", "opkg-a", None)] if old else [])


def test_todays_form_is_the_last_step() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == schema.TODAY


def test_many_may_open_it_first_at_once(tmp_path: Path) -> None:
    def enter(number: int) -> None:
        opened(tmp_path).save(Image(name=f"i{number}", target="t", path="p", created=now()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    assert len(opened(tmp_path).images()) == 8


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    with sqlite3.connect(tmp_path / "oda.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OpkgError, match="newer than this opd"):
        opened(tmp_path)
    engine = create_engine(URL.create("sqlite", database=str(tmp_path / "oda.sqlite")))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "oda.sqlite") as database:
        database.executescript(OLD + "CREATE TABLE image_states (in_the_way INTEGER);")
    with pytest.raises(OperationalError):
        opened(tmp_path)
    with sqlite3.connect(tmp_path / "oda.sqlite") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(transactions)")]
        assert "undoes" not in columns
        database.execute("DROP TABLE image_states")
    assert [row.command for row in opened(tmp_path).history()] == ["opd install a"]


def test_rows_are_read_by_table_and_column(tmp_path: Path) -> None:
    oda = opened(tmp_path)
    for name, target in (("b", "debian-12"), ("a", "rocky-9")):
        oda.save(Image(name=name, target=target, path=f"/{name}", created="now"))
    assert [row["name"] for row in oda.rows("images")] == ["a", "b"]
    found = {"name": "a", "target": "rocky-9", "path": "/a", "created": "now"}
    assert oda.rows("images", [("target", "rocky-9"), ("name", "a")]) == [found]
    assert oda.rows("images", [("name", "' OR 1=1")]) == []
    with pytest.raises(OpkgError, match="no table sqlite_master"):
        oda.rows("sqlite_master")
    with pytest.raises(OpkgError, match="no column “path; --”"):
        oda.rows("images", [("path; --", "x")])


def test_a_script_reads_it_by_the_command(tmp_path: Path) -> None:
    opened(tmp_path).save(Image(name="a", target="rocky-9", path="/a", created="now"))
    rows = json.loads(program("opd", "--state", tmp_path, "oda", "get", "images", "name=a"))
    assert rows[0]["target"] == "rocky-9"
    assert "images: name, target, path, created" in program(
        "opd", "--state", tmp_path, "oda", "tables"
    )
