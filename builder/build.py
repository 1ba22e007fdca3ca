# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds OPKGs for targets: packages and a manifest under OUT/<target>/."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from builder import linters
from builder.compile import Compiled, follow_recipe
from builder.deb_writer import deb_bytes, deb_name
from builder.inputs import tool_versions
from builder.job import Job, Status, status_of
from builder.rpm_writer import rpm_bytes, rpm_name
from opkg.document import encode
from opkg.errors import CommandError, OpkgError
from opkg.files import locked, sha256_file, write_atomic
from opkg.manifest import (
    NAME,
    Artifact,
    Manifest,
    OpkgInfo,
    Record,
    SourceFile,
    read_manifest,
)
from opkg.native.mounts import enter_private_namespace
from opkg.resolve import native_version, opkg_info
from opkg.run import end_all
from opkg.spec import Part
from opkg.target import Family

RECIPE = "recipe"  # the folder that a recipe is followed in


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a job; `error` where it failed."""

    job: Job
    status: Status
    artifacts: tuple[Artifact, ...] = ()
    error: OpkgError | None = None


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What a job made, each with the path at which it lies so far."""

    artifacts: tuple[tuple[Artifact, Path], ...]
    sources: tuple[tuple[SourceFile, Path], ...] = ()
    records: tuple[tuple[Record, Path], ...] = ()

    @property
    def files(self) -> list[tuple[Artifact | SourceFile, Path]]:
        return [*self.artifacts, *self.sources, *self.records]


def build(
    jobs: Sequence[Job],
    out: Path,
    *,
    workers: int,
    lint: bool,
    report: Callable[[Result], None],
    say: Callable[[str], None],
) -> list[Result]:
    """Do the jobs, `workers` at a time, and write each target's manifest. One that fails does
    not stop the others. `report` is called as each ends. With `lint`, lintian and rpmlint look at
    what recipes gave, and what they call an error is one. `say` hears of what takes long."""
    if any(job.in_root for job in jobs):
        # Build roots are mounted while they are made; threads share what is mounted before.
        enter_private_namespace()

    def do(job: Job) -> Result:
        result = _do(job, out, say, lint=lint)
        report(result)
        return result

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(do, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            # Interrupted: nothing further begins, and what other threads run is killed.
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


def _do(job: Job, out: Path, say: Callable[[str], None], *, lint: bool) -> Result:
    try:
        status = status_of(job, out)
        if status is not Status.BUILT:
            return Result(job=job, status=status)
        folder = out.absolute() / job.target.name
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the result, so that moving a finished package into place is a rename.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as work:
            logs, failed = folder / "logs" / job.opkg.name, failed_folder(job, out)
            shutil.rmtree(failed, ignore_errors=True)
            try:
                made = _make(job, Path(work), logs, say)
            except CommandError:
                if (Path(work) / RECIPE).exists():
                    failed.parent.mkdir(exist_ok=True)
                    (Path(work) / RECIPE).rename(failed)
                raise
            if lint and job.recipe:
                linters.check(job.target.family, [path for _, path in made.artifacts])
            return Result(job=job, status=status, artifacts=_keep(job, made, folder))
    except OpkgError as error:
        return Result(job=job, status=Status.FAILED, error=error)
    except OSError as fault:
        failure = OpkgError(fault.strerror or str(fault), where=str(fault.filename or out))
        return Result(job=job, status=Status.FAILED, error=failure)


def failed_folder(job: Job, out: Path) -> Path:
    """Where the steps of a build that failed have left what they made."""
    return out / job.target.name / "failed" / job.opkg.name


def _make(job: Job, work: Path, logs: Path, say: Callable[[str], None]) -> _Made:
    """Make a job's packages below `work`."""
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
        return _Made(artifacts=tuple(made))
    (work / RECIPE).mkdir()
    compiled = follow_recipe(job, job.recipe, work / RECIPE, logs, say)
    made += [(_artifact(job, None, *_named(path), path), path) for path in compiled.packages]
    return _Made(
        artifacts=tuple(made),
        sources=_sources(job, compiled),
        records=(_installed(job, compiled.installed),),
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


def _keep(job: Job, made: _Made, folder: Path) -> tuple[Artifact, ...]:
    """Move finished packages into the target's folder and enter them in its manifest; what the
    manifest had of this OPKG goes."""
    with locked(folder / ".lock"):
        path = folder / NAME
        old = read_manifest(path) if path.exists() else None
        for new, origin in made.files:
            place = folder / new.file
            place.parent.mkdir(exist_ok=True)
            shutil.move(origin, place)
            place.chmod(0o644)
            if os.geteuid() == 0:
                os.chown(place, 0, 0)
        manifest = _manifest(job, old, made)
        write_atomic(path, encode(manifest))
        kept = {entry.file for entry in manifest.files}
        for entry in old.files if old else ():
            if entry.file not in kept:
                (folder / entry.file).unlink(missing_ok=True)
    return tuple(artifact for artifact, _ in made.artifacts)


def _manifest(job: Job, old: Manifest | None, made: _Made) -> Manifest:
    name = job.opkg.name
    infos: list[OpkgInfo] = [info for info in old.opkgs if info.name != name] if old else []
    inputs = [entry for entry in old.inputs if entry.opkg != name] if old else []
    artifacts = [entry for entry in old.artifacts if entry.opkg != name] if old else []
    sources = [entry for entry in old.sources if entry.opkg != name] if old else []
    records = [entry for entry in old.records if entry.opkg != name] if old else []
    infos.append(opkg_info(job.opkg, job.target))
    inputs.append(job.input)
    artifacts += [artifact for artifact, _ in made.artifacts]
    sources += [source for source, _ in made.sources]
    records += [record for record, _ in made.records]
    return Manifest(
        format=1,
        target=job.target.name,
        tools=tool_versions(),
        inputs=tuple(sorted(inputs, key=lambda entry: entry.opkg)),
        opkgs=tuple(sorted(infos, key=lambda info: info.name)),
        artifacts=tuple(sorted(artifacts, key=lambda artifact: artifact.file)),
        sources=tuple(sorted(sources, key=lambda source: source.file)),
        records=tuple(sorted(records, key=lambda record: record.file)),
    )
