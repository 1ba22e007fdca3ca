# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalog: which packages a repository holds, in which channel and for which target.

A package is read once, on its way in; what the lists say of it is kept here as fragments, so that
publishing opens no package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import create_engine, event, func, or_, select, update
from sqlalchemy.orm import Session, contains_eager

from opkg.manifest import OpkgInfo
from opkg.spec import Part
from opkg.target import Family, Target
from repo_server.package import Package
from repo_server.tables import Base, Content, Fragment, Generation, Offer, OfferedPackage, Placement

FILE = "catalog.sqlite"


def _prepare(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


@contextmanager
def opened(directory: Path, *, fresh: bool = False) -> Iterator[Session]:
    """A session on the catalog in `directory`, whose tables are made if `fresh`."""
    engine = create_engine(f"sqlite:///{directory / FILE}")
    event.listen(engine, "connect", _prepare)
    try:
        if fresh:
            Base.metadata.create_all(engine)
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def find_package(session: Session, digest: str) -> Package | None:
    """The package whose file, as it came in or as it is published, has this SHA-256; without its
    fragments."""
    row = session.scalar(
        select(Content).where(or_(Content.source_sha256 == digest, Content.sha256 == digest))
    )
    if row is None:
        return None
    return Package(
        family=row.family,
        name=row.name,
        version=row.version,
        architecture=row.architecture,
        path=row.path,
        size=row.size,
        sha256=row.sha256,
        source_sha256=row.source_sha256,
    )


def find_rival(session: Session, package: Package, channel: str, target: Target) -> Content | None:
    """A package with other content that stands where this one would: the same name, version and
    architecture for the target, or the same file name."""
    same_folder = Placement.target == target.name
    if target.family is Family.DEB:
        # All suites of an archive share its pool.
        same_folder |= (Placement.channel == channel) & (Content.family == Family.DEB)
    same_name = (
        (Content.name == package.name)
        & (Content.version == package.version)
        & (Content.architecture == package.architecture)
    ) | (Content.path == package.path)
    return session.scalar(
        select(Content)
        .join(Placement)
        .where(same_folder, same_name, Content.sha256 != package.sha256)
        .limit(1)
    )


def place(session: Session, package: Package, channel: str, target: Target) -> bool:
    """Put a package into a channel for a target; false where it is there already."""
    if session.get(Placement, (channel, target.name, package.sha256)):
        return False
    session.add(Placement(channel=channel, target=target.name, sha256=package.sha256))
    session.flush()
    return True


def store(session: Session, package: Package) -> None:
    """Take a package that is new into the catalog."""
    fragments = [Fragment(kind=kind, text=text) for kind, text in package.fragments.items()]
    session.add(
        Content(
            sha256=package.sha256,
            source_sha256=package.source_sha256,
            family=package.family,
            name=package.name,
            version=package.version,
            architecture=package.architecture,
            size=package.size,
            path=package.path,
            fragments=fragments,
        )
    )
    session.flush()


def offer(
    session: Session, channel: str, target: str, info: OpkgInfo, parts: Mapping[str, Part | None]
) -> bool:
    """Note that a channel offers a version of an OPKG for a target; `parts` are its packages'
    digests. Returns false, with nothing noted, where another channel or this one offers that
    version with other content."""
    text = msgspec.json.encode(info).decode()
    same = (
        OfferedPackage.target == target,
        OfferedPackage.opkg == info.name,
        OfferedPackage.opkg_version == info.version,
    )
    before = session.scalars(
        select(Offer).where(
            Offer.target == target, Offer.opkg == info.name, Offer.version == info.version
        )
    ).all()
    if before:
        rows = session.scalars(select(OfferedPackage).where(*same))
        if before[0].info != text or {row.sha256: row.part for row in rows} != dict(parts):
            return False
    else:
        session.add_all(
            OfferedPackage(
                target=target,
                opkg=info.name,
                opkg_version=info.version,
                sha256=sha256,
                part=part,
            )
            for sha256, part in parts.items()
        )
    if all(row.channel != channel for row in before):
        session.add(
            Offer(channel=channel, target=target, opkg=info.name, version=info.version, info=text)
        )
    session.flush()
    return True


def shelves(session: Session) -> list[tuple[str, str]]:
    """Every pair of channel and target that has packages, in order."""
    query = select(Placement.channel, Placement.target).distinct()
    return sorted((channel, target) for channel, target in session.execute(query))


def on_shelves(session: Session, channel: str, targets: Sequence[str]) -> list[Content]:
    """The packages of a channel for any of `targets`, each once, in a lasting order."""
    chosen = select(Placement.sha256).where(
        Placement.channel == channel, Placement.target.in_(targets)
    )
    return list(
        session.scalars(
            select(Content)
            .where(Content.sha256.in_(chosen))
            .order_by(Content.name, Content.version, Content.architecture)
        )
    )


def fragments(session: Session, channel: str, targets: Sequence[str]) -> dict[tuple[str, str], str]:
    """The fragments of those packages, by digest and kind."""
    chosen = select(Placement.sha256).where(
        Placement.channel == channel, Placement.target.in_(targets)
    )
    query = select(Fragment.sha256, Fragment.kind, Fragment.text).where(Fragment.sha256.in_(chosen))
    return {(sha256, kind): text for sha256, kind, text in session.execute(query)}


def offers(session: Session, channel: str) -> list[Offer]:
    """What a channel offers, in a lasting order."""
    return list(
        session.scalars(
            select(Offer)
            .where(Offer.channel == channel)
            .order_by(Offer.opkg, Offer.version, Offer.target)
        )
    )


def offered_packages(
    session: Session, channel: str
) -> dict[tuple[str, str, str], list[OfferedPackage]]:
    """The packages of a channel's offers, by target, OPKG and its version."""
    query = (
        select(OfferedPackage)
        .join(
            Offer,
            (Offer.target == OfferedPackage.target)
            & (Offer.opkg == OfferedPackage.opkg)
            & (Offer.version == OfferedPackage.opkg_version),
        )
        .join(OfferedPackage.content)
        .options(contains_eager(OfferedPackage.content))
        .where(Offer.channel == channel)
        .order_by(Content.name, Content.architecture)
    )
    found: dict[tuple[str, str, str], list[OfferedPackage]] = {}
    for row in session.scalars(query):
        found.setdefault((row.target, row.opkg, row.opkg_version), []).append(row)
    return found


def placements(session: Session, channel: str | None) -> list[Placement]:
    """What is in one channel, or in all of them, in a lasting order."""
    query = select(Placement).join(Placement.content).options(contains_eager(Placement.content))
    if channel is not None:
        query = query.where(Placement.channel == channel)
    return list(
        session.scalars(
            query.order_by(
                Placement.channel,
                Placement.target,
                Content.name,
                Content.version,
                Content.architecture,
            )
        )
    )


def waiting(session: Session) -> list[tuple[str, str, int]]:
    """What the next publication shows first: channel, target and how many packages."""
    query = (
        select(Placement.channel, Placement.target, func.count())
        .where(Placement.generation.is_(None))
        .group_by(Placement.channel, Placement.target)
        .order_by(Placement.channel, Placement.target)
    )
    return [(channel, target, count) for channel, target, count in session.execute(query)]


def record(session: Session, generation: Generation) -> None:
    """Note a generation, and that it is the first to show what was waiting."""
    session.add(generation)
    for table in (Placement, Offer):
        session.execute(
            update(table).where(table.generation.is_(None)).values(generation=generation.number)
        )


def last_generation(session: Session) -> int:
    """The highest number that a generation ever had, live or not; 0 before the first."""
    return session.scalar(select(func.max(Generation.number))) or 0


def unpublish_after(session: Session, number: int) -> None:
    """Let what only generations after `number` show wait for the next publication again."""
    for table in (Placement, Offer):
        session.execute(update(table).where(table.generation > number).values(generation=None))


def kept_files(session: Session, *, since: int) -> list[str]:
    """The files that the generations from number `since` on want kept."""
    query = select(Generation.files).where(Generation.number >= since).order_by(Generation.number)
    return [file for files in session.scalars(query) for file in files.splitlines()]
