# SPDX-License-Identifier: GPL-2.0-or-later
"""Where OPD keeps what it knows: one folder, /var/lib/oscar unless told otherwise, and the cluster
database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from opd.oda import Oda
from opkg.files import locked

DEFAULT = Path("/var/lib/oscar")


@dataclass(frozen=True)
class State:
    """The state folder, and the cluster database in it."""

    root: Path
    oda: Oda

    @classmethod
    def open(cls, root: Path, database: URL | None = None) -> State:
        """Open the state folder, making it where it is not there yet; the cluster database is in
        it, unless `database` says where else."""
        root = root.absolute()
        root.mkdir(parents=True, exist_ok=True)
        own = URL.create("sqlite", database=str(root / "oda.sqlite"))
        return cls(root, Oda(database or own, root / "oda.lock"))

    @property
    def repositories(self) -> Path:
        """A folder for each repository: TUF metadata and the verified index."""
        return self.root / "repositories"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def packages(self) -> Path:
        """A folder for each root: the package files that opd undo may need."""
        return self.root / "packages"

    @property
    def downloads(self) -> Path:
        """What opd download fetched, by digest."""
        return self.root / "cache" / "downloads"

    @property
    def sessions(self) -> Path:
        """A folder for each root: what apt and dnf download and are told for one."""
        return self.root / "cache" / "sessions"

    @property
    def logs(self) -> Path:
        """What the tools printed, a file for each transaction."""
        return self.root / "log"

    @contextmanager
    def changing(self, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock that everything that changes the cluster holds."""
        with locked(self.root / "lock", waiting=lambda: say("waiting for another opd to finish …")):
            yield
