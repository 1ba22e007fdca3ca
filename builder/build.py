# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds OPKGs for targets: packages and a manifest under OUT/<target>/."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from builder import linters
from builder.compile import Compiled, follow_recipe
from builder.deb_writer import deb_bytes, deb_name
from builder.job import Job, Result, Status
from builder.made import Files, Made
from builder.out import (
    failed_folder,
    keep,
    log_folder,
    packages_of,
    standing,
    status_of,
)
from builder.rpm_writer import rpm_bytes, rpm_name
from builder.schedule import Event, follow
from builder.scratch import scratch
from builder.store import Entry, Store, is_kept, put, take
from opkg.errors import CommandError, OpkgError
from opkg.files import sha256_file
from opkg.manifest import Artifact, InputPackage, Manifest, Record, SourceFile
from opkg.native.mounts import enter_private_namespace
from opkg.resolve import native_version
from opkg.run import end_all
from opkg.spec import Part
from opkg.target import Family

_WORKER = "worker"  # begins the names of the threads that do jobs
RECIPE = "recipe"  # the folder that a recipe is followed in


class Farm(Protocol):
    """Other machines that follow recipes. Its methods are called from several threads."""

    def build(self, job: Job, place: Path, logs: Path) -> tuple[str, tuple[Made, Entry]]:
        """Let a job be done; who did it, and what it made, in the new folder `place`. Raises
        OpkgError where it fails, and FarmLostError where nothing can be done there any more."""

    def close(self) -> None:
        """Have nothing done any more: `build` raises FarmLostError."""


class FarmLostError(Exception):
    """The farm is not there any more."""


def build(
    jobs: Sequence[Job],
    out: Path,
    *,
    workers: int,
    lint: bool,
    store: Store | None,
    farm: Farm | None = None,
    tell: Callable[[Event], None],
    say: Callable[[str], None],
) -> list[Result]:
    """Do the jobs, `workers` at a time, and write each target's manifest. What recipes gave is
    taken from `store` where that has it, and put into it; recipes are followed by the `farm`, if
    there is one. A job that fails stops only those that need it. `tell` is called as each begins
    and ends, from several threads. With `lint`, lintian and rpmlint look at what recipes gave, and
    what they call an error is one. `say` hears of what takes long. Raises OpkgError where a
    manifest is damaged, and FarmLostError."""
    out = out.absolute()
    if any(job.in_root for job in jobs):
        # Build roots are mounted while they are made; threads share what is mounted before.
        enter_private_namespace()
    before = {name: standing(out, name) for name in {job.target.name for job in jobs}}

    def ended(result: Result) -> None:
        job, worker, now = result.job, result.worker, time.time()
        tell(Event(what="ended", job=job, worker=worker, at=now, result=result))

    doing = _Doing(out=out, before=before, lint=lint, store=store, farm=farm, tell=tell, say=say)
    with ThreadPoolExecutor(workers, _WORKER) as pool:
        try:
            return follow(jobs, pool, doing.do, ended)
        except BaseException:
            # Interrupted: nothing further begins, and what other threads run is killed.
            if farm:
                farm.close()
            pool.shutdown(wait=False, cancel_futures=True)
            _end_workers()
            raise


def _end_workers() -> None:
    """Kill what the workers run until all of them have ended: one may have been about to start
    something the first time."""
    for thread in threading.enumerate():
        while thread.name.startswith(_WORKER) and thread.is_alive():
            end_all()
            thread.join(0.5)


