# SPDX-License-Identifier: GPL-2.0-or-later
"""ODA, the cluster database: repositories, images, transactions, and every script's run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ForeignKey, String, Text, create_engine, event, select, update
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    """All tables. Times are ISO 8601 in UTC."""


class Repository(Base):
    """A repository's channel that the administrator trusts, and the TUF root that was pinned."""

    __tablename__ = "repositories"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    url: Mapped[str] = mapped_column(String(1024))
    channel: Mapped[str] = mapped_column(String(64))
    root_sha256: Mapped[str] = mapped_column(String(64))


class Image(Base):
    """A root file system that nodes boot."""

    __tablename__ = "images"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    target: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(1024))
    created: Mapped[str] = mapped_column(String(32))


class Transaction(Base):
    """One command that changed the cluster. `outcome` is running, done, failed or interrupted."""

    __tablename__ = "transactions"
    id: Mapped[int] = mapped_column(primary_key=True)
    command: Mapped[str] = mapped_column(Text)
    started: Mapped[str] = mapped_column(String(32))
    ended: Mapped[str] = mapped_column(String(32), default="")
    outcome: Mapped[str] = mapped_column(String(16), default="running")
    message: Mapped[str] = mapped_column(Text, default="")
    changes: Mapped[list[Change]] = relationship(order_by="Change.id")
    runs: Mapped[list[ScriptRun]] = relationship(order_by="ScriptRun.id")


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
    `undone`, that its effects are gone, since its image went back to what it was."""

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
    output: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True, kw_only=True)
class PhaseKey:
    """A phase of one version of an OPKG in one place."""

    place: str
    opkg: str
    version: str
    phase: str


def now() -> str:
    """The time, as all tables have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Oda:
    """The cluster database behind a SQLAlchemy URL; its tables are made when missing."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            _keep_writers_apart(self._engine)
        Base.metadata.create_all(self._engine)

    def session(self) -> Session:
        """A session whose objects stay readable after it is closed."""
        return Session(self._engine, expire_on_commit=False)

    def repositories(self) -> Sequence[Repository]:
        with self.session() as session:
            return session.scalars(select(Repository).order_by(Repository.name)).all()

    def images(self) -> Sequence[Image]:
        with self.session() as session:
            return session.scalars(select(Image).order_by(Image.name)).all()

    def save(self, row: Base) -> None:
        """Add a row, or replace the one of its key."""
        with self.session() as session, session.begin():
            session.merge(row)

    def delete(self, row: Base) -> None:
        with self.session() as session, session.begin():
            session.delete(session.merge(row))

    def begin(self, command: str) -> int:
        """Enter a new transaction and return its number. What an earlier process left running
        was interrupted: the caller holds the lock that says so."""
        with self.session() as session, session.begin():
            session.execute(
                update(Transaction)
                .where(Transaction.outcome == "running")
                .values(outcome="interrupted", ended=now())
            )
            row = Transaction(command=command, started=now())
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

    def phase_done(self, key: PhaseKey) -> bool:
        """Whether the phase's scripts ran, the last time, to a good end that lasts."""
        with self.session() as session:
            last = session.scalars(
                select(ScriptRun.status)
                .where(
                    ScriptRun.place == key.place,
                    ScriptRun.opkg == key.opkg,
                    ScriptRun.version == key.version,
                    ScriptRun.phase == key.phase,
                    ScriptRun.undone.is_(False),
                )
                .order_by(ScriptRun.id.desc())
                .limit(1)
            ).first()
            return last == 0

    def history(self) -> Sequence[Transaction]:
        """All transactions, the newest first, with their changes and script runs."""
        with self.session() as session:
            rows = session.scalars(select(Transaction).order_by(Transaction.id.desc())).all()
            for row in rows:
                _ = row.changes, row.runs  # loaded while the session is open
            return rows


def _keep_writers_apart(engine: Engine) -> None:
    """SQLite: readers go on while somebody writes, and writers wait for one another."""

    @event.listens_for(engine, "connect")
    def _set(connection: object, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]  # a DB-API connection
        connection.execute("PRAGMA busy_timeout=30000")  # type: ignore[attr-defined]
