# SPDX-License-Identifier: GPL-2.0-or-later
"""How often somebody may ask: requests counted by the minute, in a file that all of the server's
processes share."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

WINDOW = 60
# Changes that one token may ask for in a window, pieces of uploads among them …
CHANGES = 6000
# … and tokens that are no good, from one address.
FAILURES = 30


@dataclass(frozen=True, kw_only=True)
class Limiter:
    """Counts in the file `path`; a lost count does no harm, so nothing waits for the disk."""

    path: Path

    def count(self, what: str, *, add: int = 1) -> int:
        """Add to what was asked for in this window, and return the sum."""
        window = int(time.time()) // WINDOW
        with closing(sqlite3.connect(self.path, timeout=10, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(
                "CREATE TABLE IF NOT EXISTS asked "
                "(what TEXT PRIMARY KEY, since INTEGER, count INTEGER) WITHOUT ROWID"
            )
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM asked WHERE since < ?", [window])
            database.execute(
                "INSERT INTO asked VALUES (?, ?, ?) "
                "ON CONFLICT (what) DO UPDATE SET count = count + excluded.count",
                [what, window, add],
            )
            found = database.execute("SELECT count FROM asked WHERE what = ?", [what]).fetchone()
            database.execute("COMMIT")
        return int(found[0])
