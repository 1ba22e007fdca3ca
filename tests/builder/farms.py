# SPDX-License-Identifier: GPL-2.0-or-later
"""A farm on loopback: a scheduler and workers, as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.builder.conftest import opkgc, results


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


@dataclass
class Farm:
    """A scheduler, workers, and the store that they share. Each worker has a cache of its own,
    unless there is a common `cache`."""

    folder: Path
    stack: ExitStack
    cache: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *more: str) -> None:
        known = self.folder / "scheduler.json"
        known.unlink(missing_ok=True)
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", *more]
        self.scheduler = self._run(
            "scheduler", ["distributed.cli.dask_scheduler", *words, "--scheduler-file", known]
        )
        until(known.exists, "the scheduler")
        self.url = json.loads(known.read_text())["address"]

    def add_worker(self, *words: str) -> None:
        name = f"worker{len(self.workers)}"
        self.workers.append(self._run(name, ["builder", "worker", self.url, *words]))
        until(lambda: " at a time, for " in self.log(name), f"{name}: {self.log(name)}")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def _run(self, name: str, module: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env={**os.environ, "OPKG_CACHE": self.cache or str(self.folder / f"{name}-cache")},
            stdout=log,
            stderr=log,
        )
        self.stack.callback(lambda: (process.kill(), process.wait()))
        return process

    def options(self, out: Path) -> list[str | Path]:
        where = ["--executor", f"dask:{self.url}", "--store", str(self.folder / "store")]
        return ["-t", "debian-12", "--json", "-o", out, *where]

    def build(self, sources: Sequence[Path], out: Path) -> dict[str, str]:
        done = opkgc("build", *sources, *self.options(out))
        return {row["opkg"]: row["status"] for row in results(done.stdout)}

    def begin(self, sources: Sequence[Path], out: Path) -> subprocess.Popen[str]:
        """The same as a process of its own."""
        words = ["build", *sources, *self.options(out), "--no-lint"]
        argv = [sys.executable, "-m", "builder", *words]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stack.callback(process.kill)
        return process

    def building(self, name: str) -> list[int]:
        """The workers that have begun with an OPKG, and have not ended."""
        found = []
        for number in range(len(self.workers)):
            lines = [line for line in self.log(f"worker{number}").splitlines() if name in line]
            if lines and lines[-1].startswith("building"):
                found.append(number)
        return found
