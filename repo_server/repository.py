# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository on the disk: where its things are, and which generation is live.

The link `live` alone says what is published. Whatever a killed run left beyond it, in folders or
in the catalog, is cleared away by the next command that changes the repository.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from opkg.errors import OpkgError
from opkg.files import locked
from opkg.run import run
from repo_server import catalog

SETTINGS = "opkg-repo.toml"
LIVE = "live"
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9+.-]*")

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository's folder and its settings; `fingerprint` is that of its OpenPGP key."""

    directory: Path
    origin: str
    fingerprint: str

    @property
    def private(self) -> Path:
        """Keys: never published, never readable for others."""
        return self.directory / "private"

    @property
    def trust(self) -> Path:
        """The TUF keys and the initial root."""
        return self.private / "tuf"

    @property
    def pool(self) -> Path:
        """Every package once, as `<ab>/<sha256>`."""
        return self.directory / "pool"

    @property
    def staging(self) -> Path:
        """Packages on their way into the pool."""
        return self.directory / "staging"

    @property
    def live(self) -> Path:
        """The published tree."""
        return self.directory / LIVE

    def generation(self, number: int) -> Path:
        return self.directory / "generations" / str(number)

    def live_number(self) -> int:
        """The live generation; 0 before the first."""
        try:
            return int(self.live.readlink().name)
        except FileNotFoundError:
            return 0


def pool_path(pool: Path, sha256: str) -> Path:
    """Where the pool keeps the file of a digest."""
    return pool / sha256[:2] / sha256


def open_repository(directory: Path) -> Repository:
    """The repository in `directory`. Raises OpkgError where there is none."""
    path = directory / SETTINGS
    try:
        settings = tomllib.loads(path.read_text())
        return Repository(
            directory=directory.absolute(),
            origin=settings["origin"],
            fingerprint=settings["openpgp"],
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OpkgError(
            "there is no repository here",
            where=str(directory),
            hint=f"make one with: opkg-repo init {directory}",
        ) from error
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise OpkgError(
            f"not the settings of a repository: {error}",
            where=str(path),
            hint="it needs `origin` and `openpgp`, the key's fingerprint",
        ) from error


def check_channel(channel: str) -> None:
    """Raise OpkgError unless `channel` can be the name of a channel: it becomes a folder."""
    if not _CHANNEL.fullmatch(channel):
        raise OpkgError(
            f"“{channel}” cannot name a channel",
            hint="use small letters, digits, + . and -, for example testing",
        )


@contextmanager
def changing(repository: Repository, progress: Progress) -> Iterator[Session]:
    """Hold the repository for one change, alone, with the catalog open. Nothing of the change
    stays in the catalog unless it is committed."""

    def waiting() -> None:
        progress("waiting for another command that is changing this repository …")

    with (
        locked(repository.directory / ".lock", waiting=waiting),
        catalog.opened(repository.directory) as session,
    ):
        _clear_remains(repository, session)
        try:
            yield session
        finally:
            session.rollback()
            _clear_remains(repository, session)


def _clear_remains(repository: Repository, session: Session) -> None:
    """Take away what was begun and never went live, now or by a run that was killed."""
    live = repository.live_number()
    shutil.rmtree(repository.staging, ignore_errors=True)
    for folder in (repository.directory / "generations").glob("*"):
        if int(folder.name) > live:
            shutil.rmtree(folder)
    catalog.unpublish_after(session, live)
    session.commit()


def settle(directory: Path) -> None:
    """Put everything on the disk that was written to the file system of `directory`: one call
    (syncfs) instead of one for each of thousands of links."""
    run(["sync", "--file-system", directory])
