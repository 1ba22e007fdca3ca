# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a run while it goes on, and when it has ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from builder.job import Job, Result
from builder.schedule import Event


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A job of a run: when it was begun (in seconds since the epoch) and by whom; what became of
    it, once it has ended."""

    job: Job
    worker: str = ""
    begun: float | None = None
    result: Result | None = None

    @property
    def is_running(self) -> bool:
        return self.begun is not None and self.result is None


class Record:
    """A run of `jobs`, begun now; `before` are the seconds that jobs took in earlier runs, by id.
    It may be told of events by several threads."""

    def __init__(self, jobs: Sequence[Job], before: Mapping[str, float]) -> None:
        self.begun = time.time()
        self._entries = {job.id: Entry(job=job) for job in jobs}
        self._before = before

    def tell(self, event: Event) -> None:
        entry = self._entries[event.job.id]
        if event.what == "started":
            entry = replace(entry, worker=event.worker, begun=event.at)
        else:
            entry = replace(entry, result=event.result)
        self._entries[event.job.id] = entry

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    @property
    def running(self) -> list[Entry]:
        """The jobs that are being done, the oldest first."""
        return sorted((e for e in self.entries if e.is_running), key=lambda entry: entry.begun or 0)

    @property
    def results(self) -> list[Result]:
        return [entry.result for entry in self.entries if entry.result]

    def expected(self, job: Job) -> float | None:
        """How long a job may take, in seconds; None where nobody knows."""
        return self._before.get(job.id) if job.recipe else 0.0

    def left(self, now: float) -> float | None:
        """How long the run may still take, in seconds, if as many jobs are always being done as
        now; None where nobody knows."""
        todo = [entry for entry in self.entries if not entry.result]
        guesses = {entry.job.id: self.expected(entry.job) for entry in todo}
        good = [seconds for seconds in guesses.values() if seconds]
        if not good:
            return None
        usual = sum(good) / len(good)
        rest = [
            max((usual if (g := guesses[e.job.id]) is None else g) - (now - (e.begun or now)), 0)
            for e in todo
        ]
        return max(max(rest), sum(rest) / max(len(self.running), 1))
