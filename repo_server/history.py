# SPDX-License-Identifier: GPL-2.0-or-later
"""What the generations showed, in the catalog: what waits, what goes, and what was there once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, cast

from sqlalchemy import ColumnElement, CursorResult, false, func, or_, select, true, update
from sqlalchemy.orm import Session

from repo_server.tables import AdvisoryRow, Content, Generation, Offer, Placement, Shelf

# Generations that stay on the disk; files that the metadata of any of them names stay live …
KEPT = 5
# … and so do those that were live a moment ago, however many followed: a client may be using one.
GRACE = timedelta(minutes=10)

Table = type[Placement] | type[Offer] | type[AdvisoryRow]
_TABLES: tuple[Table, ...] = (Placement, Offer, AdvisoryRow)
# The session's objects need not follow: none is used after.
_PLAIN = {"synchronize_session": False}


# The channels that somebody wants changed; None stands for all.
Channels = Collection[str] | None


class Row(NamedTuple):
    """A package, as far as lists are concerned."""

    architecture: str
    sha256: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Pending:
    """What the next publication does to a channel for one target: packages that come and go."""

    channel: str
    target: str
    come: tuple[Row, ...]
    gone: tuple[Row, ...]


def pending_packages(session: Session, channels: Channels) -> list[Pending]:
    """What waits in `channels`, by channel and target."""
    found: dict[tuple[str, str], tuple[list[Row], list[Row]]] = {}
    for place, condition in enumerate(_changing(Placement, channels)):
        query = (
            select(
                Placement.channel,
                Placement.target,
                Content.architecture,
                Content.sha256,
                Content.path,
            )
            .join(Content)
            .where(condition)
            .order_by(Content.path)
        )
        for channel, target, *row in session.execute(query):
            found.setdefault((channel, target), ([], []))[place].append(Row(*row))
    return [
        Pending(channel=channel, target=target, come=tuple(come), gone=tuple(gone))
        for (channel, target), (come, gone) in sorted(found.items())
    ]


def pending_offers(session: Session, channels: Channels) -> dict[str, tuple[list[int], list[int]]]:
    """The offers that come and go in `channels`, by channel."""
    found: dict[str, tuple[list[int], list[int]]] = {}
    for place, condition in enumerate(_changing(Offer, channels)):
        for channel, number in session.execute(select(Offer.channel, Offer.id).where(condition)):
            found.setdefault(channel, ([], []))[place].append(number)
    return found


def shelves(session: Session) -> list[tuple[str, str]]:
    """Every pair of channel and target that has lists, in order."""
    query = select(Shelf.channel, Shelf.target).order_by(Shelf.channel, Shelf.target)
    return [(channel, target) for channel, target in session.execute(query)]


def open_shelves(session: Session, names: Iterable[tuple[str, str]]) -> None:
    """Let pairs of channel and target have lists from now on."""
    there = shelves(session)
    session.add_all(
        Shelf(channel=channel, target=target)
        for channel, target in names
        if (channel, target) not in there
    )
    session.flush()


def advisories_change(session: Session, channels: Channels) -> bool:
    """Whether advisories wait to come or go, and `channels` are all."""
    changing = or_(*_changing(AdvisoryRow, channels))
    return session.scalar(select(AdvisoryRow.id).where(changing).limit(1)) is not None


def turn(session: Session, number: int, channels: Channels, tables: Iterable[Table]) -> None:
    """Let generation `number` show what waited in `channels`, and not what left, in `tables`."""
    for table in tables:
        come, gone = _changing(table, channels)
        for statement in (
            update(table).where(come).values(since=number),
            update(table).where(gone).values(until=number, leaving=False),
        ):
            session.execute(statement, execution_options=_PLAIN)


def unpublish_after(session: Session, number: int) -> bool:
    """Let what only generations after `number` changed wait for the next publication again;
    false where there is nothing of that kind."""
    if last_generation(session) <= number:
        return False
    found = False
    for table in _TABLES:
        for statement in (
            update(table).where(table.since > number).values(since=None),
            update(table).where(table.until > number).values(until=None, leaving=True),
        ):
            result = session.execute(statement, execution_options=_PLAIN)
            found |= cast("CursorResult[object]", result).rowcount > 0
    return found


def counts(session: Session) -> dict[tuple[str, str, str], int]:
    """How many packages there are by channel, target and state: live, coming or going with the
    next publication. Those that go are live till then."""
    states = {
        "live": Placement.since.is_not(None) & Placement.until.is_(None),
        "coming": _waiting(Placement),
        "going": Placement.leaving,
    }
    return {
        (channel, target, state): count
        for state, condition in states.items()
        for channel, target, count in session.execute(
            select(Placement.channel, Placement.target, func.count())
            .where(condition)
            .group_by(Placement.channel, Placement.target)
            .order_by(Placement.channel, Placement.target)
        )
    }


def last_generation(session: Session) -> int:
    """The highest number that a generation ever had, live or not; 0 before the first."""
    return session.scalar(select(func.max(Generation.number))) or 0


def oldest_kept(session: Session, number: int, now: datetime) -> int:
    """The oldest generation that is kept once `number` is live."""
    query = (
        select(Generation.number, Generation.published)
        .where(Generation.number <= number)
        .order_by(Generation.number.desc())
    )
    oldest = max(number - KEPT + 1, 1)
    # Each was live until the next one came.
    for (_, until), (earlier, _) in pairwise(session.execute(query)):
        if now - datetime.fromisoformat(until) > GRACE:
            break
        oldest = min(oldest, earlier)
    return oldest


def files(session: Session, *, since: int) -> list[str]:
    """The files that the generations from number `since` on want kept."""
    query = select(Generation.files).where(Generation.number >= since).order_by(Generation.number)
    return [file for files in session.scalars(query) for file in files.splitlines()]


def own_files(session: Session, number: int) -> list[str]:
    """The lasting files of a generation itself."""
    text = session.scalar(select(Generation.files).where(Generation.number == number))
    return (text or "").splitlines()


def renewed(session: Session, number: int) -> datetime | None:
    """Since when no metadata of a generation are older; None where there is no such one."""
    text = session.scalar(select(Generation.renewed).where(Generation.number == number))
    return datetime.fromisoformat(text) if text else None


def _waiting(table: Table) -> ColumnElement[bool]:
    return table.since.is_(None)


def _changing(
    table: type[Placement] | type[Offer] | type[AdvisoryRow], channels: Channels
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions of rows that come, and of those that go."""
    # As the index of those few rows is told: SQLite would not use it for “IS”.
    come, gone = _waiting(table), table.leaving == true()
    if channels is None:
        return come, gone
    # Advisories are everybody's: they wait for a publication of all channels.
    here = false() if issubclass(table, AdvisoryRow) else table.channel.in_(channels)
    return come & here, gone & here
