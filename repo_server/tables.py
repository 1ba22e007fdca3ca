# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalog's tables.

A placement or an offer belongs to the first generation that shows it; without one, it waits for
the next publication.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from opkg.spec import Part
from opkg.target import Family


class Base(DeclarativeBase):
    """All tables."""


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
    size: Mapped[int]
    path: Mapped[str] = mapped_column(index=True)
    fragments: Mapped[list[Fragment]] = relationship(order_by="Fragment.kind")


class Fragment(Base):
    """What one list of a repository says of a package."""

    __tablename__ = "fragments"
    sha256: Mapped[str] = mapped_column(ForeignKey(Content.sha256), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]


class Placement(Base):
    """A package is in a channel, for a target (its full name)."""

    __tablename__ = "placements"
    channel: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey(Content.sha256), primary_key=True)
    generation: Mapped[int | None] = mapped_column(index=True)
    content: Mapped[Content] = relationship()


class Offer(Base):
    """A version of an OPKG is in a channel, for a target; `info` is its OpkgInfo as JSON."""

    __tablename__ = "offers"
    channel: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    opkg: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    info: Mapped[str]
    generation: Mapped[int | None] = mapped_column(index=True)


class OfferedPackage(Base):
    """A package belongs to an OPKG's version for a target, as one of its parts or beside them."""

    __tablename__ = "offered_packages"
    target: Mapped[str] = mapped_column(primary_key=True)
    opkg: Mapped[str] = mapped_column(primary_key=True)
    opkg_version: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey(Content.sha256), primary_key=True)
    part: Mapped[Part | None]
    content: Mapped[Content] = relationship()


class Generation(Base):
    """A publication. `files` (one a line) are its files whose names change with their content:
    later generations keep them for clients that still hold this one's metadata."""

    __tablename__ = "generations"
    number: Mapped[int] = mapped_column(primary_key=True)
    published: Mapped[str]
    files: Mapped[str]
