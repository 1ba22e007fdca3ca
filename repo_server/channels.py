# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to the content of channels beside `add`: packages are removed, promoted to another
channel, and brought back as an earlier generation showed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, contains_eager

from opkg.errors import OpkgError
from opkg.target import Target, known_targets
from repo_server import catalog, signers
from repo_server.publish import Published, publish_within
from repo_server.repository import Progress, Repository, changing, check_channel
from repo_server.tables import Content, Offer, OfferedPackage, Placement

Row = TypeVar("Row", Placement, Offer)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A package that was removed, or promoted."""

    channel: str
    target: str
    name: str
    version: str
    architecture: str


def remove(
    repository: Repository,
    channel: str,
    names: Sequence[str],
    target: Target | None,
    progress: Progress,
) -> list[Moved]:
    """Let the next publication show no longer what `names` name (NAME or NAME=VERSION): OPKGs with
    all of their packages, else packages. Raises OpkgError, with nothing done, for one that is not
    there, and for a package that an OPKG needs that stays."""
    with changing(repository, progress) as session:
        gone = [row for name in names for row in _leave(session, channel, name, target)]
        session.commit()
    return gone


def promote(
    repository: Repository, origin: str, channel: str, names: Sequence[str], progress: Progress
) -> list[Moved]:
    """Let the next publication show in `channel` what `origin` shows: all, or what `names` name
    as for `remove`. Raises OpkgError, with nothing done."""
    check_channel(channel)
    with changing(repository, progress) as session:
        offers = _published(session, Offer, origin)
        placements = _published(session, Placement, origin)
        if not placements:
            raise OpkgError(
                f"nothing is published in the channel {origin}",
                hint=f"see opkg-repo list {repository.directory}",
            )
        if names:
            offers, placements = _named(session, origin, names, None, published=True)
        moved = [_promote(repository, session, row, channel) for row in placements]
        for offer in offers:
            _offer(session, offer, channel)
        session.commit()
    return [row for row in moved if row is not None]


def roll_back(
    repository: Repository, channel: str, number: int | None, progress: Progress
) -> Published:
    """Publish a channel with the content that it had in generation `number`; without a number,
    before its last change. Other channels stay as they are. Raises OpkgError where the channel
    has changes that wait, and where there was no such generation."""
    with changing(repository, progress) as session:
        live = repository.live_number()
        _refuse_waiting(session, channel)
        last = max(_last_change(session, table, channel) for table in (Placement, Offer))
        chosen = last - 1 if number is None else number
        if not last or not 0 < chosen < live:
            raise OpkgError(
                f"the channel {channel} has no generation to go back to"
                if number is None
                else f"there is no generation {number} before the live one, {live}",
                hint=f"see opkg-repo generations {repository.directory}",
            )
        _restore(session, Placement, channel, chosen)
        _restore(session, Offer, channel, chosen)
        session.flush()
        return publish_within(repository, session, progress, channels=[channel])


def _leave(session: Session, channel: str, name: str, target: Target | None) -> list[Moved]:
    offers, placements = _named(session, channel, [name], target)
    for offer in offers:
        take_away(session, offer)
    session.flush()
    # A package may belong to another version of its OPKG, which stays.
    kept = [row for row in placements if needing(session, row)]
    if kept and not offers:
        needed = needing(session, kept[0])
        raise OpkgError(
            f"the OPKG {needed} needs {kept[0].content.name} {kept[0].content.version}",
            hint=f"remove {needed}",
        )
    leaving = [row for row in placements if row not in kept]
    for row in leaving:
        take_away(session, row)
    return [_moved(row, channel) for row in leaving]


def needing(session: Session, row: Placement) -> str:
    """The OPKG with its version (NAME=VERSION) that needs a package where it is, or ''."""
    query = (
        select(Offer)
        .join(OfferedPackage, _is_of_offer())
        .where(
            OfferedPackage.sha256 == row.sha256,
            Offer.channel == row.channel,
            Offer.target == row.target,
            *catalog.staying(Offer),
        )
    )
    found = session.scalar(query.limit(1))
    return f"{found.opkg}={found.version}" if found else ""


def take_away(session: Session, row: Placement | Offer) -> None:
    """Let a row go with the next publication; at once, where it was never shown."""
    if row.since is None:
        session.delete(row)
    else:
        row.leaving = True


def _named(
    session: Session,
    channel: str,
    names: Sequence[str],
    target: Target | None,
    *,
    published: bool = False,
) -> tuple[list[Offer], list[Placement]]:
    """The offers and packages in a channel that `names` name."""
    offers: list[Offer] = []
    placements: list[Placement] = []
    for name in names:
        some, others = _find(session, channel, name, target)
        if published:
            some = [row for row in some if row.since is not None]
            others = [row for row in others if row.since is not None]
        if not others:
            raise OpkgError(
                f"there is no “{name}” in the channel {channel}"
                + (f" for {target.name}" if target else ""),
                hint="name an OPKG or a package, with =VERSION for one version",
            )
        offers += some
        placements += others
    return offers, placements


def _find(
    session: Session, channel: str, text: str, target: Target | None
) -> tuple[list[Offer], list[Placement]]:
    name, _, version = text.partition("=")
    here = [Offer.channel == channel, Offer.opkg == name, *catalog.staying(Offer)]
    if version:
        here.append(Offer.version == version)
    if target:
        here.append(Offer.target == target.name)
    offers = list(session.scalars(select(Offer).where(*here).order_by(Offer.id)))
    if offers:
        of_offers = (
            select(Placement)
            .join(OfferedPackage, OfferedPackage.sha256 == Placement.sha256)
            .join(Offer, _is_of_offer())
            .where(
                Offer.id.in_([offer.id for offer in offers]),
                Placement.channel == channel,
                Placement.target == Offer.target,
                *catalog.staying(Placement),
            )
        )
        return offers, list(session.scalars(of_offers.distinct().order_by(Placement.id)))
    query = (
        select(Placement)
        .join(Placement.content)
        .options(contains_eager(Placement.content))
        .where(Placement.channel == channel, Content.name == name, *catalog.staying(Placement))
    )
    if version:
        query = query.where(Content.version == version)
    if target:
        query = query.where(Placement.target == target.name)
    return [], list(session.scalars(query.order_by(Placement.id)))


def _is_of_offer() -> ColumnElement[bool]:
    return (
        (OfferedPackage.target == Offer.target)
        & (OfferedPackage.opkg == Offer.opkg)
        & (OfferedPackage.opkg_version == Offer.version)
    )


def _published(session: Session, table: type[Row], channel: str) -> list[Row]:
    """The rows of a channel that are live and stay."""
    here = (
        table.channel == channel,
        table.since.is_not(None),
        table.until.is_(None),
        table.leaving.is_(False),
    )
    return list(session.scalars(select(table).where(*here).order_by(table.id)))


def _promote(
    repository: Repository, session: Session, row: Placement, channel: str
) -> Moved | None:
    """Put a package of one channel into another; None where it is there already."""
    target = known_targets().find(row.target)
    package = catalog.as_package(row.content)
    signers.admit(repository, session, channel, package)
    catalog.refuse_rival(session, package, channel, target, where=row.channel)
    new = catalog.place(session, package, channel, target)
    return _moved(row, channel) if new else None


def _offer(session: Session, row: Offer, channel: str) -> None:
    same = (Offer.target == row.target, Offer.opkg == row.opkg, Offer.version == row.version)
    there = select(Offer.id).where(Offer.channel == channel, *same, *catalog.staying(Offer))
    if session.scalar(there) is None:
        session.add(row.again(channel))
        session.flush()


def _refuse_waiting(session: Session, channel: str) -> None:
    for table in (Placement, Offer):
        waiting = or_(table.since.is_(None), table.leaving)
        if session.scalar(select(table.id).where(table.channel == channel, waiting).limit(1)):
            raise OpkgError(
                f"the channel {channel} has changes that nobody has seen yet",
                hint="publish them first, then roll back; or undo them: add or remove the packages",
            )


def _last_change(session: Session, table: type[Placement] | type[Offer], channel: str) -> int:
    """The generation that changed a channel last; 0 where none did."""
    query = select(func.max(table.since), func.max(table.until)).where(table.channel == channel)
    return max(number or 0 for number in session.execute(query).one())


def _restore(session: Session, table: type[Row], channel: str, number: int) -> None:
    """Let the rows of a channel that generation `number` showed be shown, and no others."""
    # Nothing waits, so each row was shown some time.
    here = table.channel == channel
    for row in session.scalars(select(table).where(here, table.until.is_(None))):
        row.leaving = row.since is not None and row.since > number
    query = select(table).where(here, table.since <= number, table.until > number)
    for row in session.scalars(query).all():
        session.add(row.again(channel))


def _moved(row: Placement, channel: str) -> Moved:
    return Moved(
        channel=channel,
        target=row.target,
        name=row.content.name,
        version=row.content.version,
        architecture=row.content.architecture,
    )
