# SPDX-License-Identifier: GPL-2.0-or-later
"""build.toml, the recipe beside config.xml: sources, build steps, and the native packages that
they give beside the three that every OPKG becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from opkg.errors import Diagnostic, InvalidInputError
from opkg.findings import Findings, expected
from opkg.names import Names
from opkg.naming import NAME as PACKAGE_NAME
from opkg.naming import is_possible, legal_name
from opkg.older import distribution_words
from opkg.spec import Kind, Part, Relation
from opkg.target import Target
from opkg.toml_file import Place, TomlFile, read_toml
from opkg.version import is_comparable

NAME = "build.toml"
_RESERVED = "opkg-"


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
        return tuple(
            Relation(name=name, rel=entry.rel, version=entry.version)
            for entry in self.entries(kind, target)
            for name in names.native(entry.name, target)
        )

    def entries(self, kind: Kind, target: Target) -> tuple[RecipeRelation, ...]:
        """The same by the names that build.toml uses."""
        listed: Relations = getattr(self, kind.value)
        entries = (RecipeRelation(name=e) if isinstance(e, str) else e for e in listed)
        return tuple(e for e in entries if not e.on or set(e.on) & set(target.ordered_words))


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of build.toml."""

    source: dict[str, RecipeSource]
    step: tuple[Step, ...]
    package: tuple[RecipePackage, ...]
    build: Build = Build()


def read_recipe(directory: Path) -> Recipe | None:
    """The recipe of an OPKG directory, or None where it has none. Raises InvalidInputError."""
    recipe, found = check_recipe(directory)
    if any(finding.severity == "error" for finding in found):
        raise InvalidInputError(f"{directory / NAME} cannot be used", found)
    return recipe


def check_recipe(directory: Path) -> tuple[Recipe | None, tuple[Diagnostic, ...]]:
    """The recipe of an OPKG directory, and all that is found wrong with it. None where there is
    no recipe, or where it has errors."""
    findings = Findings(directory / NAME)
    document = read_toml(findings)
    if document:
        document.check(document.values, Recipe)
    if document is None or findings.failed:
        return None, findings.sorted()
    recipe = msgspec.convert(document.values, Recipe)
    _check_sources(document, recipe, directory)
    for number, package in enumerate(recipe.package):
        _check_package(document, package, ("package", number))
        if package.name in [other.name for other in recipe.package[:number]]:
            hint = "give it a name of its own, or put the files into one"
            document.error(("package", number, "name"), f"a second package {package.name}", hint)
    return (None if findings.failed else recipe), findings.sorted()


def _check_sources(document: TomlFile, recipe: Recipe, directory: Path) -> None:
    if not recipe.source or not recipe.package:
        hint = "add [source.NAME] and [[package]]"
        document.error((), "at least one source and one package are needed", hint)
    for name, source in recipe.source.items():
        try:
            folder = (directory / source.path).resolve()
            good = folder.is_relative_to(directory.resolve()) and folder.is_dir()
        except (OSError, RuntimeError, ValueError):
            good = False  # a loop of links, or no path at all
        if not good:
            place = ("source", name, "path")
            hint = "name a folder beside build.toml, and what is in it"
            document.error(place, f"there is no folder “{source.path}” in the OPKG", hint)


def _check_package(document: TomlFile, package: RecipePackage, place: Place) -> None:
    if not PACKAGE_NAME.fullmatch(package.name):
        hint = f"small letters, digits, + - and .: perhaps {legal_name(package.name)}"
        message = f"“{package.name}” cannot be the name of a package everywhere"
        document.error((*place, "name"), message, hint)
    if package.name.startswith(_RESERVED):
        hint = f"take another name: perhaps {package.name.removeprefix(_RESERVED)}"
        document.error((*place, "name"), f"{_RESERVED}… are the packages of OPKGs themselves", hint)
    if not package.files:
        document.error((*place, "files"), f"{package.name} has no files", "name patterns of files")
    for key in ("files", "config"):
        for pattern in getattr(package, key):
            if not pattern.startswith("/"):
                hint = f"write it as the file is installed: /{pattern}"
                document.error((*place, key), f"“{pattern}” matches nothing", hint)
    for kind in Kind:
        for number, entry in enumerate(getattr(package, kind.value)):
            _check_relation(document, entry, (*place, kind.value, number))


def _check_relation(document: TomlFile, entry: str | RecipeRelation, place: Place) -> None:
    name = entry if isinstance(entry, str) else entry.name
    if not is_possible(name):
        hint = '{ name = "…", rel = ">=", version = "…" } says which version'
        document.error(place, f"“{name}” is not the name of a package", hint)
    if isinstance(entry, str):
        return
    if bool(entry.rel) != bool(entry.version):
        document.error(place, f"{name}: rel and version belong together", "write both, or none")
    if entry.version and not is_comparable(entry.version):
        hint = "letters, digits and . + ~ - only, a colon behind an epoch"
        document.error(place, f"“{entry.version}” is not a version to compare with", hint)
    for word in entry.on:
        if word not in distribution_words():
            hint = expected(word, distribution_words())
            document.error(place, f"no target is “{word}”", hint)
