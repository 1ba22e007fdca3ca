# SPDX-License-Identifier: GPL-2.0-or-later
"""ODA, the cluster database: repositories, images, transactions, and every script's run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import (
    ForeignKey,
    String,
    Text,
    cast,
    create_engine,
    delete,
    event,
    func,
    select,
    update,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from opd import schema
from opkg.errors import OpkgError
from opkg.files import locked

# What programs print may be longer than a TEXT of MySQL can be.
_LONG = Text().with_variant(LONGTEXT, "mysql", "mariadb")
# The drivers by what a URL begins with.
_DRIVERS = {
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "postgresql": "postgresql+psycopg",
}


class Base(DeclarativeBase):
    """All tables. Times are ISO 8601 in UTC."""


class Repository(Base):
    """A repository's channel that the administrator trusts, and the TUF root that was pinned;
    `mirrors` are addresses of copies, a blank between."""

    __tablename__ = "repositories"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    url: Mapped[str] = mapped_column(String(1024))
    channel: Mapped[str] = mapped_column(String(64))
    root_sha256: Mapped[str] = mapped_column(String(64))
    mirrors: Mapped[str] = mapped_column(String(4096), default="")


class Image(Base):
    """A root file system that nodes boot."""

    __tablename__ = "images"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    target: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(1024))
    created: Mapped[str] = mapped_column(String(32))


class Node(Base):
    """A machine that runs an image; what is not known of it is empty. `generation` is the one of
    its image that it was brought to last, whole, at the time `synced`."""

    __tablename__ = "nodes"
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    mac: Mapped[str] = mapped_column(String(17), default="")
    ip: Mapped[str] = mapped_column(String(45), default="")
    image: Mapped[str] = mapped_column(String(64), default="")
    generation: Mapped[str] = mapped_column(String(16), default="")
    synced: Mapped[str] = mapped_column(String(32), default="")


class Transaction(Base):
    """One command that changed the cluster. `outcome` is running, done, failed or interrupted;
    `undoes`, the transaction that it takes back, if it does."""

    __tablename__ = "transactions"
    id: Mapped[int] = mapped_column(primary_key=True)
    command: Mapped[str] = mapped_column(_LONG)
    started: Mapped[str] = mapped_column(String(32))
    ended: Mapped[str] = mapped_column(String(32), default="")
    outcome: Mapped[str] = mapped_column(String(16), default="running")
    message: Mapped[str] = mapped_column(_LONG, default="")
    undoes: Mapped[int | None] = mapped_column(default=None)
    changes: Mapped[list[Change]] = relationship(order_by="Change.id")
    runs: Mapped[list[ScriptRun]] = relationship(order_by="ScriptRun.id")
    images: Mapped[list[ImageState]] = relationship(order_by="ImageState.id")


class Change(Base):
    """A native package that a transaction changed in a place (headnode, or an image's name);
    `before` or `after` is empty where it was or is not installed."""

    __tablename__ = "changes"
    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[int] = mapped_column(ForeignKey("transactions.id"))
    place: Mapped[str] = mapped_column(String(1024))
    package: Mapped[str] = mapped_column(String(255))
    before: Mapped[str] = mapped_column(String(255))
    after: Mapped[str] = mapped_column(String(255))


class ScriptRun(Base):
    """One run of an API script, with all it printed. `status` 0 means that it ended well;
    `undone`, that its effects are gone: its image went back, or its OPKG was removed. `inputs` is
    the digest of what it read, where it is to run again when that is another."""

    __tablename__ = "script_runs"
    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[int] = mapped_column(ForeignKey("transactions.id"))
    place: Mapped[str] = mapped_column(String(1024))
    opkg: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(255))
    phase: Mapped[str] = mapped_column(String(32))
    script: Mapped[str] = mapped_column(String(255))
    status: Mapped[int]
    undone: Mapped[bool] = mapped_column(default=False)
    started: Mapped[str] = mapped_column(String(32))
    output: Mapped[str] = mapped_column(_LONG)
    inputs: Mapped[str] = mapped_column(String(64), default="")


class Answer(Base):
    """A value that was given to a question of an OPKG; a question may have several."""

    __tablename__ = "answers"
    package: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class ImageState(Base):
    """An image that a transaction changed: its generations before and after."""

    __tablename__ = "image_states"
    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[int] = mapped_column(ForeignKey("transactions.id"))
    image: Mapped[str] = mapped_column(String(64))
    before: Mapped[str] = mapped_column(String(16))
    after: Mapped[str] = mapped_column(String(16))


@dataclass(frozen=True, kw_only=True)
class PhaseKey:
    """A phase of one version of an OPKG in one place."""

    place: str
    opkg: str
    version: str
    phase: str
    inputs: str = ""


def now() -> str:
    """The time, as all tables have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def database_url(text: str) -> URL:
    """The address of a database on a server. Raises OpkgError."""
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.drivername not in _DRIVERS or not url.database:
        raise OpkgError(
            "this is no address of a database",
            hint="as in: mysql://USER:PASSWORD@HOST/DATABASE; or "
            + ", ".join(f"{each}://…" for each in _DRIVERS if each != "mysql"),
        )
    return url.set(drivername=_DRIVERS[url.drivername])


class Oda:
    """The cluster database behind a SQLAlchemy URL. Its tables are made when missing, and changed
    when an older OPD made them, while `lock`, a file, is held."""

    def __init__(self, url: URL, lock: Path) -> None:
        try:
            self.engine = create_engine(url, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise OpkgError(
                f"the Python module {error.name} is not installed",
                where=str(url),
                hint="pip install 'oscar-opkg[databases]'",
            ) from error
        if self.engine.dialect.name == "sqlite":
            _keep_writers_apart(self.engine)
        if not schema.is_current(self.engine):
            with locked(lock):
                if not schema.is_current(self.engine):
                    schema.bring_up_to_date(self.engine, Base.metadata)

    def session(self) -> Session:
        """A session whose objects stay readable after it is closed."""
        return Session(self.engine, expire_on_commit=False)

    def repositories(self) -> Sequence[Repository]:
        with self.session() as session:
            return session.scalars(select(Repository).order_by(Repository.name)).all()

    def images(self) -> Sequence[Image]:
        with self.session() as session:
            return session.scalars(select(Image).order_by(Image.name)).all()

    def nodes(self) -> Sequence[Node]:
        with self.session() as session:
            return session.scalars(select(Node).order_by(Node.name)).all()

    def rows(
        self, name: str, conditions: Sequence[tuple[str, str]] = ()
    ) -> list[dict[str, object]]:
        """The rows of a table, by column, in which every named column has its value. Raises
        OpkgError for a table or a column that is not there."""
        tables = Base.metadata.tables
        if name not in tables:
            raise OpkgError(f"ODA has no table {name}", hint="it has " + ", ".join(sorted(tables)))
        table = tables[name]
        query = select(table).order_by(*table.primary_key.columns)
        for column, value in conditions:
            if column not in table.columns:
                raise OpkgError(
                    f"the table {name} has no column “{column}”",
                    hint="it has " + ", ".join(table.columns.keys()),
                )
            query = query.where(cast(table.columns[column], Text) == value)
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def save(self, *rows: Base) -> None:
        """Add rows, or replace those of their keys."""
        with self.session() as session, session.begin():
            for row in rows:
                session.merge(row)

    def delete(self, *rows: Base) -> None:
        with self.session() as session, session.begin():
            for row in rows:
                session.delete(session.merge(row))

    def begin(self, command: str, undoes: int | None = None) -> int:
        """Enter a new transaction and return its number. What an earlier process left running
        was interrupted: the caller holds the lock that says so."""
        with self.session() as session, session.begin():
            session.execute(
                update(Transaction)
                .where(Transaction.outcome == "running")
                .values(outcome="interrupted", ended=now())
            )
            row = Transaction(command=command, started=now(), undoes=undoes)
            session.add(row)
            session.flush()
            return row.id

    def end(self, transaction: int, *, outcome: str, message: str = "") -> None:
        with self.session() as session, session.begin():
            session.execute(
                update(Transaction)
                .where(Transaction.id == transaction)
                .values(outcome=outcome, message=message, ended=now())
            )

    def add(self, *rows: Base) -> None:
        with self.session() as session, session.begin():
            session.add_all(rows)

    def scripts_done(self, key: PhaseKey) -> set[str]:
        """The phase's scripts that ran, the last time and with these inputs, to a good end that
        lasts."""
        with self.session() as session:
            rows = session.execute(
                select(ScriptRun.script, ScriptRun.status, ScriptRun.inputs)
                .where(
                    ScriptRun.place == key.place,
                    ScriptRun.opkg == key.opkg,
                    ScriptRun.version == key.version,
                    ScriptRun.phase == key.phase,
                    ScriptRun.undone.is_(False),
                )
                .order_by(ScriptRun.id)
            )
            last = {script: (status, inputs) for script, status, inputs in rows}
            return {script for script, end in last.items() if end == (0, key.inputs)}

    def set_answers(self, package: str, values: Mapping[str, Sequence[str]]) -> None:
        """Enter all answers of an OPKG in place of those before."""
        rows = [
            Answer(package=package, name=name, number=number, value=value)
            for name, given in values.items()
            for number, value in enumerate(given)
        ]
        with self.session() as session, session.begin():
            session.execute(delete(Answer).where(Answer.package == package))
            session.add_all(rows)

    def mark_undone(self, transaction: int, *, undone: bool) -> None:
        """Note of a transaction's script runs that their effects are gone, or are back."""
        with self.session() as session, session.begin():
            session.execute(
                update(ScriptRun)
                .where(ScriptRun.transaction_id == transaction)
                .values(undone=undone)
            )

    def forget_runs(self, place: str, opkgs: Collection[str]) -> None:
        """Note that OPKGs are gone from a place, and what their scripts did for it with them: when
        they come again, the scripts run again."""
        with self.session() as session, session.begin():
            session.execute(
                update(ScriptRun)
                .where(ScriptRun.place == place, ScriptRun.opkg.in_(opkgs))
                .values(undone=True)
            )

    def recent_packages(self, transactions: int) -> frozenset[tuple[str, str]]:
        """Name and version of all packages that the last transactions changed, before and after."""
        with self.session() as session:
            last = session.scalar(select(func.max(Transaction.id))) or 0
            rows = session.scalars(
                select(Change).where(Change.transaction_id > last - transactions)
            ).all()
            return frozenset(
                (row.package, version) for row in rows for version in (row.before, row.after)
            )

    def history(self) -> Sequence[Transaction]:
        """All transactions, the newest first, with their changes and script runs."""
        with self.session() as session:
            rows = session.scalars(select(Transaction).order_by(Transaction.id.desc())).all()
            for row in rows:
                _ = row.changes, row.runs, row.images  # loaded while the session is open
            return rows


def _keep_writers_apart(engine: Engine) -> None:
    """SQLite: readers go on while somebody writes, and writers wait for one another."""

    @event.listens_for(engine, "connect")
    def _set(connection: object, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]  # a DB-API connection
        connection.execute("PRAGMA busy_timeout=30000")  # type: ignore[attr-defined]
