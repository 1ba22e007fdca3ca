# SPDX-License-Identifier: GPL-2.0-or-later
"""Tells of a run while it goes on: a live table on a terminal, lines elsewhere, or events in JSON
for programs."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from builder.job import Job, Result
from builder.record import Record
from builder.schedule import Event
from opkg.console import say, stderr

# Rows of the live table: what else is running is counted.
_ROWS = 12
_printing = threading.Lock()


class Teller(ABC):
    """Tells of the run that `record` records."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def showing(self) -> AbstractContextManager[object]:
        """What is shown as long as the run goes on."""
        return nullcontext()

    @abstractmethod
    def tell(self, event: Event) -> None:
        """Called after the record knows of the event, by any thread."""


class Lines(Teller):
    """A line for each job that has ended, on stderr."""

    def tell(self, event: Event) -> None:
        if event.result:
            say(_line(event.result))


class Rows(Lines):
    """The same lines, and below them a table of what is being done."""

    def showing(self) -> AbstractContextManager[object]:
        return Live(
            console=stderr, get_renderable=self._table, refresh_per_second=4, transient=True
        )

    def _table(self) -> RenderableType:
        now = time.time()
        running = self.record.running
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("BUILDING", no_wrap=True, max_width=30)
        # What says less by its end has to give way.
        for name in ("FOR", "ON"):
            table.add_column(name, no_wrap=True, min_width=8)
        for name in ("SINCE", "OF ABOUT"):
            table.add_column(name, no_wrap=True, min_width=len(name), justify="right")
        for entry in running[:_ROWS]:
            about = self.record.expected(entry.job)
            table.add_row(
                entry.job.opkg.name,
                entry.job.target.name,
                entry.worker,
                duration(now - (entry.begun or now)),
                duration(about) if about else "",
            )
        parts: list[RenderableType] = [table] if running else []
        if len(running) > _ROWS:
            parts.append(Text(f"and {len(running) - _ROWS} more"))
        return Group(*parts, Text(self._sum(now)))

    def _sum(self, now: float) -> str:
        entries, results = self.record.entries, self.record.results
        words = [f"{len(results)} of {len(entries)} done"]
        if failed := sum(not result.status.is_good for result in results):
            words.append(f"{failed} failed")
        words.append(f"{duration(now - self.record.begun)} so far")
        if left := self.record.left(now):
            words.append(f"about {duration(left)} left")
        return ", ".join(words)


class Events(Lines):
    """A JSON object on a line of stdout for each event, beside the lines on stderr; docs/opkgc.md
    says what is in them."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        jobs = [
            {**_named(entry.job), "expected": self.record.expected(entry.job)}
            for entry in record.entries
        ]
        print_event("planned", at=record.begun, jobs=jobs)

    def tell(self, event: Event) -> None:
        super().tell(event)
        about = {**_named(event.job), "worker": event.worker}
        outcome = _outcome(event.result) if event.result else {}
        print_event(event.what, at=event.at, **about, **outcome)


def print_event(what: str, *, at: float = 0, **fields: object) -> None:
    """Print an event on a line of its own, whichever thread does so; `at` is now where it is not
    given."""
    event = {"event": what, "at": at or time.time(), **fields}
    with _printing:
        click.echo(msgspec.json.encode(event))


def duration(seconds: float) -> str:
    """As people read it: minutes and seconds, with hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _line(result: Result) -> str:
    job = result.job
    more = f"  {len(result.artifacts)} packages" if result.artifacts else ""
    if result.missing:
        more = "  for want of " + ", ".join(name.partition("/")[2] for name in result.missing)
    return f"{result.status.value:<9}  {job.opkg.name} {job.opkg.version}  {job.target.name}{more}"


def _named(job: Job) -> dict[str, Any]:
    named = {"opkg": job.opkg.name, "version": str(job.opkg.version), "target": job.target.name}
    return {**named, "needs": list(job.needs)}


def _outcome(result: Result) -> dict[str, Any]:
    error = result.error
    return {
        "status": result.status.value,
        "seconds": round(result.seconds, 3),
        "packages": [artifact.file for artifact in result.artifacts],
        "missing": list(result.missing),
        "error": {"message": str(error), "hint": error.hint} if error else None,
    }
