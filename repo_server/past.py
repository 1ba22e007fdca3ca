# SPDX-License-Identifier: GPL-2.0-or-later
"""What the generations changed, for the web pages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from opkg.errors import OpkgError
from repo_server import catalog
from repo_server.repository import Repository
from repo_server.tables import Content, Generation, Placement

# Generations on one page, and rows of one generation's table.
PAGE = 50
MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Past:
    """A generation, and how many packages each channel got and lost with it. `live` is the one
    that is shown."""

    number: int
    published: str
    live: bool
    channels: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A package that came (+), went (-), or was replaced by another version (~)."""

    sign: str
    channel: str
    target: str
    name: str
    architecture: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a generation changed; `left_out` are the rows beyond those that a page shows."""

    past: Past
    changes: tuple[Change, ...]
    left_out: int


def recent(repository: Repository, *, before: int | None = None) -> list[Past]:
    """The last generations, or the last ones before a number; the newest first."""
    live = repository.live_number()
    with catalog.opened(repository.directory) as session:
        query = select(Generation.number, Generation.published).where(
            Generation.number <= (live if before is None else min(before - 1, live))
        )
        rows = session.execute(query.order_by(Generation.number.desc()).limit(PAGE))
        return _past(session, [(number, published) for number, published in rows], live)


def difference(repository: Repository, number: int) -> Difference | None:
    """What a generation changed; None where there is no such one."""
    live = repository.live_number()
    with catalog.opened(repository.directory) as session:
        published = session.scalar(select(Generation.published).where(Generation.number == number))
        if published is None or number > live:
            return None
        [past] = _past(session, [(number, published)], live)
        changes = _changes(session, number - 1, number)
    return Difference(
        past=past, changes=tuple(changes[:MOST]), left_out=max(0, len(changes) - MOST)
    )


def between(repository: Repository, old: int, new: int) -> list[Change]:
    """What has to come and go for generation `old` to become generation `new`, whichever of them
    is the later one. Raises OpkgError for one that there was not."""
    live = repository.live_number()
    for number in (old, new):
        if not 1 <= number <= live:
            raise OpkgError(
                f"there is no generation {number}",
                hint=f"they go from 1 to {live}" if live else "nothing was published yet",
            )
    with catalog.opened(repository.directory) as session:
        return _changes(session, old, new)


def _past(session: Session, rows: list[tuple[int, str]], live: int) -> list[Past]:
    numbers = [number for number, _ in rows]
    come, gone = (
        {
            (number, channel): count
            for number, channel, count in session.execute(
                select(column, Placement.channel, func.count())
                .where(column.in_(numbers))
                .group_by(column, Placement.channel)
            )
        }
        for column in (Placement.since, Placement.until)
    )
    keys = sorted({(number or 0, channel) for number, channel in (*come, *gone)})
    return [
        Past(
            number=number,
            published=published,
            live=number == live,
            channels=tuple(
                (channel, come.get((number, channel), 0), gone.get((number, channel), 0))
                for of, channel in keys
                if of == number
            ),
        )
        for number, published in rows
    ]


def _changes(session: Session, old: int, new: int) -> list[Change]:
    query = (
        select(
            Placement.channel,
            Placement.target,
            Content.name,
            Content.architecture,
            Content.version,
            _shows(new),
        )
        .join(Content)
        .where(_shows(old) != _shows(new))
        .order_by(Placement.channel, Placement.target, Content.name, Content.architecture)
    )
    found: dict[tuple[str, str, str, str], tuple[list[str], list[str]]] = {}
    for *key, version, comes in session.execute(query):
        channel, target, name, architecture = key
        pair = found.setdefault((channel, target, name, architecture), ([], []))
        pair[bool(comes)].append(version)
    changes = []
    for (channel, target, name, architecture), (gone, come) in found.items():
        make = partial(Change, channel=channel, target=target, name=name, architecture=architecture)
        while gone and come:
            changes.append(make(sign="~", old=gone.pop(0), new=come.pop(0)))
        changes += [make(sign="+", old="", new=version) for version in come]
        changes += [make(sign="-", old=version, new="") for version in gone]
    return changes


def _shows(number: int) -> ColumnElement[bool]:
    """Whether a generation shows a placement."""
    later = or_(Placement.until.is_(None), Placement.until > number)
    return and_(Placement.since.is_not(None), Placement.since <= number, later)
