# SPDX-License-Identifier: GPL-2.0-or-later
"""build.toml, the recipe beside config.xml: sources, build steps, and the native packages that
they give beside the three that every OPKG becomes."""

from __future__ import annotations

from typing import Literal

import msgspec

from opkg.names import Names
from opkg.spec import Kind, Part, Relation
from opkg.target import Target

NAME = "build.toml"

Relative = Literal["", "=", "<", "<=", ">", ">="]


class RecipeSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a source comes from: one of `path` (a folder of the OPKG, relative to build.toml),
    `url` with `sha256`, `git` with a full `commit`, or `debian` (the name of a source package)
    with `version` and the `sha256` of its .dsc. `mirrors` are tried after the first place; for
    a Debian source they are archives. `patches` are files of the OPKG, applied in order."""

    path: str = ""
    url: str = ""
    git: str = ""
    debian: str = ""
    sha256: str = ""
    commit: str = ""
    version: str = ""
    mirrors: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()


class RecipeRelation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A relation to a native package; `on` limits it to families, distributions or targets,
    `when` to values of variables."""

    name: str
    rel: Relative = ""
    version: str = ""
    on: tuple[str, ...] = ()
    when: dict[str, str] = {}


Relations = tuple[str | RecipeRelation, ...]


class RecipeScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the OPKG that the package manager runs; `on` as for relations."""

    path: str
    on: tuple[str, ...] = ()


class Build(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`requires` are packages that the steps need, by generic names; `leave_out` are patterns of
    staged files that go into no package. `variables` are a text each, or one for each of some
    families, distributions or targets. A step may take so many `minutes`, and each of its
    processes so much memory (`memory_mb`)."""

    requires: Relations = ()
    leave_out: tuple[str, ...] = ()
    variables: dict[str, str | dict[str, str]] = {}
    minutes: int = 240
    memory_mb: int = 16384


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A script for bash, or a kind with `options` (`kinds.toml`). It runs in the folder of
    `source`, that of the first one where none is named; `on` and `when` as for relations."""

    name: str
    run: str = ""
    kind: str = ""
    options: tuple[str, ...] = ()
    source: str = ""
    on: tuple[str, ...] = ()
    when: dict[str, str] = {}


class RecipePackage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A native package made of staged files. `part` names the part of the OPKG that requires it,
    in just this version. Patterns: `*` matches within a folder, `**` at any depth. `scripts` are
    files of the OPKG by the moment at which the package manager runs them: one, or several of
    which the first that is for the target counts. `triggers` are files by the folder that other
    packages change; `on` and `when` limit the package as they do relations."""

    name: str
    summary: str
    description: str
    files: tuple[str, ...]
    part: Part | None = None
    architecture: Literal["all", "native"] = "native"
    section: str = "misc"
    config: tuple[str, ...] = ()
    provides: Relations = ()
    conflicts: Relations = ()
    requires: Relations = ()
    recommends: Relations = ()
    suggests: Relations = ()
    scripts: dict[str, str | tuple[RecipeScript, ...]] = {}
    triggers: dict[str, str] = {}
    on: tuple[str, ...] = ()
    when: dict[str, str] = {}

    def scripts_on(self, target: Target) -> dict[str, str]:
        """The scripts that hold on a target, by their moments."""
        found: dict[str, str] = {}
        for moment, listed in self.scripts.items():
            scripts = (RecipeScript(path=listed),) if isinstance(listed, str) else listed
            chosen = next((script.path for script in scripts if is_on(script.on, target)), "")
            found |= {moment: chosen} if chosen else {}
        return found

    def relations(self, kind: Kind, target: Target, names: Names) -> tuple[Relation, ...]:
        """The package's relations of a kind as they hold on a target, by native names."""
        return native_relations(getattr(self, kind.value), target, names)

    def entries(self, kind: Kind, target: Target) -> tuple[RecipeRelation, ...]:
        """The same by the names that build.toml uses."""
        return _entries(getattr(self, kind.value), target)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of build.toml."""

    source: dict[str, RecipeSource]
    package: tuple[RecipePackage, ...]
    step: tuple[Step, ...] = ()
    build: Build = Build()

    @property
    def is_compiled(self) -> bool:
        """Whether it gives a package that differs by architecture."""
        return any(package.architecture == "native" for package in self.package)


def is_on(words: tuple[str, ...], target: Target) -> bool:
    """Whether an `on` holds for a target; an empty one holds everywhere."""
    return not words or bool(set(words) & set(target.ordered_words))


def native_relations(listed: Relations, target: Target, names: Names) -> tuple[Relation, ...]:
    """The relations of a list that hold on a target, by native names."""
    return tuple(
        Relation(name=name, rel=entry.rel, version=entry.version)
        for entry in _entries(listed, target)
        for name in names.native(entry.name, target)
    )


def _entries(listed: Relations, target: Target) -> tuple[RecipeRelation, ...]:
    entries = (RecipeRelation(name=e) if isinstance(e, str) else e for e in listed)
    return tuple(entry for entry in entries if is_on(entry.on, target))
