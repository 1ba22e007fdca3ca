# SPDX-License-Identifier: GPL-2.0-or-later
"""Trust in a repository is TUF's (python-tuf's ngclient), from a root that was pinned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher
from urllib3.exceptions import HTTPError

from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_bytes

PINNED = "pinned.root.json"  # in a repository's folder

_ROOT_LIMIT = 512 * 1024


def fetch(folder: Path, base: str, name: str, *, hint: str) -> Path:
    """Fetch the newest file `name` that the metadata at the address `base` vouch for, from the root
    that is pinned in `folder` on. Raises IntegrityError where signature, freshness or version is
    wrong, OpkgError (with `hint`) where it cannot be reached."""
    targets = folder / "targets"
    targets.mkdir(parents=True, exist_ok=True)
    pinned = (folder / PINNED).read_bytes()
    with verified(folder / "metadata", pinned, f"{base}/metadata/", where=base, hint=hint) as known:
        return target(known, name, targets / name, f"{base}/targets/")


@contextmanager
def verified(
    folder: Path, pinned: bytes, address: str, *, where: str, hint: str
) -> Iterator[Updater]:
    """The TUF client of the metadata at an address, brought up to date from the root `pinned` on;
    `folder` keeps what was verified, also when something later is refused. Raises what `fetch`
    does, about `where`; also for what is asked of the client."""
    with _trouble_at(where, hint):
        updater = Updater(metadata_dir=str(folder), metadata_base_url=address, bootstrap=pinned)
        updater.refresh()
        yield updater


def target(updater: Updater, name: str, path: Path, address: str) -> Path:
    """The file `name` as the metadata describe it, fetched to `path` from below an address, if it
    is not there already. Raises IntegrityError and python-tuf's errors."""
    info = updater.get_targetinfo(name)
    if info is None:
        raise IntegrityError(f"the repository signs no {name}", where=address)
    there = updater.find_cached_target(info, str(path))
    return Path(there or updater.download_target(info, str(path), address))


@contextmanager
def _trouble_at(address: str, hint: str) -> Iterator[None]:
    """Tell what goes wrong in the TUF client in our own words."""
    try:
        yield
    except (DownloadError, HTTPError) as error:
        reason = error.__cause__ or error
        raise OpkgError(f"cannot be fetched: {reason}", where=address, hint=hint) from error
    except RepositoryError as error:
        raise IntegrityError(
            f"is not what its pinned key vouches for: {error}",
            where=address,
            hint="nothing of it is used; ask whoever runs the repository",
        ) from error


def root(url: str, root_key: str) -> bytes:
    """The TUF root metadata to pin: those of a file, or those that the repository at `url` serves,
    if `root_key` is their SHA-256. Raises OpkgError."""
    path = Path(root_key)
    if path.is_file():
        content = path.read_bytes()
        try:
            Metadata[Root].from_bytes(content)
        except DeserializationError as error:
            raise OpkgError(
                "this is no TUF root metadata",
                where=root_key,
                hint="ask whoever runs the repository for its keys/root.json",
            ) from error
        return content
    fingerprint = root_key.lower().removeprefix("sha256:").replace(":", "").replace(" ", "")
    if not re.fullmatch("[0-9a-f]{64}", fingerprint):
        raise OpkgError(
            f"“{root_key}” is neither a file nor a SHA-256 fingerprint",
            hint="ask whoever runs the repository: opkg-repo init prints it",
        )
    address = f"{url}/keys/root.json"
    with _trouble_at(address, "is the address right, and does the server run?"):
        content = Urllib3Fetcher().download_bytes(address, _ROOT_LIMIT)
    if sha256_bytes(content) != fingerprint:
        raise IntegrityError(
            "has another fingerprint than the one you gave",
            where=address,
            hint=f"it is {sha256_bytes(content)}: do not use it unless its owner confirms that",
        )
    return content
