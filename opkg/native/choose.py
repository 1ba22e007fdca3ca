# SPDX-License-Identifier: GPL-2.0-or-later
"""Which package manager a root has."""

from __future__ import annotations

from collections.abc import Mapping

from opkg.errors import OpkgError
from opkg.native import apt, dnf, rpmdb, zypper
from opkg.native.installer import Installed, Installer
from opkg.native.system import System
from opkg.target import Family

_INSTALLERS: Mapping[str, type[Installer]] = {
    "apt": apt.Apt,
    "dnf": dnf.Dnf,
    "zypper": zypper.Zypper,
}


def installer_of(system: System) -> type[Installer]:
    """The package manager of a root, by its target. Raises OpkgError."""
    kind = system.target.distribution.installer
    if kind not in _INSTALLERS:
        raise OpkgError(
            f"nothing can be installed with {kind}",
            where=system.name,
            hint="in targets.toml, installer is one of " + ", ".join(_INSTALLERS),
        )
    return _INSTALLERS[kind]


def packages(system: System) -> dict[str, Installed]:
    """What the database of a root's package manager holds, by name."""
    if system.target.family is Family.DEB:
        return apt.packages(system)
    return rpmdb.packages(system)
