# SPDX-License-Identifier: GPL-2.0-or-later
"""How often packages are downloaded: counted where files are answered, kept by day."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from werkzeug.datastructures import Headers

from opkg.console import say

FILE = "downloads.sqlite"
# Of so many days pages tell.
DAYS = 30
# Seconds; what a killed server has counted in that time is lost.
_FLUSH = 5

_PACKAGE = re.compile(
    r"deb/(?P<deb_channel>[^/]+)/pool/.+/(?P<deb>[^/_]+)_[^/]*\.deb"
    r"|rpm/(?P<rpm_channel>[^/]+)/[^/]+/packages/(?P<rpm>[^/]+)-[^/-]+-[^/-]+\.rpm"
)
_TABLE = """
CREATE TABLE IF NOT EXISTS downloads (
    day TEXT NOT NULL, channel TEXT NOT NULL, package TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (channel, package, day)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO downloads (day, channel, package, count) VALUES (?, ?, ?, ?)
ON CONFLICT (channel, package, day) DO UPDATE SET count = count + excluded.count
"""


def is_download(method: str, status: int, headers: Headers | Mapping[str, str]) -> bool:
    """Whether an answer gives a file from its first byte on: what resumes does not count again.
    `headers` are the request's (RFC 9110, 13 and 14)."""
    ranged = headers.get("Range")
    begins = ranged is None or ranged.replace(" ", "").startswith("bytes=0-")
    conditional = any(name in headers for name in ("If-None-Match", "If-Modified-Since"))
    return method == "GET" and status in (200, 206) and begins and not conditional


class Downloads:
    """Counts of the repository in `directory`. Noting one writes nothing to the disk: a thread
    does that for many, and `flush`."""

    def __init__(
        self, directory: Path, today: Callable[[], date] = lambda: datetime.now(UTC).date()
    ) -> None:
        self._path = directory / FILE
        self._today = today
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def note(self, path: str) -> None:
        """Count one download of a path of the tree, if that is a package."""
        found = _PACKAGE.fullmatch(path)
        if not found:
            return
        channel = found["deb_channel"] or found["rpm_channel"]
        with self._lock:
            self._waiting[channel, found["deb"] or found["rpm"]] += 1
            # Here, since a worker of the server begins by a fork, which takes no thread along.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._write_soon, daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Write what was counted. Where that cannot be, it stays counted."""
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
            self._thread = None
        day = self._today().isoformat()
        try:
            with _opened(self._path) as connection:
                rows = [(day, *key, count) for key, count in waiting.items()]
                connection.executemany(_ADD, rows)
        except sqlite3.Error as error:
            say(f"downloads could not be counted: {self._path}: {error}")
            with self._lock:
                self._waiting.update(waiting)

    def _write_soon(self) -> None:
        threading.Event().wait(_FLUSH)
        self.flush()


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Downloads of the last days, the oldest first."""

    days: tuple[tuple[date, int], ...]

    @property
    def total(self) -> int:
        return sum(count for _, count in self.days)

    @property
    def most(self) -> int:
        return max(count for _, count in self.days)


def plot(
    directory: Path,
    today: date,
    *,
    channel: str | None = None,
    packages: Collection[str] | None = None,
) -> Plot:
    """How often packages of a channel, or all, were downloaded each day."""
    found: Counter[str] = Counter()
    for row_day, _, _, count in _rows(directory, today, channel, packages):
        found[row_day] += count
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return Plot(days=tuple((day, found[day.isoformat()]) for day in days))


def most_wanted(directory: Path, today: date, limit: int) -> list[tuple[str, str, int]]:
    """Channel, package and number of the most frequent downloads, the most frequent first."""
    found: Counter[tuple[str, str]] = Counter()
    for _, channel, package, count in _rows(directory, today, None, None):
        found[channel, package] += count
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [(*key, count) for key, count in ranked[:limit]]


def _rows(
    directory: Path, today: date, channel: str | None, packages: Collection[str] | None
) -> list[tuple[str, str, str, int]]:
    path = directory / FILE
    if not path.exists():
        return []
    first = (today - timedelta(days=DAYS - 1)).isoformat()
    query, words = "SELECT day, channel, package, count FROM downloads WHERE day >= ?", [first]
    if channel is not None:
        query, words = f"{query} AND channel = ?", [*words, channel]
    with _opened(path) as connection:
        rows: list[tuple[str, str, str, int]] = connection.execute(query, words).fetchall()
    return [row for row in rows if packages is None or row[2] in packages]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(_TABLE)
        yield connection
