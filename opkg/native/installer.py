# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of a package manager, whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opkg.native.system import System

Say = Callable[[str], None]


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


@dataclass(frozen=True, kw_only=True)
class PackageSource:
    """A signed repository, as a package manager is told of it: for deb, an archive with `suite`
    and `component`; for rpm, a folder with repodata/. `keys` are armored OpenPGP keys."""

    name: str
    url: str
    keys: Sequence[str]
    suite: str = ""
    component: str = ""


@dataclass(frozen=True, kw_only=True)
class Installer(ABC):
    """A package manager working on one root. It knows the root's own sources and `sources`, checks
    the signatures of all, and keeps in `session`, a folder of this machine, what it downloads and
    is told. `say` gets every line that it prints; packages' scripts see `env`.

    All methods raise CommandError when it fails.
    """

    system: System
    session: Path
    say: Say
    sources: Sequence[PackageSource] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @abstractmethod
    def install(self, packages: Sequence[Wanted]) -> None:
        """Install these packages, or upgrade to them, with all they require, from lists that are
        read again. Removes none."""

    @abstractmethod
    def check_removal(self, names: Sequence[str]) -> None:
        """Do nothing, but fail where something else that is installed needs these packages."""

    @abstractmethod
    def remove(self, names: Sequence[str]) -> None:
        """Remove packages, and what was installed only for them."""
