# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPD asks of a package manager, and which one a place has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from opd import apt, dnf
from opd.place import Installed, Place, Wanted
from opd.repository import Known
from opkg.errors import OpkgError
from opkg.target import Family

Say = Callable[[str], None]


class Installer(Protocol):
    """A package manager working on one place. All raise CommandError when it fails."""

    def install(self, packages: Sequence[Wanted]) -> None:
        """Install these packages, or upgrade to them, with all they require, from lists that are
        read again. Removes none."""

    def check_removal(self, names: Sequence[str]) -> None:
        """Do nothing, but fail where something else that is installed needs these packages."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove packages, and what was installed only for them."""


def installer(place: Place, known: Sequence[Known], session: Path, say: Say) -> Installer:
    """The package manager of a place, with the repositories' sources for its target. `session` is
    a folder of this machine for what it downloads and is told."""
    kind = place.target.distribution.installer
    if kind == "apt":
        return apt.Apt(place, known, session, say)
    if kind == "dnf":
        return dnf.Dnf(place, known, session, say)
    raise OpkgError(
        f"OPD cannot install with {kind} yet", where=place.name, hint="apt and dnf it can"
    )


def packages(place: Place) -> dict[str, Installed]:
    """What the database of a place's package manager holds, by name."""
    return apt.packages(place) if place.target.family is Family.DEB else dnf.packages(place)
