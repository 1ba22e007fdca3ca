# SPDX-License-Identifier: GPL-2.0-or-later
"""Things that are costly to make, kept outside the checkout under the key of what made them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from opkg.errors import OpkgError
from opkg.files import locked
from opkg.native.mounts import remove_tree


def cache_root() -> Path:
    """The folder of all entries: `$OPKG_CACHE`, or `~/.cache/oscar-opkg`."""
    configured = os.environ.get("OPKG_CACHE")
    return Path(configured).absolute() if configured else Path.home() / ".cache" / "oscar-opkg"


def cached(
    name: str,
    key_inputs: object,
    make: Callable[[Path], object],
    *,
    max_age: timedelta | None = None,
) -> Path:
    """The file or directory that `make(path)` makes, from the cache when it is there.

    `key_inputs` is anything json can write; other inputs, or an age over `max_age`, make a new
    entry, and then those of older keys of this name go. `make` gets a path that does not exist,
    alone in a folder that it may use for its work and that goes afterwards. An entry appears by
    one rename, so it is whole or absent; of two processes one makes it and the other waits.
    Whatever `make` raises passes through, and the former entry stays.
    """
    digest = hashlib.sha256(json.dumps(key_inputs, sort_keys=True).encode()).hexdigest()
    folder = cache_root() / name
    entry = folder / digest[:16]
    if _is_fresh(entry, max_age):
        return entry
    with locked(folder / ".lock"):
        if _is_fresh(entry, max_age):
            return entry
        for left in folder.glob(".making-*"):
            # By a process that was killed, for we hold its lock. Its children may still be at
            # work there: what cannot go now goes the next time.
            with suppress(OpkgError):
                remove_tree(left)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
        try:
            made = work / entry.name
            make(made)
            os.utime(made)  # the age counts from now, whatever times the maker gave it
            for old in folder.glob("[!.]*"):
                old.rename(work / f"{old.name}.old")
            made.rename(entry)
        finally:
            remove_tree(work)
    return entry


def _is_fresh(entry: Path, max_age: timedelta | None) -> bool:
    try:
        made = entry.stat().st_mtime
    except FileNotFoundError:
        return False
    return max_age is None or time.time() - made < max_age.total_seconds()
