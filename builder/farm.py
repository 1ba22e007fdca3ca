# SPDX-License-Identifier: GPL-2.0-or-later
"""A Dask cluster whose workers (`opkgc worker`) follow recipes. It is seen as Executors of the
standard library, one for each target: workers offer targets as resources of Dask."""

from __future__ import annotations

import json
import logging
import tempfile
import time
import zlib
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from builder.build import FarmLostError
from builder.job import Job
from builder.made import Made
from builder.roots import mirror_state
from builder.store import ENTRY, Entry, FolderStore, Store, take
from builder.worker import DIRECTORY, Answer, Order, obey
from opkg.errors import CommandError, OpkgError
from opkg.files import sha256_bytes
from opkg.run import run

try:
    import distributed
    from distributed.scheduler import KilledWorker
except ModuleNotFoundError as error:
    raise OpkgError(
        f"a farm needs the Python module {error.name}, which is not installed",
        hint="install it: pip install 'oscar-opkg[farm]'",
    ) from error

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
        except KilledWorker as error:
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
            inputs=self._put_inputs(job),
            name=job.directory.resolve().name,
            replaced=names,
            target=job.target,
            in_root=job.in_root,
            mirrors=mirror_state(job.target) if job.in_root else {},
            input=job.input,
            uses=job.uses,
            lint=self.lint,
        )

    def _put_inputs(self, job: Job) -> str:
        """Put into the store what a job is made from; its key there."""
        sources = [(source.name, source.sha256) for source in job.input.sources if source.replaced]
        known = json.dumps([job.input.directory, sources])
        key = f"inputs-{sha256_bytes(known.encode())}"
        if self.store.has(key):
            return key
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            (work / ENTRY).write_text(known)
            files = {ENTRY: work / ENTRY, DIRECTORY: work / DIRECTORY}
            _pack(job.directory, ".", work / DIRECTORY)
            for source, path in job.replaced.items():
                files[f"{source}.tar"] = work / f"{source}.tar"
                _pack(path.absolute().parent, path.name, files[f"{source}.tar"])
            self.store.put(key, files)
        return key


def _pack(folder: Path, name: str, archive: Path) -> None:
    run(["tar", "--exclude-vcs", "--create", "--file", archive, "--directory", folder, name])


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
    certified = distributed.Security().get_connection_args("client").get("ssl_context")
    if url.startswith("tls:") and certified is None:
        raise OpkgError(
            "there is no certificate for TLS",
            where=url,
            hint="name the client's, and the authority's, under distributed.comm.tls in Dask's "
            "configuration",
        )
    # What Dask logs as errors, with tracebacks, we raise; opkgc itself logs nothing.
    logging.disable()
    try:
        client = distributed.Client(url, timeout=_REACH, set_as_default=False)
    except (OSError, RuntimeError, TimeoutError, ValueError) as error:
        raise OpkgError(
            f"no scheduler can be reached: {error}",
            where=url,
            hint="start one: dask scheduler --host ADDRESS --port 8786 --no-dashboard",
        ) from error
    seen = str(store.folder) if isinstance(store, FolderStore) else place
    return DaskFarm(client=client, store=store, place=seen, lint=lint)
