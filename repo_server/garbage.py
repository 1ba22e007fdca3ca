# SPDX-License-Identifier: GPL-2.0-or-later
"""Old versions leave the channels, and what no kept generation names leaves the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rpm_rs
from debian.debian_support import NativeVersion
from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session, contains_eager

from opkg.target import Family
from opkg.version import Version
from repo_server import catalog, history, uploads
from repo_server.channels import needing, take_away
from repo_server.package import tree_path
from repo_server.pool import files_in
from repo_server.publish import publish_within
from repo_server.repository import Progress, Repository, changing
from repo_server.tables import (
    AdvisoryRow,
    CompanionFile,
    Content,
    Fragment,
    Offer,
    OfferedPackage,
    Placement,
    Vouch,
)

_PLAIN = {"synchronize_session": False}


@dataclass(frozen=True, kw_only=True)
class Collected:
    """How many packages left the channels, how many files with how many bytes the disk, and how
    many packages are kept for generations that still show them."""

    removed: int
    files: int
    freed: int
    waiting: int


def collect(
    repository: Repository, keep: int | None, progress: Progress, *, now: datetime | None = None
) -> Collected:
    """With `keep`, publish without the packages and OPKGs that have as many newer versions in
    their channel and target; then remove from the disk, and from the memory of `rollback`, what
    no kept generation shows. Raises OpkgError."""
    date = now or datetime.now(UTC)
    with changing(repository, progress) as session:
        removed = _drop_old(session, keep) if keep else 0
        if removed:
            publish_within(repository, session, progress, now=date)
        oldest = history.oldest_kept(session, repository.live_number(), date)
        _forget(session, oldest)
        # First the catalog, then the files: a file that nobody knows does no harm.
        session.commit()
        files, freed = _sweep(repository, session)
        ended = select(func.count()).select_from(Placement).where(Placement.until.is_not(None))
        waiting = session.scalar(ended) or 0
    # After the change: whoever completes uploads holds these, and then waits for a change.
    uploads.clean(repository)
    return Collected(removed=removed, files=files, freed=freed, waiting=waiting)


def sweep(repository: Repository, progress: Progress) -> None:
    """Remove files from the pool and the tree that the catalog does not know."""
    with changing(repository, progress) as session:
        _sweep(repository, session)


def _drop_old(session: Session, keep: int) -> int:
    """Let all but the newest versions go; return how many packages do."""
    offers: dict[tuple[str, ...], list[Offer]] = {}
    for offer in session.scalars(select(Offer).where(*catalog.staying(Offer))):
        offers.setdefault((offer.channel, offer.target, offer.opkg), []).append(offer)
    for rows in offers.values():
        rows.sort(key=lambda row: Version.parse(row.version).rank, reverse=True)
        for row in rows[keep:]:
            take_away(session, row)
    session.flush()
    removed = 0
    for family, group in _by_name(session):
        newest_first = sorted(group, key=_ORDER[family], reverse=True)
        for place in newest_first[keep:]:
            # What an OPKG needs stays with it.
            if not needing(session, place):
                take_away(session, place)
                removed += 1
    session.flush()
    return removed


def _by_name(session: Session) -> Iterable[tuple[Family, list[Placement]]]:
    """The packages that are in several versions where they are."""
    query = (
        select(Placement)
        .join(Placement.content)
        .options(contains_eager(Placement.content))
        .where(*catalog.staying(Placement))
    )
    groups: dict[tuple[str, ...], list[Placement]] = {}
    for row in session.scalars(query):
        key = (row.channel, row.target, row.content.name, row.content.architecture)
        groups.setdefault(key, []).append(row)
    return [(rows[0].content.family, rows) for rows in groups.values() if len(rows) > 1]


_ORDER: Mapping[Family, Callable[[Placement], Any]] = {
    Family.DEB: lambda row: NativeVersion(row.content.version),
    Family.RPM: lambda row: rpm_rs.Evr.parse(row.content.version),
}


def _forget(session: Session, oldest: int) -> None:
    """Let the catalog forget what no generation from `oldest` on shows."""
    for table in (Placement, Offer, AdvisoryRow):
        session.execute(delete(table).where(table.until <= oldest), execution_options=_PLAIN)
    known = exists().where(
        Offer.target == OfferedPackage.target,
        Offer.opkg == OfferedPackage.opkg,
        Offer.version == OfferedPackage.opkg_version,
    )
    session.execute(delete(OfferedPackage).where(~known), execution_options=_PLAIN)
    unplaced = Content.sha256.not_in(select(Placement.sha256))
    lost = select(Content.sha256).where(unplaced)
    for owner in (Fragment.sha256, OfferedPackage.sha256, CompanionFile.package, Vouch.sha256):
        query = delete(owner.class_).where(owner.in_(lost))
        session.execute(query, execution_options=_PLAIN)
    session.execute(delete(Content).where(unplaced), execution_options=_PLAIN)


def _sweep(repository: Repository, session: Session) -> tuple[int, int]:
    """Remove the packages that the catalog does not know, and return how many files and bytes that
    frees in the pool."""
    placed = select(Placement.channel, Placement.target, Content.family)
    placed = placed.select_from(Placement).join(Content)
    shown = {
        tree_path(family, channel, target, path)
        for query in (
            placed.add_columns(Content.path),
            placed.join(CompanionFile).add_columns(CompanionFile.path),
        )
        for channel, target, family, path in session.execute(query)
    }
    for path in files_in(repository.packages):
        if str(path.relative_to(repository.packages)) not in shown:
            path.unlink()
    known = {
        *session.scalars(select(Content.sha256)),
        *session.scalars(select(CompanionFile.sha256)),
    }
    return repository.pool.sweep(known)
