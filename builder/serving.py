# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker of a farm as a process: it joins a scheduler, and ends with it, or when it is told to.
Builds that nobody waits for any more end with all that they have started."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from builder.cache import cache_folder
from builder.using_dask import check_certificate, distributed, unreachable
from builder.worker import builds
from opkg.console import say
from opkg.errors import OpkgError
from opkg.native.mounts import enter_private_namespace
from opkg.target import Target

# Seconds between two blows: a build may have been about to start something at the first one.
_AGAIN = 0.2


class _Endings(distributed.WorkerPlugin):
    """Ends a build when its run has been given up, and all builds when the worker ends."""

    name = "endings"

    def transition(self, key: object, start: str, finish: str, **_: Any) -> None:
        if start == "executing" and finish in ("released", "forgotten"):
            self._end(key)

    def _end(self, key: object) -> None:
        if build := builds.get(key):
            build.end()
            asyncio.get_running_loop().call_later(_AGAIN, self._end, key)

    async def teardown(self, worker: object) -> None:  # noqa: ARG002 (Dask hands it over)
        while builds:
            for build in list(builds.values()):
                build.end()
            await asyncio.sleep(_AGAIN)


def serve(scheduler: str, targets: Sequence[Target], number: int) -> None:
    """Work for a scheduler, with a number of builds at a time, until it ends, or a signal says
    so. Raises OpkgError where it cannot be reached."""
    check_certificate(scheduler, "worker")
    # Before there are threads: build roots are mounted while they are made.
    with suppress(OpkgError):
        enter_private_namespace()
    asyncio.run(_serve(scheduler, targets, number))
    say(f"{socket.gethostname()} builds no more for {scheduler}")


async def _serve(scheduler: str, targets: Sequence[Target], number: int) -> None:
    address = urlsplit(scheduler)
    told = asyncio.Event()
    for word in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(word, told.set)
    try:
        worker = distributed.Worker(
            scheduler,
            nthreads=number,
            resources={target.name: number for target in targets},
            # Where the scheduler and the other workers are, and nowhere else.
            host=distributed.utils.get_ip(address.hostname, address.port),
            dashboard_address="127.0.0.1:0",
            local_directory=str(cache_folder("worker")),
            # What takes memory are programs, each bounded by itself.
            memory_limit=0,
            death_timeout=60,
            plugins=(_Endings(),),
        )
        async with worker:
            names = ", ".join(target.name for target in targets)
            say(f"{socket.gethostname()} builds for {names}, {number} at a time, for {scheduler}")
            ends = [asyncio.create_task(each) for each in (worker.finished(), told.wait())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if told.is_set():
                say("ending: what is being built here is left to others")
                # So that they get it at once, and it does not count as this worker's loss.
                await worker.close_gracefully(reason="a signal")
    except (TimeoutError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise unreachable(scheduler, error) from error
