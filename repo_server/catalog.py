# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalog: which packages a repository holds, in which channel and for which target.

A package is read once, on its way in; what the lists say of it is kept here as fragments, so that
publishing opens no package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Engine,
    bindparam,
    create_engine,
    event,
    or_,
    select,
)
from sqlalchemy.orm import Session, contains_eager
from sqlalchemy.pool import NullPool

from opkg.errors import OpkgError
from opkg.manifest import OpkgInfo
from opkg.spec import Part
from opkg.target import Family, Target
from repo_server.package import Package
from repo_server.tables import Base, Content, Fragment, Offer, OfferedPackage, Placement

FILE = "catalog.sqlite"
# Counts the changes of the tables' form.
FORM = 2


def _prepare(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


@cache
def _engine(path: Path) -> Engine:
    """One engine for each catalog: it remembers how its statements compile, and no connection."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    event.listen(engine, "connect", _prepare)
    return engine


@contextmanager
def opened(directory: Path, *, fresh: bool = False) -> Iterator[Session]:
    """A session on the catalog in `directory`, whose tables are made if `fresh`."""
    # One connection for all of it: each that is closed writes the log back into the database.
    with (
        _engine(directory / FILE).connect() as connection,
        Session(connection) as session,
    ):
        if fresh:
            Base.metadata.create_all(session.connection())
            session.connection().exec_driver_sql(f"PRAGMA user_version = {FORM}")
            session.commit()
        elif session.connection().exec_driver_sql("PRAGMA user_version").scalar() != FORM:
            raise OpkgError(
                "this catalog was made by another version of opkg-repo",
                where=str(directory / FILE),
                hint="make a new repository with opkg-repo init, and add the packages to it",
            )
        yield session


def find_package(session: Session, digest: str) -> Package | None:
    """The package whose file, as it came in or as it is published, has this SHA-256; without its
    fragments."""
    row = session.scalar(
        select(Content).where(or_(Content.source_sha256 == digest, Content.sha256 == digest))
    )
    if row is None:
        return None
    return as_package(row)


def as_package(row: Content) -> Package:
    """A package of the catalog, without its fragments."""
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


def refuse_rival(
    session: Session, package: Package, channel: str, target: Target, *, where: str
) -> None:
    """Raise OpkgError where a package with other content stands where this one would: the same
    name, version and architecture for the target, or the same file name."""
    same_folder = Placement.target == target.name
    if target.family is Family.DEB:
        # All suites of an archive share its pool.
        same_folder |= (Placement.channel == channel) & (Content.family == Family.DEB)
    same_name = (
        (Content.name == package.name)
        & (Content.version == package.version)
        & (Content.architecture == package.architecture)
    ) | (Content.path == package.path)
    rival = session.scalar(
        select(Content)
        .join(Placement)
        .where(same_folder, same_name, Content.sha256 != package.sha256)
        .limit(1)
    )
    if rival is not None:
        raise OpkgError(
            f"{rival.name} {rival.version} {rival.architecture} is in the repository with other "
            f"content: SHA-256 {rival.source_sha256} came in, this one has "
            f"{package.source_sha256}",
            where=where,
            hint="what changed needs a new release in its version",
        )


def place(session: Session, package: Package, channel: str, target: Target) -> bool:
    """Let a package be in a channel for a target; false where it is, or waits to be, already."""
    if is_placed(session, package.sha256, channel, [target.name]):
        return False
    session.add(Placement(channel=channel, target=target.name, sha256=package.sha256))
    session.flush()
    return True


def is_placed(session: Session, sha256: str, channel: str, targets: Sequence[str]) -> bool:
    """Whether a package is, or waits to be, in a channel for one of `targets`."""
    query = select(Placement.id).where(
        Placement.sha256 == sha256,
        Placement.channel == channel,
        Placement.target.in_(targets),
        *staying(Placement),
    )
    return session.scalar(query.limit(1)) is not None


def staying(table: type[Placement] | type[Offer]) -> tuple[ColumnElement[bool], ...]:
    """Rows that the next publication shows."""
    return table.until.is_(None), table.leaving.is_(False)


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
    if not any(row.channel == channel and not row.until and not row.leaving for row in before):
        session.add(
            Offer(channel=channel, target=target, opkg=info.name, version=info.version, info=text)
        )
    session.flush()
    return True


def fragments(session: Session, digests: Sequence[str]) -> dict[str, list[str]]:
    """What the lists say of some packages, by the list's kind, in a lasting order."""
    # As one parameter: SQLAlchemy takes a while over hundreds of single ones.
    these: BindParameter[Sequence[str]] = bindparam("digests", expanding=True)
    query = (
        select(Fragment.kind, Fragment.text)
        .join(Content)
        .where(Fragment.sha256.in_(these))
        .order_by(Content.path, Content.sha256)
    )
    found: dict[str, list[str]] = {}
    for kind, text in session.execute(query, {"digests": digests}):
        found.setdefault(kind, []).append(text)
    return found


def offers(session: Session, ids: Sequence[int]) -> list[Offer]:
    """Some offers, in a lasting order."""
    return list(
        session.scalars(
            select(Offer).where(Offer.id.in_(ids)).order_by(Offer.opkg, Offer.version, Offer.target)
        )
    )


def offered_packages(session: Session, row: Offer) -> list[OfferedPackage]:
    """The packages of an offer."""
    query = (
        select(OfferedPackage)
        .join(OfferedPackage.content)
        .options(contains_eager(OfferedPackage.content))
        .where(
            OfferedPackage.target == row.target,
            OfferedPackage.opkg == row.opkg,
            OfferedPackage.opkg_version == row.version,
        )
        .order_by(Content.name, Content.architecture)
    )
    return list(session.scalars(query))


def placements(session: Session, channel: str | None) -> list[Placement]:
    """What is in one channel, or in all of them, in a lasting order."""
    query = (
        select(Placement)
        .join(Placement.content)
        .options(contains_eager(Placement.content))
        .where(Placement.until.is_(None))
    )
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
