# SPDX-License-Identifier: GPL-2.0-or-later
"""Which form a cluster database has, and bringing an older one to today's."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, MetaData, inspect, text

from opkg.errors import OpkgError

# The last of opd/migrations/versions.
TODAY = "0006"
_FIRST = "0001"
# Servers that know no transaction of several tables.
_ONE_BY_ONE = ("mysql", "mariadb")


def is_current(engine: Engine) -> bool:
    """Whether the tables are there, in today's form. Raises OpkgError where a newer OPD made
    them."""
    found = _version(engine)
    if found > TODAY:
        raise OpkgError(
            f"the cluster database has the form {found}, which is newer than this opd",
            hint="use the opd that wrote it, or a newer one",
        )
    return found == TODAY


def bring_up_to_date(engine: Engine, tables: MetaData) -> None:
    """Make the `tables`, or change them step by step into today's form."""
    from alembic import command
    from alembic.config import Config

    found = _version(engine)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # All steps or none: its driver begins no transaction by itself here.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        if not found and engine.dialect.name in _ONE_BY_ONE:
            # Those that one made who was killed are taken as they are.
            tables.create_all(connection)
            command.stamp(config, "head")
            return
        if found == _FIRST:
            command.stamp(config, _FIRST)
        command.upgrade(config, "head")


def _version(engine: Engine) -> str:
    """The database's form, “” for one that is not made yet. The first, which were all of SQLite,
    did not say which they have."""
    tables = inspect(engine).get_table_names()
    if "alembic_version" not in tables:
        return _FIRST if "transactions" in tables and engine.dialect.name == "sqlite" else ""
    with engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""
