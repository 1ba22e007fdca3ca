# SPDX-License-Identifier: GPL-2.0-or-later
"""Which form a catalog has, and bringing an older one to today's."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DatabaseError

from opkg.errors import OpkgError
from repo_server.tables import Base

# The last of repo_server/migrations/versions.
TODAY = "0003"
# What the first catalogs, which were all of SQLite, had as user_version: the steps start there.
_FIRST = 2


def make(connection: Connection) -> None:
    """Make the tables in today's form. Raises OpkgError where there are some already."""
    if inspect(connection).get_table_names():
        raise OpkgError(
            "there are tables in this database already",
            hint="a catalog needs an empty database of its own",
        )
    Base.metadata.create_all(connection)
    _migrate(connection, "stamp")


def is_current(connection: Connection) -> bool:
    """Whether the tables are there in today's form. Raises OpkgError where a newer opkg-repo made
    them, and where nobody did."""
    try:
        found = str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
    except DatabaseError:
        if _user_version(connection) != _FIRST:
            raise
        return False
    if found > TODAY:
        raise OpkgError(
            f"the catalog has the form {found}, which is newer than this opkg-repo",
            hint="use the opkg-repo that wrote it, or a newer one",
        )
    return found == TODAY


def bring_up_to_date(connection: Connection) -> None:
    """Change older tables step by step into today's form: all steps or none."""
    if connection.dialect.name == "sqlite":
        # Its driver begins no transaction by itself here; and somebody may have been faster.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("LOCK TABLE alembic_version")
    if not is_current(connection):
        _migrate(connection, "upgrade")
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA user_version = 0")
    connection.commit()


def _user_version(connection: Connection) -> int:
    """What SQLite keeps for programs; 0 for other databases."""
    if connection.dialect.name != "sqlite":
        return 0
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _migrate(connection: Connection, way: str) -> None:
    # Here, since it takes a while and is seldom needed.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    getattr(command, way)(config, "head")
