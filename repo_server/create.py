# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a repository: its keys, its catalog, and its first, empty generation."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from opkg.errors import OpkgError
from repo_server import catalog, openpgp, trust
from repo_server.publish import publish
from repo_server.repository import Progress, Repository, open_repository, owner
from repo_server.settings import SETTINGS, Settings, write_settings


@dataclass(frozen=True, kw_only=True)
class Created:
    """What a new repository's clients pin: the SHA-256 of its initial TUF root, and the
    fingerprint of its OpenPGP key."""

    directory: str
    origin: str
    root: str
    openpgp: str


def create(
    directory: Path,
    origin: str,
    progress: Progress,
    *,
    url: str = "",
    database: str = "",
    contents: bool = False,
    pool: str = "",
    now: datetime | None = None,
) -> Created:
    """Make a repository in `directory`, which must be empty or not there, with its tree at `url`,
    if that is known, and its catalog in the empty `database`, a URL, else in a file; with
    `contents`, apt's archives tell which package has which file. Packages are kept at `pool`, an
    empty place in a bucket as s3://BUCKET/PREFIX, else in a folder. Raises OpkgError."""
    if not origin.isprintable() or not origin.strip():
        raise OpkgError("the origin must be one printable line", hint="for example: OSCAR")
    if url and not re.fullmatch(r"https?://[!-~]+", url):
        raise OpkgError(f"“{url}” is no address", hint="for example http://repo.example/opkg")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        what = "a repository already" if (directory / SETTINGS).exists() else "not an empty folder"
        raise OpkgError(
            f"this is {what}", where=str(directory), hint="name a folder that is not there yet"
        )
    if pool:
        _check_pool(pool)
    directory.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        origin=origin, openpgp=(), url=url, database=database, contents=contents, pool=pool
    )
    try:
        date = (now or datetime.now(UTC)).replace(microsecond=0)
        return _fill(directory, settings, progress, date)
    except BaseException:
        for entry in directory.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        raise


def _check_pool(url: str) -> None:
    """Refuse a pool that cannot be used, or that is another's: `gc` removes what it does not
    know."""
    if not re.fullmatch(r"s3://[!-.0-~]+(/[!-.0-~]+)*/?", url):
        raise OpkgError(f"“{url}” is no place for a pool", hint="for example s3://packages/oscar")
    from repo_server.pool_s3 import BucketPool

    if BucketPool(url).is_used():
        raise OpkgError(
            "there are objects here already",
            where=url,
            hint="name an empty bucket, or a prefix that is not there yet",
        )


def _fill(directory: Path, settings: Settings, progress: Progress, now: datetime) -> Created:
    repository = Repository(directory=directory, origin=settings.origin, fingerprints=())
    progress("making keys …")
    repository.private.mkdir(mode=0o700)
    fingerprint = openpgp.generate(repository.keys.folder, owner(repository), now)
    root = trust.create(repository.trust, now)
    repository.generation(1).parent.mkdir(parents=True)
    write_settings(directory, replace(settings, openpgp=(fingerprint,)))
    with catalog.opened(directory, fresh=True):
        pass
    publish(open_repository(directory), progress, now=now)
    return Created(directory=str(directory), origin=settings.origin, root=root, openpgp=fingerprint)
