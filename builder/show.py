# SPDX-License-Identifier: GPL-2.0-or-later
"""What an OPKG becomes on a target, for people and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from opkg.recipe import Recipe, RecipePackage
from opkg.resolve import NativePackage, NativeVersion, native_packages, native_version
from opkg.spec import Kind, Opkg, Part, Relation
from opkg.target import Target
from opkg.variables import for_target

_WIDTH = 80
_INDENT = 13


@dataclass(frozen=True, kw_only=True)
class FurtherPackage:
    """A package that a recipe makes. `part` is the part of the OPKG that requires it, `files`
    are the patterns of its files: nothing has been built yet."""

    name: str
    part: Part | None
    version: NativeVersion
    architecture: str
    summary: str
    description: str
    relations: tuple[tuple[Kind, Relation], ...]
    files: tuple[str, ...]


def packages_of(
    opkg: Opkg, recipe: Recipe | None, target: Target
) -> list[NativePackage | FurtherPackage]:
    """The packages that an OPKG becomes on a target; none where it is not meant for the target.
    Raises OpkgError for what the target's family cannot express."""
    recipe = for_target(recipe, opkg, target) if recipe else None
    native = native_packages(opkg, recipe, target)
    further = recipe.package if recipe and native else ()
    return [*native, *(_further(package, opkg, target) for package in further)]


def _further(package: RecipePackage, opkg: Opkg, target: Target) -> FurtherPackage:
    independent = package.architecture == "all"
    return FurtherPackage(
        name=package.name,
        part=package.part,
        version=native_version(opkg.version, target),
        architecture=target.independent if independent else target.native_architecture,
        summary=package.summary,
        description=package.description,
        relations=tuple(
            (kind, relation)
            for kind in Kind
            for relation in package.relations(kind, target, opkg.names)
        ),
        files=package.files,
    )


def as_text(package: NativePackage | FurtherPackage) -> str:
    """A package in lines of at most 80 characters, names excepted."""
    made = " (made by build.toml)" if isinstance(package, FurtherPackage) else ""
    head = f"{package.name} {package.version} {package.architecture}{made}"
    return "\n".join([head, f"  {package.summary}", *_lines(package)])


def _lines(package: NativePackage | FurtherPackage) -> Iterator[str]:
    for kind in Kind:
        relations = [str(relation) for known, relation in package.relations if known is kind]
        yield from _listed(kind.value, relations)
    if isinstance(package, FurtherPackage):
        yield from _listed("files", package.files, separator="")
        return
    yield from _listed("runs", [f"its {moment} script" for moment, _ in package.scripts])
    label = "files"
    folders: dict[str, list[str]] = {}
    for file in package.files:
        path = PurePosixPath(file.path)
        folders.setdefault(str(path.parent), []).append(path.name)
    for folder, names in folders.items():
        yield f"  {label:<{_INDENT - 2}}{folder}/"
        yield from _filled(" " * (_INDENT + 2), names, "")
        label = ""


def _listed(label: str, words: Iterable[str], separator: str = ",") -> Iterator[str]:
    yield from _filled(f"  {label:<{_INDENT - 2}}", list(words), separator)


def _filled(start: str, words: list[str], separator: str) -> Iterator[str]:
    """Words one after another, in lines; none of them is broken."""
    if not words:
        return
    glued = [word.replace(" ", "\0") + separator for word in words]
    text = textwrap.fill(
        "  ".join(glued) if not separator else " ".join(glued),
        _WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    yield from text.removesuffix(separator).replace("\0", " ").split("\n")
