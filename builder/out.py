# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder that a build gives: for each target packages, their manifest, logs, and what was left
by steps that failed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from builder.job import Job, Status
from builder.made import Files, Made
from opkg.document import encode
from opkg.errors import IntegrityError
from opkg.files import locked, sha256_file, write_atomic
from opkg.manifest import NAME, Artifact, Manifest, OpkgInfo, read_manifest
from opkg.resolve import opkg_info


def standing(out: Path, target: str) -> Manifest | None:
    """What was built for a target before. Raises OpkgError where the manifest is damaged."""
    path = out / target / NAME
    return read_manifest(path) if path.exists() else None


def status_of(job: Job, out: Path, manifest: Manifest | None) -> Status:
    """What building a job would come to, given what was built for its target before."""
    if not job.packages:
        return Status.SKIPPED
    if manifest is None:
        return Status.BUILT
    folder = out / job.target.name
    known = any(entry.sha256 == job.key for entry in manifest.inputs)
    whole = known and all(
        (folder / made.file).is_file() and (folder / made.file).stat().st_size == made.size
        for made in manifest.files
        if made.opkg == job.opkg.name
    )
    return Status.UNCHANGED if whole else Status.BUILT


def log_folder(job: Job, out: Path) -> Path:
    """Where the logs of a job's steps are."""
    return out / job.target.name / "logs" / job.opkg.name


def failed_folder(job: Job, out: Path) -> Path:
    """Where the steps of a build that failed have left what they made."""
    return out / job.target.name / "failed" / job.opkg.name


def packages_of(jobs: Collection[str], target: str, out: Path) -> Files:
    """The packages that the recipes of some jobs, named by their ids, gave for a target. Raises
    IntegrityError for one that is not as it was built, and OSError for one that is not there."""
    manifest = standing(out, target) if jobs else None
    found = []
    for artifact in manifest.artifacts if manifest else ():
        if f"{target}/{artifact.opkg}" in jobs and artifact.part is None:
            path = out / target / artifact.file
            if sha256_file(path) != artifact.sha256:
                raise IntegrityError(
                    "this is not what was built", where=str(path), hint="remove it, and build again"
                )
            found.append((artifact, path))
    return tuple(found)


def keep(job: Job, made: Made, folder: Path) -> tuple[Artifact, ...]:
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


def _manifest(job: Job, old: Manifest | None, made: Made) -> Manifest:
    name = job.opkg.name
    infos: list[OpkgInfo] = [info for info in old.opkgs if info.name != name] if old else []
    inputs = [entry for entry in old.inputs if entry.opkg != name] if old else []
    artifacts = [entry for entry in old.artifacts if entry.opkg != name] if old else []
    sources = [entry for entry in old.sources if entry.opkg != name] if old else []
    records = [entry for entry in old.records if entry.opkg != name] if old else []
    infos.append(opkg_info(job.opkg, job.target))
    inputs.append(msgspec.structs.replace(job.input, packages=made.used))
    artifacts += [artifact for artifact, _ in made.artifacts]
    sources += [source for source, _ in made.sources]
    records += [record for record, _ in made.records]
    return Manifest(
        format=1,
        target=job.target.name,
        tools=job.input.tools,
        inputs=tuple(sorted(inputs, key=lambda entry: entry.opkg)),
        opkgs=tuple(sorted(infos, key=lambda info: info.name)),
        artifacts=tuple(sorted(artifacts, key=lambda artifact: artifact.file)),
        sources=tuple(sorted(sources, key=lambda source: source.file)),
        records=tuple(sorted(records, key=lambda record: record.file)),
    )
