# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the catalog is: in a file of SQLite, or in a database of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from opkg.errors import OpkgError
from repo_server import schema
from repo_server.settings import read_settings

FILE = "catalog.sqlite"
# Names the lock of whoever changes a repository; a database has one.
_LOCK = {"key": 0x6F706B67}


@contextmanager
def connected(directory: Path, *, fresh: bool = False) -> Iterator[Connection]:
    """A connection to the catalog of the repository in `directory`, brought into today's form;
    its tables are made if `fresh`. Raises OpkgError where that cannot be."""
    engine = _engine(directory, read_settings(directory).database)
    with _connection(engine) as connection:
        try:
            if fresh:
                schema.make(connection)
                connection.commit()
            elif not schema.is_current(connection):
                connection.rollback()
                schema.bring_up_to_date(connection)
        except DatabaseError as error:
            if fresh or "alembic_version" not in str(error):
                raise
            raise OpkgError(
                "this is no catalog of a repository",
                where=str(engine.url),
                hint="put it back from a copy, or make a new repository with opkg-repo init",
            ) from error
        # What follows begins its own.
        connection.rollback()
        yield connection


def hold(session: Session, waiting: Callable[[], None]) -> None:
    """Let nobody else, on whatever machine, change the repository until the session's connection
    ends. `waiting` is called where somebody else does. SQLite has no other machines.

    Raises OpkgError when nobody lets go within ten minutes.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    if not session.scalar(text("SELECT pg_try_advisory_lock(:key)"), _LOCK):
        waiting()
        try:
            session.execute(text("SET LOCAL lock_timeout = '10min'"))
            session.execute(text("SELECT pg_advisory_lock(:key)"), _LOCK)
        except OperationalError as error:
            raise OpkgError(
                "another command has been changing this repository for ten minutes",
                where=str(session.get_bind().engine.url),
                hint="wait for it, or end it: pg_locks shows who holds the advisory lock",
            ) from error
    session.commit()


@cache
def _engine(directory: Path, database: str) -> Engine:
    """One engine for each catalog: it remembers how its statements compile, and no connection."""
    if not database:
        engine = create_engine(f"sqlite:///{directory / FILE}", poolclass=NullPool)
        event.listen(engine, "connect", _prepare)
        return engine
    try:
        url = make_url(database)
    except ArgumentError:
        url = None
    if url is None or url.drivername != "postgresql":
        raise OpkgError(
            "this is no address of a database",
            hint="give it as postgresql://USER@HOST:PORT/DATABASE; without any, a file is used",
        )
    return create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool)


def _prepare(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


@contextmanager
def _connection(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        if engine.dialect.name == "sqlite":
            raise
        raise OpkgError(
            f"the database failed: {str(error.orig).strip().splitlines()[0]}",
            where=str(engine.url),
            hint="is it running, has it room, and is the user let in?",
        ) from error
