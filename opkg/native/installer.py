# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of a package manager, whichever it is."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.filesize import decimal

from opkg.errors import OpkgError
from opkg.native.system import System, within

# What package managers' databases and histories take as they are written anew, and what triggers
# write (caches of programs).
_BESIDE = 16 << 20
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
class Step:
    """A native package that a transaction changes; `before` or `after` is empty where it was or
    will not be installed."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class PackageSource:
    """A repository, as a package manager is told of it: for deb, an archive with `suite` and
    `component`; for rpm, a folder with repodata/. `keys` are armored OpenPGP keys that it must be
    signed with. One that is `local` is a folder that we have just written, and has no signature;
    its `suite`, for deb, is a path below the URL."""

    name: str
    url: str
    keys: Sequence[str] = ()
    suite: str = ""
    component: str = ""
    local: bool = False


@dataclass(frozen=True, kw_only=True)
class Installer(ABC):
    """A package manager working on one root. It knows the root's own sources and `sources`, checks
    the signatures of all but local ones, and keeps in `session`, a folder of this machine, what it
    downloads and is told. `say` gets every line that it prints; packages' scripts see `env`.

    All methods raise CommandError when it fails.
    """

    system: System
    session: Path
    say: Say
    sources: Sequence[PackageSource] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @abstractmethod
    def refresh(self) -> None:
        """Let what the sources offer be read again."""

    @abstractmethod
    def install(self, packages: Sequence[Wanted]) -> None:
        """Install these packages, or upgrade to them, with all they require. Removes none."""

    @abstractmethod
    def plan(self, packages: Sequence[Wanted]) -> list[Step]:
        """What `install` would do. Changes nothing."""

    @abstractmethod
    def plan_removal(self, names: Sequence[str]) -> list[Step]:
        """What `remove` would do. Changes nothing."""

    def check_space(self, steps: Sequence[Step], files: Sequence[Path] = ()) -> None:
        """Raise OpkgError where the disk has no room for steps, whose packages come from a
        repository unless there are `files`."""
        # Packages say how much they take, and not where; most of it is below /usr.
        for folder, need in (("usr", self._growth(steps, files) + _BESIDE), ("var", _BESIDE)):
            disk = os.statvfs(within(self.system.root, folder))
            free = disk.f_bavail * disk.f_frsize
            if free < need:
                raise OpkgError(
                    f"the disk of /{folder} has {decimal(free)} left, and this needs "
                    f"{decimal(need)}; nothing was changed",
                    where=self.system.name,
                    hint="make room, then try again",
                )

    def _growth(self, steps: Sequence[Step], files: Sequence[Path]) -> int:  # noqa: ARG002 (for those that need it)
        """How many bytes packages take more after steps, at most; 0 where the package manager
        looks for that room by itself, as rpm does."""
        return 0

    @abstractmethod
    def fetch_installed(self, names: Sequence[str]) -> None:
        """Download packages again, in the versions that are installed."""

    @abstractmethod
    def files(self) -> dict[tuple[str, str], Path]:
        """The package files that were downloaded, by name and version."""

    @abstractmethod
    def restore(self, files: Sequence[Path], names: Sequence[str]) -> None:
        """Install packages from files, also older ones than are there, then remove the named, and
        nothing else. What they require must be there or among them."""

    @abstractmethod
    def check_removal(self, names: Sequence[str]) -> None:
        """Do nothing, but fail where something else that is installed needs these packages."""

    @abstractmethod
    def remove(self, names: Sequence[str]) -> None:
        """Remove packages, and what was installed only for them."""
