# SPDX-License-Identifier: GPL-2.0-or-later
"""What the repository knows of a native package, and which target it is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from opkg.errors import OpkgError
from opkg.target import Family, Target, TargetTable

# The folder of packages in an archive (deb), or in a repository (rpm).
PACKAGES = {Family.DEB: "pool", Family.RPM: "packages"}
# The architecture of source packages.
SOURCE = {Family.DEB: "source", Family.RPM: "src"}

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+:~^-]*")


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A further file of a package, one that a .dsc names; `path` is in the archive."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package as it will be published. `version` is spelled as the family does, with its epoch
    if there is one. `path` is where it goes in its archive (deb) or folder (rpm); `source_sha256`
    is the digest of the file before the repository signed it; `fragments` are the lists' entries
    for it, by the list's name; `companions` are its further files."""

    family: Family
    name: str
    version: str
    architecture: str
    path: str
    size: int
    sha256: str
    source_sha256: str
    fragments: Mapping[str, str] = field(default_factory=dict)
    companions: tuple[Companion, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.architecture}"


def check_words(*words: str, where: str) -> None:
    """Raise OpkgError unless each word can stand in a file name and in a list: what a package
    says of itself must not lead out of the tree."""
    for word in words:
        if not _WORD.fullmatch(word):
            raise OpkgError(
                f"the package calls itself by a name that cannot be: “{word}”",
                where=where,
                hint="letters, digits and _ . + : ~ ^ - can make names and versions",
            )


def tree_path(family: Family, channel: str, target: str, path: str = "") -> str:
    """Where in the tree a package with this `path` is; without one, its archive or folder."""
    folder = f"deb/{channel}" if family is Family.DEB else f"rpm/{channel}/{target}"
    return f"{folder}/{path}" if path else folder


def target_of(package: Package, chosen: Target | None, table: TargetTable, where: str) -> Target:
    """The target of a package: the one chosen, or that whose tag ends the package's release (the
    longest tag that does), on the package's architecture. Raises OpkgError where none is right."""
    target = chosen or _tagged(package, table, where)
    fitting = (target.native_architecture, target.independent, SOURCE[target.family])
    if package.family is not target.family or package.architecture not in fitting:
        raise OpkgError(
            f"a {package.family.value} package for {package.architecture} does not fit the target "
            f"{target.name}",
            where=where,
            hint=f"it takes {target.family.value} packages for {' and '.join(fitting[:2])}",
        )
    return target


def _tagged(package: Package, table: TargetTable, where: str) -> Target:
    tags = {
        distribution.tag: platform
        for platform, distribution in table.distributions.items()
        if distribution.family is package.family and package.version.endswith(distribution.tag)
    }
    if not tags:
        raise OpkgError(
            f"its version {package.version} does not end with the tag of a target",
            where=where,
            hint="say which target it is for with --target",
        )
    platform = tags[max(tags, key=len)]
    if package.architecture in ("all", "noarch", SOURCE[package.family]):
        return table.find(platform)
    return table.find(f"{platform}-{table.canonical_architecture(package.architecture)}")
