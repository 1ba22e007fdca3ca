# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs jobs at once or one by one, and shows what each host said under its name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ClusterShell.Event import EventHandler
from ClusterShell.Task import task_self
from ClusterShell.Worker.Popen import WorkerPopen


@dataclass(frozen=True)
class Job:
    """A single command, as text for /bin/sh, and whose output it gives. An empty host is that of
    an indirect cluster, whose own C3 has labelled what it says."""

    cluster: str
    host: str
    command: str


@dataclass(frozen=True)
class Style:
    """How output is shown: every line behind its host's name or, without `prefix`, in blocks;
    and of which hosts: with `silent`, also of those that said nothing."""

    prefix: bool = False
    silent: bool = False


class _Display(EventHandler):  # type: ignore[misc] # ClusterShell has no types
    """Shows each job when it and all before it are done, so that the order is always the same."""

    def __init__(self, jobs: Sequence[Job], style: Style) -> None:
        self._jobs = jobs
        self._style = style
        self._done: dict[int, tuple[bytes, bytes, int | None]] = {}
        self._next = 0
        self._cluster = ""
        self.failed = False

    def ev_close(self, worker: WorkerPopen, timedout: bool) -> None:  # noqa: ARG002 (ClusterShell's signature)
        output, errors = (worker.read(sname=name) or b"" for name in ("stdout", "stderr"))
        worker.flush_buffers()
        self._done[worker.key] = (output, errors, worker.retcode())
        while self._next in self._done:
            self._show(self._jobs[self._next], *self._done.pop(self._next))
            self._next += 1

    def _show(self, job: Job, output: bytes, errors: bytes, status: int | None) -> None:
        write = sys.stdout.buffer.write
        sys.stdout.flush()
        if self._style.prefix:
            label = f"{job.cluster} {job.host}: ".encode() if job.host else b""
            for line in output.splitlines():
                write(label + line + b"\n")
        elif output or self._style.silent:
            if job.cluster != self._cluster:
                write(f"{f' {job.cluster} ':*^72}\n".encode())
                self._cluster = job.cluster
            if job.host:
                write(f"--------- {job.host} ---------\n".encode())
            write(output + b"\n" if output else b"")
        sys.stdout.buffer.flush()
        sys.stderr.buffer.write(errors + b"\n" if errors else b"")
        if status != 0:
            self.failed = True
            whom = job.host or f"the cluster {job.cluster}"
            how = "not finished" if status is None else f"exit status {status}"
            print(f"{whom}: {how}", file=sys.stderr, flush=True)


def run(jobs: Sequence[Job], style: Style, *, serial: bool = False) -> int:
    """Run all jobs, at most ClusterShell's fanout at once or, with `serial`, one after another.
    Returns 0, or 1 when any of them failed."""
    display = _Display(jobs, style)
    task = task_self()
    try:
        for number, job in enumerate(jobs):
            task.shell(
                f"exec {job.command}",  # no shell stays between us and what is to be ended
                key=number,
                handler=display,
                stdin=False,
                # A host's two streams are shown as one, in its order; of an indirect cluster,
                # C3 itself speaks on the second one.
                stderr=not job.host,
            )
            if serial:
                task.resume()
        task.resume()
    except KeyboardInterrupt:
        task.abort()
        raise
    return 1 if display.failed else 0
