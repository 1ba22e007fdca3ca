# SPDX-License-Identifier: GPL-2.0-or-later
"""An OPKG and a target give the native packages that the OPKG becomes there.

All filters are decided here; what writes packages only spells out what it is handed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from opkg.errors import OpkgError
from opkg.manifest import OpkgInfo, OpkgRelation
from opkg.naming import NAME, legal_name
from opkg.recipe import Recipe
from opkg.spec import DistFilter, FileRole, Filter, Kind, Opkg, Part, Relation, SourceFile
from opkg.target import Family, Target, known_targets
from opkg.version import Version, holds

PACKAGES_DIR = "/usr/lib/oscar/packages"
TESTING_DIR = "/usr/lib/oscar/testing"
DOC_DIR = "/usr/share/doc"

# The moments at which a package manager runs a package's own script.
MOMENTS = ("pre-install", "post-install", "pre-uninstall", "post-uninstall")
_NATIVE_SCRIPT = re.compile(rf"(api|server|client)-({'|'.join(MOMENTS)})")


@dataclass(frozen=True, kw_only=True)
class NativeVersion:
    """A version as a family spells it. Text: `[epoch:]upstream-release`."""

    epoch: int
    upstream: str
    release: str

    def __str__(self) -> str:
        epoch = f"{self.epoch}:" if self.epoch else ""
        return f"{epoch}{self.upstream}-{self.release}"

    @property
    def without_epoch(self) -> str:
        return f"{self.upstream}-{self.release}"


@dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """A file of a package: where it comes from, where it goes, with which mode."""

    path: str
    origin: Path
    mode: int


@dataclass(frozen=True, kw_only=True)
class NativePackage:
    """One of the three packages of an OPKG, for one target. `scripts` are those that the package
    manager is to run, by moment; `conflicts` and so on stand in `relations`."""

    name: str
    part: Part
    version: NativeVersion
    architecture: str
    summary: str
    description: str
    relations: tuple[tuple[Kind, Relation], ...]
    files: tuple[PackagedFile, ...]
    scripts: tuple[tuple[str, PackagedFile], ...]


def native_version(version: Version, target: Target) -> NativeVersion:
    """Spell an OPKG's version for a target, with the target's tag. A dash, which RPM does not
    allow in a version, becomes an underscore there."""
    upstream = version.upstream
    if target.family is Family.RPM:
        upstream = upstream.replace("-", "_")
    return NativeVersion(
        epoch=version.epoch,
        upstream=upstream,
        release=version.release + target.distribution.tag,
    )


def native_packages(opkg: Opkg, recipe: Recipe | None, target: Target) -> tuple[NativePackage, ...]:
    """The three packages of an OPKG on a target; none where it is not meant for the target.

    Raises OpkgError for a name or a relation that the target's family cannot express.
    """
    if not applies(opkg.availability, target):
        return ()
    _check_names(opkg, recipe, target)
    return tuple(_package(opkg, recipe, part, target) for part in Part)


def opkg_info(opkg: Opkg, target: Target) -> OpkgInfo:
    """What the manifest and the index say of an OPKG."""
    relations = [
        OpkgRelation(kind=dep.kind, name=relation.name, rel=relation.rel, version=relation.version)
        for dep in opkg.dependencies
        if not dep.parts and applies(dep.filter, target)
        for relation in dep.relations
    ]
    return OpkgInfo(
        name=opkg.name,
        version=str(opkg.version),
        category=opkg.category,
        summary=opkg.summary,
        description=opkg.description,
        licence=opkg.licence,
        groups=opkg.groups,
        uri=opkg.uri,
        maintainer=f"{opkg.maintainer.name} <{opkg.maintainer.email}>",
        relations=tuple(relations),
        scripts=tuple(f.path for f in opkg.files if f.role is FileRole.SCRIPT),
        changed=opkg.changed.isoformat(),
    )


def _package(opkg: Opkg, recipe: Recipe | None, part: Part, target: Target) -> NativePackage:
    version = native_version(opkg.version, target)
    relations = [*_own_relations(opkg, part, target), *_recipe_relations(recipe, part, version)]
    if part is Part.SERVER:
        needed = Relation(name=Part.API.package(opkg.name), rel="=", version=str(version))
        relations.append((Kind.REQUIRES, needed))
    placed = [(_part_of(f), f) for f in opkg.files]
    mine = [f for owner, f in placed if owner is part]
    words = "" if part is Part.API else f", {part.value} part"
    return NativePackage(
        name=part.package(opkg.name),
        part=part,
        version=version,
        architecture=_architecture(opkg, part, target),
        summary=opkg.summary + words,
        description="\n\n".join(filter(None, [opkg.description, _part_note(part, mine)])),
        relations=_unique(relations),
        files=tuple(_place(f, opkg.name) for f in mine),
        scripts=tuple(
            (match[2], _place(f, opkg.name))
            for f in mine
            if f.role is FileRole.SCRIPT and (match := _NATIVE_SCRIPT.fullmatch(f.path))
        ),
    )


def _part_note(part: Part, files: list[SourceFile]) -> str:
    """What a person who finds the package among thousands needs to know."""
    if part is Part.API:
        return ""
    place = "the headnode" if part is Part.SERVER else "the nodes, in their images"
    note = f"This part is for {place}."
    return note if files else f"{note} It is a metapackage: it only requires others."


def _own_relations(opkg: Opkg, part: Part, target: Target) -> list[tuple[Kind, Relation]]:
    """What config.xml says of a part. A relation between OPKGs holds between their server parts
    and between their client parts; API parts can always be installed side by side."""
    result = []
    for dep in opkg.dependencies:
        if not applies(dep.filter, target):
            continue
        for relation in dep.relations:
            if part in dep.parts:
                result += [
                    (dep.kind, replace(relation, name=name))
                    for name in opkg.names.native(relation.name, target)
                ]
            elif not dep.parts and part is not Part.API:
                name = part.package(relation.name)
                result.append((dep.kind, replace(relation, name=name)))
    return result


def _recipe_relations(
    recipe: Recipe | None, part: Part, version: NativeVersion
) -> list[tuple[Kind, Relation]]:
    packages = recipe.package if recipe else ()
    return [
        (Kind.REQUIRES, Relation(name=package.name, rel="=", version=str(version)))
        for package in packages
        if package.part is part
    ]


def _unique(relations: list[tuple[Kind, Relation]]) -> tuple[tuple[Kind, Relation], ...]:
    """In the order given; a name with a bound makes the same name without one superfluous."""
    bound = {(kind, relation.name) for kind, relation in relations if relation.rel}
    kept = [
        (kind, relation)
        for kind, relation in relations
        if relation.rel or (kind, relation.name) not in bound
    ]
    return tuple(dict.fromkeys(kept))


def _check_names(opkg: Opkg, recipe: Recipe | None, target: Target) -> None:
    """Refuse names that no package can have on the target, all at once."""
    if target.family is not Family.DEB:
        return
    names = [
        name
        for dep in opkg.dependencies
        if dep.parts and applies(dep.filter, target)
        for relation in dep.relations
        for name in opkg.names.native(relation.name, target)
    ]
    for package in recipe.package if recipe else ():
        for kind in Kind:
            names += [r.name for r in package.relations(kind, target, opkg.names)]
    bad = {name: legal_name(name) for name in names if not NAME.fullmatch(name)}
    if bad:
        listed = ", ".join(f"“{name}”" for name in bad)
        raise OpkgError(
            f"{listed} cannot be the name of a package on {target.platform}",
            where=opkg.name,
            hint=f"say in names.toml what it is called there: perhaps {', '.join(bad.values())}",
        )


def _architecture(opkg: Opkg, part: Part, target: Target) -> str:
    """Independent, unless what the package requires differs by architecture."""
    depends = any(
        dep.filter.archs
        for dep in opkg.dependencies
        if part in dep.parts or (not dep.parts and part is not Part.API)
    )
    only = bool(opkg.availability.archs)
    return target.native_architecture if depends or only else target.independent


def _part_of(file: SourceFile) -> Part:
    """Native scripts of the server and the client part belong to them, all else to the API."""
    match = _NATIVE_SCRIPT.fullmatch(file.path) if file.role is FileRole.SCRIPT else None
    return Part(match[1]) if match else Part.API


def _place(file: SourceFile, opkg: str) -> PackagedFile:
    """Where a file of the OPKG is installed."""
    if file.role is FileRole.DOC:
        path = f"{DOC_DIR}/{Part.API.package(opkg)}/{file.path}"
    elif file.role is FileRole.TEST:
        path = _test_path(file.path, opkg)
    else:
        path = f"{PACKAGES_DIR}/{opkg}/{file.path}"
    return PackagedFile(path=path, origin=file.origin, mode=0o755 if file.executable else 0o644)


def _test_path(path: str, opkg: str) -> str:
    """apitests.d and tests.d are shared by all OPKGs, data is kept by OPKG, and everything else
    (test_root, test_user …) stays with the OPKG."""
    folder, _, rest = path.partition("/")
    if folder in ("apitests.d", "tests.d") and rest:
        return f"{TESTING_DIR}/{path}"
    if folder == "data" and rest:
        return f"{TESTING_DIR}/data/{opkg}/{rest}"
    return f"{PACKAGES_DIR}/{opkg}/testing/{path}"


def applies(condition: Filter, target: Target) -> bool:
    """Whether a filter of config.xml holds for a target. The target alone decides, never the
    machine this runs on."""
    table = known_targets()
    archs = {table.canonical_architecture(arch) for arch in condition.archs}
    on_arch = not archs or target.architecture in archs
    return on_arch and (
        not condition.dists or any(_is_on(dist, target) for dist in condition.dists)
    )


def _is_on(dist: DistFilter, target: Target) -> bool:
    ours = target.distribution
    if dist.name not in target.ordered_words:
        return False
    return not dist.version or holds(ours.compat_release, dist.rel or "=", dist.version)
