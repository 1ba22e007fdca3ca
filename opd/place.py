# SPDX-License-Identifier: GPL-2.0-or-later
"""Places: the headnode and the images, each a root file system of some target."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from opkg.errors import OpkgError
from opkg.spec import Part
from opkg.target import Target, known_targets
from opkg.version import Version

HEADNODE = "headnode"
_HOPS = 40  # as many links as the kernel follows (path_resolution(7))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A root and what it is; `name` is “headnode”, an image's name, or an image's path."""

    name: str
    root: Path
    target: Target
    parts: tuple[Part, ...]

    @property
    def is_headnode(self) -> bool:
        return self.name == HEADNODE


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A native package to install: in this version, spelled as the family does, or in the newest
    where none is named."""

    name: str
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A native package as the package manager's database has it; `state` is "installed", or the
    word that the database has for a package that is not whole."""

    version: str
    state: str


def opkg_of(package: str) -> tuple[str, Part] | None:
    """Which OPKG's which part a native package is, if it is one."""
    name = package.removeprefix("opkg-")
    if name == package:
        return None
    for part in (Part.SERVER, Part.CLIENT):
        if name.endswith(f"-{part.value}"):
            return name.removesuffix(f"-{part.value}"), part
    return name, Part.API


def opkgs_in(place: Place, packages: Mapping[str, Installed]) -> dict[str, Version]:
    """The OPKGs that a place has all its parts of, whole and in one version."""
    found = {opkg[0] for package in packages if (opkg := opkg_of(package))}
    versions = {name: _version_in(place, packages, name) for name in sorted(found)}
    return {name: version for name, version in versions.items() if version}


def _version_in(place: Place, packages: Mapping[str, Installed], opkg: str) -> Version | None:
    parts = [packages.get(part.package(opkg)) for part in place.parts]
    versions = {part.version if part and part.state == "installed" else "" for part in parts}
    try:
        (version,) = versions
        return Version.parse(version.removesuffix(place.target.distribution.tag))
    except (ValueError, OpkgError):
        # Not all parts; or packages that are no OPKG's parts, and only have such names.
        return None


def headnode(root: Path) -> Place:
    """The headnode: it gets the API and the server part."""
    return Place(name=HEADNODE, root=root, target=target_of(root), parts=(Part.API, Part.SERVER))


def image_place(name: str, root: Path, target: Target | None = None) -> Place:
    """An image: it gets the client part."""
    return Place(name=name, root=root, target=target or target_of(root), parts=(Part.CLIENT,))


def target_of(root: Path) -> Target:
    """The target of a root, by its os-release (os-release(5)). Raises OpkgError where it is none
    of targets.toml."""
    values = _os_release(root)
    system, release = values.get("ID", ""), values.get("VERSION_ID", "")
    table = known_targets()
    for version in (release, release.partition(".")[0]):
        if f"{system}-{version}" in table.distributions:
            return table.find(f"{system}-{version}-{platform.machine()}")
    raise OpkgError(
        f"the distribution “{system} {release}” is not in the table of targets",
        where=str(root),
        hint="add it to /etc/oscar/targets.toml; known are "
        + ", ".join(sorted(table.distributions)),
    )


def _os_release(root: Path) -> dict[str, str]:
    for name in ("etc/os-release", "usr/lib/os-release"):
        path = within(root, name)
        if path.is_file():
            lines = path.read_text(errors="replace").splitlines()
            pairs = (line.partition("=") for line in lines if "=" in line and line[0] != "#")
            return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
    raise OpkgError(
        "this is no root file system of a distribution: it has no etc/os-release",
        where=str(root),
        hint="is the path right? opd image create makes a new one",
    )


def within(root: Path, path: str | PurePath) -> Path:
    """Where a path of a root lies on this machine. Links are followed as a process inside the
    root would follow them, so that none leads out of it; the end need not be there. Raises
    OpkgError where links lead in a circle."""
    todo = list(reversed(PurePath(path).parts))
    here = root
    hops = 0
    while todo:
        word = todo.pop()
        if word == "/":
            here = root
        elif word == "..":
            here = here.parent if here != root else root
        elif not (here / word).is_symlink():
            here /= word
        else:
            hops += 1
            if hops > _HOPS:
                raise OpkgError("links lead in a circle", where=str(here / word))
            todo += reversed((here / word).readlink().parts)
    return here
