# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the packages that OPKGs name are in the archives of the targets (opkgc lint --mirror)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder import deb_archive, rpm_archive
from builder.cache import cache_folder
from builder.show import packages_of
from opkg.errors import CommandError, Diagnostic, OpkgError
from opkg.files import locked
from opkg.recipe import NAME as RECIPE
from opkg.recipe import Recipe
from opkg.resolve import applies
from opkg.spec import Kind, Opkg, Relation
from opkg.target import Family, Target
from opkg.variables import for_target

_ARCHIVES = {Family.DEB: deb_archive, Family.RPM: rpm_archive}
# What a package can be installed without is missed, but no fault.
_SEVERITY = {Kind.REQUIRES: "error", Kind.RECOMMENDS: "warning", Kind.SUGGESTS: "warning"}

Offered = dict[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """An OPKG that was read without an error, and where."""

    directory: Path
    opkg: Opkg
    recipe: Recipe | None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A native package that an OPKG names: `generic` is its name in the OPKG's own files,
    `checked` whether the table of names says that it was looked up."""

    source: Source
    kind: Kind
    generic: str
    relation: Relation
    checked: bool


def check(
    sources: Sequence[Source], targets: Sequence[Target], say: Callable[[str], None]
) -> list[Diagnostic]:
    """Look up every package that OPKGs need on the targets. What one of the OPKGs makes itself
    need not be in the archive. A target whose archive is out of reach gets a warning."""
    return [found for target in targets for found in _check(sources, target, say)]


def _check(
    sources: Sequence[Source], target: Target, say: Callable[[str], None]
) -> Iterator[Diagnostic]:
    own: set[str] = set()
    wanted: list[Wanted] = []
    for source in sources:
        try:
            packages = packages_of(source.opkg, source.recipe, target)
        except OpkgError as error:
            yield _finding("error", source, error.message, error.hint)
            continue
        own |= {package.name for package in packages}
        own |= {r.name for p in packages for kind, r in p.relations if kind is Kind.PROVIDES}
        wanted += _wanted(source, target) if packages else ()
    wanted = [each for each in wanted if each.relation.name not in own]
    names = sorted({each.relation.name for each in wanted})
    if not names:
        return
    try:
        offered = _offered(target, names)
    except OpkgError as error:
        lines = error.output.splitlines() if isinstance(error, CommandError) else []
        said = [line for line in lines if line.startswith(("E: ", "Error: "))][:1] or lines[-1:]
        message = ": ".join(["its archive cannot be looked into", error.message, *said])
        yield Diagnostic(
            severity="warning", path=target.name, line=0, message=message, hint=error.hint
        )
        return
    say(f"{target.name}: {len(names)} names looked up, {len(set(names) - set(offered))} not found")
    for each in wanted:
        yield from _judged(each, offered, target)


def _wanted(source: Source, target: Target) -> Iterator[Wanted]:
    """All that the packages of an OPKG need on a target."""
    named = [
        (dep.kind, relation)
        for dep in source.opkg.dependencies
        if dep.parts and applies(dep.filter, target)
        for relation in dep.relations
    ]
    recipe = for_target(source.recipe, source.opkg, target) if source.recipe else None
    for package in recipe.package if recipe else ():
        for kind in _SEVERITY:
            named += [
                (kind, Relation(name=entry.name, rel=entry.rel, version=entry.version))
                for entry in package.entries(kind, target)
            ]
    names = source.opkg.names
    for kind, relation in dict.fromkeys(named):
        for native in names.native(relation.name, target) if kind in _SEVERITY else ():
            yield Wanted(
                source=source,
                kind=kind,
                generic=relation.name,
                relation=Relation(name=native, rel=relation.rel, version=relation.version),
                checked=names.is_checked(relation.name, target),
            )


def _offered(target: Target, names: Sequence[str]) -> Offered:
    cache = cache_folder("archives") / target.name
    with locked(cache / ".lock"):
        found = _ARCHIVES[target.family].offered(target, names, cache)
    return {name: versions for name, versions in found.items() if versions}


def _judged(wanted: Wanted, offered: Offered, target: Target) -> Iterator[Diagnostic]:
    relation, source = wanted.relation, wanted.source
    meant = f"“{relation.name}”"
    if relation.name != wanted.generic:
        meant += f", which {wanted.generic} is called there,"
    versions = offered.get(relation.name, ())
    if not versions:
        hint = f"say in names.toml what {wanted.generic} is called there"
        message = f"{meant} is not in the archive of {target.platform}"
        yield _finding(_SEVERITY[wanted.kind], source, message, hint, wanted.generic)
        return
    holds = _ARCHIVES[target.family].holds
    listed = ", ".join(filter(None, versions)) or "without a version"
    if relation.rel and not any(
        version and holds(version, relation.rel, relation.version) for version in versions
    ):
        message = f"{meant} is not {relation.rel} {relation.version} on {target.platform}"
        hint = f"there it is {listed}"
        yield _finding(_SEVERITY[wanted.kind], source, message, hint, wanted.generic)
    elif not wanted.checked:
        message = f"{meant} is in the archive of {target.platform}: {listed}"
        hint = "take checked = false away, in names.toml"
        yield _finding("note", source, message, hint, wanted.generic)


def _finding(
    severity: str, source: Source, message: str, hint: str, generic: str = ""
) -> Diagnostic:
    """A finding at the place where the OPKG names a package."""
    named = re.compile(rf">\s*{re.escape(generic)}\s*<|\"{re.escape(generic)}\"")
    for name in ("config.xml", RECIPE) if generic else ():
        path = source.directory / name
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        for number, line in enumerate(lines, 1):
            if named.search(line):
                return Diagnostic(
                    severity=severity, path=str(path), line=number, message=message, hint=hint
                )
    path = source.directory / "config.xml"
    return Diagnostic(severity=severity, path=str(path), line=0, message=message, hint=hint)
