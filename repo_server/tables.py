# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalog's tables.

A placement, an offer or an advisory is shown by the generations from `since` on, and no longer
from `until` on. Without `since` it waits for the next publication to be shown; with `leaving`, to
go. Rows that have ended stay for as long as somebody may roll back to them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from opkg.spec import Part
from opkg.target import Family


class Base(DeclarativeBase):
    """All tables."""


def _leaving(table: str) -> Index:
    """An index of the few rows that are leaving; in PostgreSQL of all, since to say it there too
    would load all of its dialect each time."""
    return Index(f"{table}_leaving", "leaving", sqlite_where=text("leaving = 1"))


class Content(Base):
    """A package in the pool. `sha256` is of the published file, `source_sha256` of the file that
    came in: they differ where the repository signed it. `path` is within its archive or folder."""

    __tablename__ = "contents"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    source_sha256: Mapped[str] = mapped_column(unique=True)
    family: Mapped[Family]
    name: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]
    architecture: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[str] = mapped_column(index=True)
    fragments: Mapped[list[Fragment]] = relationship(
        order_by="Fragment.kind", cascade="all, delete-orphan"
    )
    companions: Mapped[list[CompanionFile]] = relationship(order_by="CompanionFile.path")


class CompanionFile(Base):
    """A further file of a package, as the pool and the archive have it: one that a .dsc names.
    Several packages may have the same."""

    __tablename__ = "companions"
    package: Mapped[str] = mapped_column(ForeignKey(Content.sha256), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True, index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]


class Fragment(Base):
    """What one list of a repository says of a package."""

    __tablename__ = "fragments"
    sha256: Mapped[str] = mapped_column(ForeignKey(Content.sha256), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


class Vouch(Base):
    """A maintainer's key, by its fingerprint, signed a package that came in."""

    __tablename__ = "vouches"
    sha256: Mapped[str] = mapped_column(ForeignKey(Content.sha256), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)


class Placement(Base):
    """A package is in a channel, for a target (its full name)."""

    __tablename__ = "placements"
    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    target: Mapped[str]
    sha256: Mapped[str] = mapped_column(ForeignKey(Content.sha256), index=True)
    since: Mapped[int | None] = mapped_column(index=True)
    until: Mapped[int | None] = mapped_column(index=True)
    leaving: Mapped[bool] = mapped_column(default=False)
    content: Mapped[Content] = relationship()

    __table_args__ = (_leaving("placements"),)

    def again(self, channel: str) -> Placement:
        """A row that waits to show the same in `channel`."""
        return Placement(channel=channel, target=self.target, sha256=self.sha256)


class Offer(Base):
    """A version of an OPKG is in a channel, for a target; `info` is its OpkgInfo as JSON."""

    __tablename__ = "offers"
    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    target: Mapped[str]
    opkg: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]
    info: Mapped[str]
    since: Mapped[int | None] = mapped_column(index=True)
    until: Mapped[int | None] = mapped_column(index=True)
    leaving: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (_leaving("offers"),)

    def again(self, channel: str) -> Offer:
        """A row that waits to show the same in `channel`."""
        return Offer(
            channel=channel,
            target=self.target,
            opkg=self.opkg,
            version=self.version,
            info=self.info,
        )


class OfferedPackage(Base):
    """A package belongs to an OPKG's version for a target, as one of its parts or beside them."""

    __tablename__ = "offered_packages"
    target: Mapped[str] = mapped_column(primary_key=True)
    opkg: Mapped[str] = mapped_column(primary_key=True)
    opkg_version: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey(Content.sha256), primary_key=True, index=True)
    part: Mapped[Part | None]
    content: Mapped[Content] = relationship()


class AdvisoryRow(Base):
    """An advisory by its id (`name`); `text` is JSON. See `repo_server.advisories`."""

    __tablename__ = "advisories"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    text: Mapped[str]
    since: Mapped[int | None]
    until: Mapped[int | None]
    leaving: Mapped[bool] = mapped_column(default=False)


class Shelf(Base):
    """A channel has lists for a target, be they empty."""

    __tablename__ = "shelves"
    channel: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)


class Chunk(Base):
    """Some hundred entries of a group: the entries that lists share (see `repo_server.chunks`)."""

    __tablename__ = "chunks"
    id: Mapped[int] = mapped_column(primary_key=True)
    group: Mapped[str] = mapped_column(index=True)
    entries: Mapped[int]


class Entry(Base):
    """In which chunk of a group an entry is."""

    __tablename__ = "entries"
    group: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    chunk: Mapped[int] = mapped_column(ForeignKey(Chunk.id), index=True)


class Piece(Base):
    """What a chunk gives to one list, in one of its forms."""

    __tablename__ = "pieces"
    chunk: Mapped[int] = mapped_column(ForeignKey(Chunk.id), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    form: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes]


class Generation(Base):
    """A publication. No metadata in it are older than `renewed`. `files` (one a line) are its
    files whose names change with their content: later generations keep them for clients that
    still hold this one's metadata."""

    __tablename__ = "generations"
    number: Mapped[int] = mapped_column(primary_key=True)
    published: Mapped[str]
    renewed: Mapped[str]
    files: Mapped[str]
