# SPDX-License-Identifier: GPL-2.0-or-later
"""What is to outlast a failure of power."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def flush_all(paths: Iterable[Path]) -> None:
    """Put files, or folders' names, on the disk."""
    # At once, so that the file system may write them at once: it is several times as fast.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_flush, paths))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
