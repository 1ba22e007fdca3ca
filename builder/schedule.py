# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the jobs of a run, each when those that it needs are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from typing import Literal

from builder.job import Job, Result, Status


@dataclass(frozen=True, kw_only=True)
class Event:
    """A job has been started by `worker`, or has ended, with `result`; `at` is when, in seconds
    since the epoch. A job that is left, or has nothing to do, ends without having been started."""

    what: Literal["started", "ended"]
    job: Job
    worker: str
    at: float
    result: Result | None = None


def follow(
    jobs: Sequence[Job],
    executor: Executor,
    work: Callable[[Job], Result],
    ended: Callable[[Result], None],
) -> list[Result]:
    """Do all jobs by `work`, as many at a time as the executor does; their results, in the order
    of the jobs. What needs a job that gave nothing is left. `ended` is called with each result,
    always in the calling thread."""
    by_id = {job.id: job for job in jobs}
    sorter = TopologicalSorter({job.id: job.needs for job in jobs})
    sorter.prepare()
    results: dict[str, Result] = {}
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    running = 0

    def take(result: Result) -> None:
        results[result.job.id] = result
        sorter.done(result.job.id)
        ended(result)

    while sorter.is_active():
        for name in sorter.get_ready():
            job = by_id[name]
            missing = tuple(need for need in job.needs if not results[need].status.is_good)
            if missing:
                take(Result(job=job, status=Status.LEFT, missing=missing))
            else:
                executor.submit(work, job).add_done_callback(finished.put)
                running += 1
        if running:
            take(_next(finished).result())
            running -= 1
    return [results[job.id] for job in jobs]


def _next(finished: SimpleQueue[Future[Result]]) -> Future[Result]:
    # An interrupt that comes just before a wait is heard when that ends: so none is long.
    while True:
        with suppress(Empty):
            return finished.get(timeout=0.5)
