# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the builder keeps what is costly to get or to make."""

from __future__ import annotations

import os
from pathlib import Path


def cache_path(kind: str) -> Path:
    """Where the folder for one kind of things is: below `$OPKG_CACHE`, or `~/.cache/oscar-opkg`."""
    configured = os.environ.get("OPKG_CACHE")
    top = Path(configured).absolute() if configured else Path.home() / ".cache/oscar-opkg"
    return top / "builder" / kind


def cache_folder(kind: str) -> Path:
    """The folder for one kind of things. What lies in it can be removed at any time when nothing
    is built."""
    folder = cache_path(kind)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
