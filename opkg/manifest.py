# SPDX-License-Identifier: GPL-2.0-or-later
"""The manifest: what a build made for one target. The builder writes it, beside the packages;
the repository server reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from opkg.document import decode
from opkg.spec import Kind, Part

NAME = "manifest.json"


class OpkgRelation(msgspec.Struct, frozen=True, kw_only=True):
    """A relation between OPKGs, by their names; `rel` and `version` are both empty or both set."""

    kind: Kind
    name: str
    rel: str = ""
    version: str = ""


class OpkgInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What people and OPD want to know of an OPKG without opening its packages, as it holds for
    one target. `scripts` are the names of its API scripts."""

    name: str
    version: str
    category: str
    summary: str
    description: str
    licence: str
    groups: tuple[str, ...]
    uri: str
    maintainer: str
    relations: tuple[OpkgRelation, ...]
    scripts: tuple[str, ...]
    changed: str
    """When its newest release was made, ISO 8601."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """One built native package. `part` is None for a recipe's further packages; `version` is
    spelled as the family does, e.g. 2.1-3~deb12; `file` is relative to the manifest."""

    opkg: str
    part: Part | None
    name: str
    version: str
    architecture: str
    file: str
    size: int
    sha256: str


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an OPKG's source package; `file` is relative to the manifest."""

    opkg: str
    file: str
    size: int
    sha256: str


class Record(SourceFile, frozen=True, kw_only=True):
    """A file that tells of an OPKG's build: the native `packages` that were installed where its
    recipe was followed (a line each, name and version), or the bill of materials (`sbom`) of one
    of its packages, or the `provenance` of them all."""

    kind: Literal["packages", "sbom", "provenance"]


class InputPatch(msgspec.Struct, frozen=True, kw_only=True):
    """A patch of a source; `file` is relative to the OPKG's directory."""

    file: str
    sha256: str


class InputSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a recipe. `place` is where it comes from by its recipe: a path in the OPKG's
    directory, a URL, a git URL, or the name and version of Debian's source package. `sha256` is
    that of the file, of the .dsc or over the folder; a git source has its `commit` instead. One
    that was `replaced` came from a path that its builder named, and has that one's digest."""

    name: str
    kind: Literal["path", "url", "git", "debian"]
    place: str
    sha256: str = ""
    commit: str = ""
    replaced: bool = False
    patches: tuple[InputPatch, ...] = ()


class InputPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package of another OPKG, made in the same run, that a recipe was followed with."""

    file: str
    sha256: str


class PublishedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package of a published repository that a recipe was followed with."""

    name: str
    version: str
    sha256: str


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What an OPKG's packages were made from. `sha256` is one digest over all of it; `commit` the
    git commit where the directory is in a checkout (with `+` behind it where the directory differs
    from the commit). `directory` is the digest over the OPKG's directory, `settings` that over the
    target's table and the table of names; `root` the key of the build root where the recipe was
    followed in one, `machine` stands for the builder's own programs where something was compiled
    with these. `needs` are the digests of the OPKGs, by target and name, whose `packages` it was
    followed with; `published` are packages of a repository that it was followed with, too.
    (Manifests of former versions have `sha256` and `commit` alone.)"""

    opkg: str
    sha256: str
    commit: str
    directory: str = ""
    settings: str = ""
    tools: dict[str, str] = {}
    root: str = ""
    machine: str = ""
    sources: tuple[InputSource, ...] = ()
    needs: dict[str, str] = {}
    packages: tuple[InputPackage, ...] = ()
    published: tuple[PublishedPackage, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was built for `target` (its full name) with which `tools` (name: version)."""

    format: int
    target: str
    tools: dict[str, str]
    inputs: tuple[Input, ...]
    opkgs: tuple[OpkgInfo, ...]
    artifacts: tuple[Artifact, ...]
    sources: tuple[SourceFile, ...] = ()
    records: tuple[Record, ...] = ()

    @property
    def made(self) -> tuple[Artifact | SourceFile, ...]:
        """What is the same whenever it is built again: packages, and source packages."""
        return (*self.artifacts, *self.sources)

    @property
    def files(self) -> tuple[Artifact | SourceFile, ...]:
        """All that lies beside the manifest."""
        return (*self.made, *self.records)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises OpkgError where it is damaged, OSError where it is not there."""
    return decode(path.read_bytes(), Manifest, where=str(path))
