# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository on the disk: where its things are, and which generation is live.

The link `live/current` alone says what is published. Whatever a killed run left beyond it, in
folders or in the catalog, is cleared away by the next command that changes the repository.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from opkg.errors import OpkgError
from opkg.files import locked
from repo_server import catalog, database, history
from repo_server.openpgp import Keyring
from repo_server.pool import FolderPool, Pool
from repo_server.settings import read_settings

LIVE = "live"
CURRENT = "current"
# In the folder of TUF's keys: the initial root.
ROOT_FILE = "root.json"
# The published tree's folders.
TOPS = ("deb", "rpm", "opd", "keys")
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9+.-]*")

# Bytes that the catalog's own files may need.
_NO_ROOM = 1 << 18

Progress = Callable[[str], None]


class FullDiskError(OpkgError):
    """There is no room on the disk."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository's folder and its settings; `fingerprints` are those of its OpenPGP keys, the
    newest last; `url` is the address of its tree, if it knows that; `mirrors` are those of
    copies of it; with `contents`, apt's archives tell which package has which file. `bucket` is
    the s3:// URL that its packages are at, where that is no folder."""

    directory: Path
    origin: str
    fingerprints: tuple[str, ...]
    url: str = ""
    mirrors: tuple[str, ...] = ()
    contents: bool = False
    bucket: str = ""

    @property
    def private(self) -> Path:
        """Keys: never published, never readable for others."""
        return self.directory / "private"

    @property
    def keys(self) -> Keyring:
        """The OpenPGP keys."""
        return Keyring(folder=self.private / "openpgp", fingerprints=self.fingerprints)

    @property
    def trust(self) -> Path:
        """The TUF keys and roots."""
        return self.private / "tuf"

    @property
    def signers(self) -> Path:
        """Maintainers' keys, a folder for each channel that has a list of them."""
        return self.directory / "signers"

    @cached_property
    def pool(self) -> Pool:
        """Every package once."""
        if self.bucket:
            # Only here: its library takes its time.
            from repo_server.pool_s3 import BucketPool

            return BucketPool(self.bucket)
        return FolderPool(self.directory / "pool")

    @property
    def staging(self) -> Path:
        """Packages on their way into the pool."""
        return self.directory / "staging"

    @property
    def live(self) -> Path:
        """What is served: the published tree, its generations, and the packages that they share."""
        return self.directory / LIVE

    @property
    def current(self) -> Path:
        """The link to the live generation, which the tops of the tree lead through."""
        return self.live / CURRENT

    @property
    def packages(self) -> Path:
        """The packages that generations share, by their paths in the tree."""
        return self.live / "packages"

    def generation(self, number: int) -> Path:
        return self.live / "generations" / str(number)

    def live_number(self) -> int:
        """The live generation; 0 before the first."""
        try:
            return int(self.current.readlink().name)
        except FileNotFoundError:
            return 0


def open_repository(directory: Path) -> Repository:
    """The repository in `directory`. Raises OpkgError where there is none."""
    settings = read_settings(directory)
    return Repository(
        directory=directory.absolute(),
        origin=settings.origin,
        fingerprints=settings.openpgp,
        url=settings.url,
        mirrors=settings.mirrors,
        contents=settings.contents,
        bucket=settings.pool,
    )


def owner(repository: Repository) -> str:
    """Whom the repository's OpenPGP keys name."""
    return f"{repository.origin} (OPKG repository)"


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
        room(repository),
        locked(repository.directory / ".lock", waiting=waiting),
        catalog.opened(repository.directory) as session,
    ):
        database.hold(session, waiting)
        _clear_remains(repository, session)
        try:
            yield session
        except BaseException:
            session.rollback()
            _clear_remains(repository, session)
            raise
        session.rollback()
        shutil.rmtree(repository.staging, ignore_errors=True)


@contextmanager
def room(repository: Repository) -> Iterator[None]:
    """Raise FullDiskError where something fails since the disk is full."""
    try:
        yield
    except (OSError, OperationalError) as error:
        if full := full_disk(repository, error):
            raise full from error
        raise


def full_disk(repository: Repository, error: Exception) -> FullDiskError | None:
    """The error of a full disk, if that is why there was this one."""
    # SQLite has several words for it.
    if not is_full(error) and shutil.disk_usage(repository.directory).free > _NO_ROOM:
        return None
    return FullDiskError(
        "the disk is full; nothing was changed",
        where=str(repository.directory),
        hint="make room: opkg-repo gc removes what nobody needs any more",
    )


def is_full(error: Exception) -> bool:
    """Whether that is the system's word for a full disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _clear_remains(repository: Repository, session: Session) -> None:
    """Take away what was begun and never went live, now or by a run that was killed."""
    live = repository.live_number()
    shutil.rmtree(repository.staging, ignore_errors=True)
    for folder in repository.generation(live).parent.glob("*"):
        if int(folder.name) > live:
            shutil.rmtree(folder)
    if history.unpublish_after(session, live):
        session.commit()
