# SPDX-License-Identifier: GPL-2.0-or-later
"""build.toml, the recipe beside config.xml: sources, build steps, and the native packages that
they give beside the three that every OPKG becomes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from opkg.errors import Diagnostic, InvalidInputError
from opkg.names import Names
from opkg.spec import Kind, Part, Relation
from opkg.target import Target

NAME = "build.toml"


class RecipeSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a source comes from: `path` is a folder of the OPKG, relative to build.toml."""

    path: str


class Build(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`requires` are native packages that the steps need; `leave_out` are patterns of staged
    files that go into no package."""

    requires: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shell script, run with `set -eu` in a copy of the first source."""

    name: str
    run: str


class RecipeRelation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A relation to a native package; `on` limits it to families, distributions or targets."""

    name: str
    rel: Literal["", "=", "<", "<=", ">", ">="] = ""
    version: str = ""
    on: tuple[str, ...] = ()


Relations = tuple[str | RecipeRelation, ...]


class RecipePackage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A native package made of staged files. `part` names the part of the OPKG that requires it,
    in just this version. Patterns: `*` matches within a folder, `**` at any depth."""

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

    def relations(self, kind: Kind, target: Target, names: Names) -> tuple[Relation, ...]:
        """The package's relations of a kind as they hold on a target, by native names."""
        listed: Relations = getattr(self, kind.value)
        entries = [RecipeRelation(name=e) if isinstance(e, str) else e for e in listed]
        return tuple(
            Relation(name=name, rel=entry.rel, version=entry.version)
            for entry in entries
            if not entry.on or set(entry.on) & set(target.ordered_words)
            for name in names.native(entry.name, target)
        )


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of build.toml."""

    source: dict[str, RecipeSource]
    step: tuple[Step, ...]
    package: tuple[RecipePackage, ...]
    build: Build = Build()


def read_recipe(directory: Path) -> Recipe | None:
    """The recipe of an OPKG directory, or None where it has none. Raises InvalidInputError."""
    path = directory / NAME
    try:
        recipe = msgspec.convert(tomllib.loads(path.read_text()), Recipe)
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise _refusal(path, str(error)) from error
    for name, source in recipe.source.items():
        folder = (directory / source.path).resolve()
        if not folder.is_relative_to(directory.resolve()) or not folder.is_dir():
            raise _refusal(path, f"source {name}: there is no folder “{source.path}” in the OPKG")
    if not recipe.source or not recipe.package:
        raise _refusal(path, "at least one [source.NAME] and one [[package]] are needed")
    return recipe


def _refusal(path: Path, message: str) -> InvalidInputError:
    found = Diagnostic(severity="error", path=str(path), line=0, message=message)
    return InvalidInputError(f"{path} cannot be used", [found])
