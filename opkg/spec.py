# SPDX-License-Identifier: GPL-2.0-or-later
"""What an OPKG is, as frozen data. Nothing here reads a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from opkg.names import Names
from opkg.version import Version


class Part(StrEnum):
    """The three native packages every OPKG becomes."""

    API = "api"
    SERVER = "server"
    CLIENT = "client"

    def package(self, opkg: str) -> str:
        """The native package's name: `opkg-N`, `opkg-N-server`, `opkg-N-client`."""
        return f"opkg-{opkg}" if self is Part.API else f"opkg-{opkg}-{self.value}"


class Kind(StrEnum):
    """How one package relates to another."""

    PROVIDES = "provides"
    CONFLICTS = "conflicts"
    REQUIRES = "requires"
    RECOMMENDS = "recommends"
    SUGGESTS = "suggests"


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A package's name, and perhaps a bound on its version. `rel` is one of = < <= > >=, or
    empty together with `version`."""

    name: str
    rel: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.rel} {self.version}" if self.rel else self.name


@dataclass(frozen=True, kw_only=True)
class DistFilter:
    """A distribution by the name config.xml uses for it, and perhaps a bound on its release."""

    name: str
    rel: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Where something applies: in any of `dists` and on any of `archs`. Empty means everywhere."""

    dists: tuple[DistFilter, ...] = ()
    archs: tuple[str, ...] = ()


EVERYWHERE = Filter()


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """Relations of one kind that apply together.

    `parts` says whose they are: one part's own (serverDeps …), both server's and client's
    (commonDeps), or, where it is empty, the OPKG's: then the names are names of OPKGs.
    """

    kind: Kind
    parts: frozenset[Part]
    relations: tuple[Relation, ...]
    filter: Filter = EVERYWHERE


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who stands behind an OPKG; `role` is upstream, maintainer or uploader."""

    role: str
    name: str
    email: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """One author's entry in the changelog."""

    author: str
    date: datetime
    items: tuple[str, ...]
    closes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Release:
    """A version and what came with it."""

    version: Version
    changes: tuple[Change, ...]


class FileRole(StrEnum):
    """What a file of an OPKG directory is for; its place in the packages follows from it."""

    METADATA = "metadata"  # config.xml, configurator.html
    SCRIPT = "script"
    DOC = "doc"
    TEST = "test"


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file of an OPKG directory. `path` is relative to the folder of its role."""

    role: FileRole
    path: str
    origin: Path
    executable: bool


@dataclass(frozen=True, kw_only=True)
class Opkg:
    """A piece of cluster software, as its directory describes it. `releases` start with the
    newest; there is at least one, and it has at least one change."""

    name: str
    category: str
    summary: str
    description: str
    licence: str
    groups: tuple[str, ...]
    uri: str
    authors: tuple[Author, ...]
    availability: Filter
    dependencies: tuple[Dependency, ...]
    releases: tuple[Release, ...]
    files: tuple[SourceFile, ...] = ()
    names: Names = field(default_factory=Names)

    @property
    def version(self) -> Version:
        return self.releases[0].version

    @property
    def changed(self) -> datetime:
        """When the newest release was made: every time stamp of a build comes from here."""
        return max(change.date for change in self.releases[0].changes)

    @property
    def maintainer(self) -> Author:
        """The first maintainer, or the first author where nobody is called so."""
        named = [author for author in self.authors if author.role == "maintainer"]
        return (named or list(self.authors))[0]

    def email(self, author: str) -> str:
        """Where an author is reached; the maintainer, where the author gave no address."""
        known = {known.name: known.email for known in self.authors}
        return known.get(author, self.maintainer.email)

    def script(self, name: str) -> SourceFile | None:
        """The script `scripts/NAME`, if there is one."""
        return next((f for f in self.files if f.role is FileRole.SCRIPT and f.path == name), None)
