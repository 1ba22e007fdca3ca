# SPDX-License-Identifier: GPL-2.0-or-later
"""A Dask cluster whose workers (`opkgc worker`) follow recipes. It is seen as Executors of the
standard library, one for each target: workers offer targets as resources of Dask."""

from __future__ import annotations

import logging
import time
import zlib
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any

from builder.build import FarmLostError
from builder.job import Job
from builder.made import Made
from builder.roots import mirror_state
from builder.shipment import send
from builder.store import Entry, FolderStore, Store, take
from builder.using_dask import check_certificate, distributed, unreachable
from builder.worker import Answer, Order, obey
from opkg.errors import CommandError, OpkgError

PREFIX = "dask:"
# Seconds: to reach the scheduler; between two looks at the workers; without one for a target.
_REACH, _LOOK, _PATIENCE = 10, 2, 60


@dataclass(kw_only=True)
class DaskFarm:
    """See `builder.build.Farm`. `place` is the store's name, as workers are told it."""

    client: Any
    store: Store
    place: str
    lint: bool
    _executors: dict[str, Executor] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    # Hundreds of jobs may wait for workers: not all of them fetch their sources at the same time.
    _sending: Semaphore = field(default_factory=lambda: Semaphore(4))

    def build(self, job: Job, place: Path, logs: Path) -> tuple[str, tuple[Made, Entry]]:
        answer = self._wait(self._executor(job.target.name).submit(obey, self._order(job)), job)
        logs.mkdir(parents=True, exist_ok=True)
        for name, text in answer.logs.items():
            (logs / Path(name).name).write_bytes(zlib.decompress(text))
        if answer.error:
            raise CommandError(argv=(), **answer.error)
        taken = take(self.store, job.key, place, lambda _: None)
        if taken is None:
            raise OpkgError(
                f"what {answer.worker} made is not in the artifact store",
                where=self.place,
                hint="is it the same one there, and large enough?",
            )
        return answer.worker, taken

    def close(self) -> None:
        self.client.close(timeout=_REACH)

    def _executor(self, target: str) -> Executor:
        with self._lock:
            if target not in self._executors:
                resources = {target: 1}
                self._executors[target] = self.client.get_executor(resources=resources, pure=False)
            self._seen.setdefault(target, time.monotonic())
            return self._executors[target]

    def _wait(self, future: Future[Answer], job: Job) -> Answer:
        """The answer, as long as there are workers that can give one."""
        try:
            while True:
                try:
                    return future.result(timeout=_LOOK)
                except TimeoutError:
                    self._check_workers(job.target.name)
        except CancelledError as error:
            raise FarmLostError from error
        except distributed.KilledWorker as error:
            raise OpkgError(
                f"each worker that built {job.opkg.name} was lost: {error.last_worker.address} "
                "was the last one",
                hint="does it take all of their memory?",
            ) from error
        except OpkgError:
            future.cancel()
            raise

    def _check_workers(self, target: str) -> None:
        offered = {
            name
            for worker in self.client.scheduler_info()["workers"].values()
            for name in worker["resources"]
        }
        now = time.monotonic()
        if target in offered:
            self._seen[target] = now
        elif now - self._seen[target] > _PATIENCE:
            raise OpkgError(
                f"no worker of the farm builds for {target}, for {_PATIENCE} seconds",
                hint=f"workers build for {', '.join(sorted(offered)) or 'nothing: there are none'}"
                f"; start one: opkgc worker SCHEDULER --target {target}",
            )

    def _order(self, job: Job) -> Order:
        names = {name: path.name for name, path in job.replaced.items()}
        return Order(
            store=self.place,
            inputs=self._sent(job),
            name=job.directory.resolve().name,
            replaced=names,
            target=job.target,
            in_root=job.in_root,
            mirrors=mirror_state(job.target) if job.in_root else {},
            input=job.input,
            uses=job.uses,
            source=job.source,
            lint=self.lint,
        )

    def _sent(self, job: Job) -> str:
        """Put into the store what a job is made from; its key there."""
        with self._sending:
            return send(job, self.store)


def open_farm(address: str, store: Store | None, place: str, *, lint: bool) -> DaskFarm:
    """The farm at `dask:tcp://HOST:PORT`, the workers of which reach the `store` that is called
    `place`. Raises OpkgError."""
    url = address.removeprefix(PREFIX)
    if not address.startswith(PREFIX) or "://" not in url:
        raise OpkgError(
            f"“{address}” is no executor", hint="it is called dask:tcp://HOST:PORT, or dask:tls://…"
        )
    if store is None:
        raise OpkgError("a farm needs an artifact store", hint="name one that all machines reach")
    check_certificate(url, "client")
    # What Dask logs as errors, with tracebacks, we raise; opkgc itself logs nothing.
    logging.disable()
    try:
        client = distributed.Client(url, timeout=_REACH, set_as_default=False)
    except (OSError, RuntimeError, TimeoutError, ValueError) as error:
        raise unreachable(url, error) from error
    seen = str(store.folder) if isinstance(store, FolderStore) else place
    return DaskFarm(client=client, store=store, place=seen, lint=lint)
