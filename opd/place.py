# SPDX-License-Identifier: GPL-2.0-or-later
"""Places: the headnode and the images, each a root file system of some target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opkg.errors import OpkgError
from opkg.native.installer import Installed
from opkg.native.system import System, target_of
from opkg.spec import Part
from opkg.target import Target
from opkg.version import Version

HEADNODE = "headnode"


@dataclass(frozen=True, kw_only=True)
class Place(System):
    """A root, and the parts of OPKGs that it gets; `name` is “headnode”, an image's name, or an
    image's path."""

    parts: tuple[Part, ...]

    @property
    def is_headnode(self) -> bool:
        return self.name == HEADNODE


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
