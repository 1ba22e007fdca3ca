# SPDX-License-Identifier: GPL-2.0-or-later
"""Follows a run for its user: tells of it while it goes on, and leaves a page about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder import durations
from builder.job import Job
from builder.progress import Events, Lines, Rows, Teller
from builder.record import Record
from builder.schedule import Event
from opkg.console import stderr
from opkg.errors import OpkgError

PAGE = "report.html"


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What `build` tells its events to; `record` is what is known of the run."""

    record: Record
    tell: Callable[[Event], None]


@contextmanager
def watched(jobs: Sequence[Job], out: Path, *, as_json: bool, page: Path | None) -> Iterator[Watch]:
    """Watch a run that puts its packages under `out`, and write the `page` about it in the end,
    however it ends; one that had nothing to do leaves the page of the last one. Raises OpkgError
    where the page cannot be written."""
    record = Record(jobs, durations.known())
    teller = _teller(record, as_json=as_json)

    def tell(event: Event) -> None:
        record.tell(event)
        teller.tell(event)

    try:
        with teller.showing():
            yield Watch(record=record, tell=tell)
    finally:
        durations.remember(record.results)
        if page or any(entry.begun for entry in record.entries):
            _write_page(record, out, page or out / PAGE)


def _teller(record: Record, *, as_json: bool) -> Teller:
    if as_json:
        return Events(record)
    return Rows(record) if stderr.is_interactive else Lines(record)


def _write_page(record: Record, out: Path, page: Path) -> None:
    # Only here: a run with nothing to do need not wait for the library.
    from builder.report import write_report

    try:
        write_report(record, out, page)
    except OSError as error:
        raise OpkgError(f"cannot be written: {error.strerror}", where=str(page)) from error