@dataclass(frozen=True, kw_only=True)
class _Doing:
    """How the jobs of a run are done; `before` is what stood in OUT when it began, by target."""

    out: Path
    before: Mapping[str, Manifest | None]
    lint: bool
    store: Store | None
    farm: Farm | None
    tell: Callable[[Event], None]
    say: Callable[[str], None]

    def do(self, job: Job) -> Result:
        """Do one job, in any thread."""
        worker, begun, start = threading.current_thread().name, time.time(), time.monotonic()
        try:
            status = status_of(job, self.out, self.before[job.target.name])
            if status is not Status.BUILT:
                return Result(job=job, status=status)
            self.tell(Event(what="started", job=job, worker=worker, at=begun))
            result = self._build(job)
        except OpkgError as error:
            result = Result(job=job, status=Status.FAILED, error=error)
        except OSError as fault:
            where = str(fault.filename or self.out)
            failure = OpkgError(fault.strerror or str(fault), where=where)
            result = Result(job=job, status=Status.FAILED, error=failure)
        seconds = time.monotonic() - start
        return replace(result, worker=result.worker or worker, seconds=seconds)

    def _build(self, job: Job) -> Result:
        folder, failed = self.out / job.target.name, failed_folder(job, self.out)
        with scratch(folder) as work:
            shutil.rmtree(failed, ignore_errors=True)
            status, worker = Status.TAKEN, ""
            taken = self._taken(job, work / "taken")
            if not taken and self.farm and is_kept(job):
                status = Status.BUILT
                worker, taken = self.farm.build(job, work / "taken", log_folder(job, self.out))
            if taken:
                made, entry = taken
            else:
                status, made = Status.BUILT, self._make(job, work)
            if self.lint and job.recipe and not (taken and entry.linted):
                linters.check(job.target.family, [path for _, path in made.artifacts])
            if not taken:
                self._put(job, made)
            made_now = keep(job, made, folder)
            return Result(job=job, status=status, artifacts=made_now, worker=worker)

    def _make(self, job: Job, work: Path) -> Made:
        used = packages_of(job.uses, job.target.name, self.out)
        try:
            return make(job, used, work, log_folder(job, self.out), self.say)
        except CommandError:
            if (work / RECIPE).exists():
                failed = failed_folder(job, self.out)
                failed.parent.mkdir(exist_ok=True)
                (work / RECIPE).rename(failed)
            raise

    def _taken(self, job: Job, place: Path) -> tuple[Made, Entry] | None:
        """What the store has for a job. One that cannot be read is as good as none."""
        if self.store is None or not is_kept(job):
            return None
        try:
            return take(self.store, job.key, place, self.say)
        except (OSError, OpkgError) as error:
            self.say(f"not looked up in the artifact store: {error}")
            return None

    def _put(self, job: Job, made: Made) -> None:
        """Let others have what was made. It is there already, whatever becomes of this."""
        if self.store is None or not is_kept(job):
            return
        try:
            put(self.store, job.key, made, linted=self.lint)
        except (OSError, OpkgError) as error:
            self.say(f"not put into the artifact store: {error}")


def make(job: Job, used: Files, work: Path, logs: Path, say: Callable[[str], None]) -> Made:
    """Make a job's packages below `work`; those of other jobs that its recipe is followed with
    are `used`. Raises OpkgError."""
    made = []
    for package in job.packages:
        if job.target.family is Family.DEB:
            name, data = deb_name(package), deb_bytes(job.opkg, package, job.target)
        else:
            name, data = rpm_name(package), rpm_bytes(job.opkg, package, job.target)
        path = work / name
        path.write_bytes(data)
        made.append((_artifact(job, package.part, package.name, package.architecture, path), path))
    if not job.recipe or not job.recipe.package:
        return Made(artifacts=tuple(made))
    (work / RECIPE).mkdir()
    compiled = follow_recipe(job, job.recipe, used, work / RECIPE, logs, say)
    made += [(_artifact(job, None, *_named(path), path), path) for path in compiled.packages]
    return Made(
        artifacts=tuple(made),
        sources=_sources(job, compiled),
        records=(_installed(job, compiled.installed),),
        used=tuple(InputPackage(file=a.file, sha256=a.sha256) for a, _ in used),
    )


def _named(path: Path) -> tuple[str, str]:
    """The name and the architecture of a package, from the name of its file."""
    if path.suffix == ".deb":
        name, _, architecture = path.stem.split("_")
        return name, architecture
    rest, _, architecture = path.stem.rpartition(".")
    return rest.rsplit("-", 2)[0], architecture


def _artifact(job: Job, part: Part | None, name: str, architecture: str, path: Path) -> Artifact:
    return Artifact(
        opkg=job.opkg.name,
        part=part,
        name=name,
        version=str(native_version(job.opkg.version, job.target)),
        architecture=architecture,
        file=path.name,
        size=path.stat().st_size,
        sha256=sha256_file(path),
    )


def _sources(job: Job, compiled: Compiled) -> tuple[tuple[SourceFile, Path], ...]:
    return tuple(
        (
            SourceFile(
                opkg=job.opkg.name,
                file=f"source/{path.name}",
                size=path.stat().st_size,
                sha256=sha256_file(path),
            ),
            path,
        )
        for path in compiled.sources
    )


def _installed(job: Job, path: Path) -> tuple[Record, Path]:
    record = Record(
        opkg=job.opkg.name,
        kind="packages",
        file=f"records/{path.name}",
        size=path.stat().st_size,
        sha256=sha256_file(path),
    )
    return record, path
