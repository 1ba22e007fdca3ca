# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalog: which packages a repository holds, in which channel and for which target.

A package is read once, on its way in; what the lists say of it is kept here as fragments, so that
publishing opens no package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import BindParameter, ColumnElement, bindparam, or_, select
from sqlalchemy.orm import Session, aliased, contains_eager

from opkg.errors import OpkgError
from opkg.manifest import OpkgInfo
from opkg.spec import Part
from opkg.target import Family, Target
from repo_server.database import connected
from repo_server.package import SOURCE, Companion, Package
from repo_server.tables import (
    CompanionFile,
    Content,
    Fragment,
    Offer,
    OfferedPackage,
    Placement,
)


@contextmanager
def opened(directory: Path, *, fresh: bool = False) -> Iterator[Session]:
    """A session on the catalog of the repository in `directory`, whose tables are made if
    `fresh`. Raises OpkgError."""
    # One connection for all of it: each that is closed writes SQLite's log back into its file.
    with connected(directory, fresh=fresh) as connection, Session(connection) as session:
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
    if rival is None:
        rival = _rival_in_companions(session, package, same_folder)
    if rival is not None:
        raise OpkgError(
            f"{rival.name} {rival.version} {rival.architecture} is in the repository with other "
            f"content: SHA-256 {rival.source_sha256} came in, this one has "
            f"{package.source_sha256}",
            where=where,
            hint="what changed needs a new release in its version",
        )


def _rival_in_companions(
    session: Session, package: Package, same_folder: ColumnElement[bool]
) -> Content | None:
    """A package that has another file than this one by the same name."""
    if package.architecture != SOURCE[Family.DEB]:
        return None
    ours = aliased(CompanionFile)
    query = (
        select(Content)
        .join(Placement)
        .join(CompanionFile, CompanionFile.package == Content.sha256)
        .join(ours, ours.path == CompanionFile.path)
        .where(same_folder, ours.package == package.sha256, ours.sha256 != CompanionFile.sha256)
    )
    return session.scalar(query.limit(1))


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
            companions=[
                CompanionFile(path=file.path, size=file.size, sha256=file.sha256)
                for file in package.companions
            ],
        )
    )
    session.flush()


def companions(session: Session, digest: str) -> list[Companion]:
    """The further files of a package."""
    query = select(CompanionFile).where(CompanionFile.package == digest)
    return [
        Companion(path=row.path, size=row.size, sha256=row.sha256)
        for row in session.scalars(query.order_by(CompanionFile.path))
    ]


def offer(
    session: Session,
    channel: str,
    target: str,
    info: OpkgInfo,
    parts: Mapping[str, Part | None],
    sources: Sequence[str] = (),
) -> bool:
    """Note that a channel offers a version of an OPKG for a target; `parts` are its packages'
    digests, `sources` its source packages'. Returns false, with nothing noted, where another
    channel or this one offers that version with other content."""
    text = msgspec.json.encode(info).decode()
    before = session.scalars(
        select(Offer).where(
            Offer.target == target, Offer.opkg == info.name, Offer.version == info.version
        )
    ).all()
    packages = {row.sha256: row for row in _offered(session, target, info.name, info.version)}
    if before:
        there = {key: row.part for key, row in packages.items() if not is_source(row.content)}
        if before[0].info != text or there != dict(parts):
            return False
    session.add_all(
        OfferedPackage(
            target=target,
            opkg=info.name,
            opkg_version=info.version,
            sha256=sha256,
            part=parts.get(sha256),
        )
        for sha256 in (*parts, *sources)
        if sha256 not in packages
    )
    if not any(row.channel == channel and not row.until and not row.leaving for row in before):
        session.add(
            Offer(channel=channel, target=target, opkg=info.name, version=info.version, info=text)
        )
    session.flush()
    return True


def is_source(content: Content) -> bool:
    """Whether that is a source package."""
    return content.architecture == SOURCE[content.family]


# Makes the text of a list out of what it says of single packages.
Join = Callable[[Iterable[str]], str]


def render(
    session: Session, lists: Mapping[str, Join]
) -> Callable[[Sequence[str]], dict[str, bytes]]:
    """What gives the text of each of `lists`, by their kinds, for packages by their digests; the
    packages are in a lasting order."""
    # As one parameter: SQLAlchemy takes a while over hundreds of single ones.
    these: BindParameter[Sequence[str]] = bindparam("digests", expanding=True)
    query = (
        select(Fragment.kind, Fragment.text)
        .join(Content)
        .where(Fragment.sha256.in_(these), Fragment.kind.in_(lists))
        .order_by(Content.path, Content.sha256)
    )

    def render(digests: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, list[str]] = {kind: [] for kind in lists}
        for kind, text in session.execute(query, {"digests": digests}):
            found[kind].append(text)
        return {kind: lists[kind](texts).encode() for kind, texts in found.items()}

    return render


def offers(session: Session, ids: Sequence[int]) -> list[Offer]:
    """Some offers, in a lasting order."""
    return list(
        session.scalars(
            select(Offer).where(Offer.id.in_(ids)).order_by(Offer.opkg, Offer.version, Offer.target)
        )
    )


def offered_packages(session: Session, row: Offer) -> list[OfferedPackage]:
    """The built packages of an offer."""
    packages = _offered(session, row.target, row.opkg, row.version)
    return [package for package in packages if not is_source(package.content)]


def _offered(session: Session, target: str, opkg: str, version: str) -> list[OfferedPackage]:
    """All packages of a version of an OPKG for a target."""
    query = (
        select(OfferedPackage)
        .join(OfferedPackage.content)
        .options(contains_eager(OfferedPackage.content))
        .where(
            OfferedPackage.target == target,
            OfferedPackage.opkg == opkg,
            OfferedPackage.opkg_version == version,
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
