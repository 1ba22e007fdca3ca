# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds OPKGs for targets: packages and a manifest under OUT/<target>/."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version as distribution_version
from pathlib import Path

import git
import msgspec

from builder.deb_tools import pack_debs
from builder.deb_writer import deb_bytes, deb_name
from builder.rpm_tools import pack_rpms
from builder.rpm_writer import rpm_bytes, rpm_name
from builder.stage import assign, check_architecture, run_steps
from opkg.directory import digest, read_opkg
from opkg.document import encode
from opkg.errors import OpkgError
from opkg.files import locked, sha256_bytes, sha256_file, write_atomic
from opkg.manifest import NAME, Artifact, Input, Manifest, OpkgInfo, read_manifest
from opkg.names import Native
from opkg.recipe import NAME as RECIPE_NAME
from opkg.recipe import Recipe, read_recipe
from opkg.resolve import NativePackage, native_packages, native_version, opkg_info
from opkg.run import run
from opkg.spec import Opkg, Part
from opkg.target import Family, Target


class Status(StrEnum):
    """How it went with one OPKG on one target."""

    BUILT = "built"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"  # the OPKG is not meant for the target
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One OPKG on one target."""

    directory: Path
    opkg: Opkg
    recipe: Recipe | None
    target: Target
    input: Input

    @property
    def packages(self) -> tuple[NativePackage, ...]:
        return native_packages(self.opkg, self.recipe, self.target)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a job; `error` where it failed."""

    job: Job
    status: Status
    artifacts: tuple[Artifact, ...] = ()
    error: OpkgError | None = None


def plan(directories: Iterable[Path], targets: Sequence[Target]) -> list[Job]:
    """The jobs that building OPKGs for targets takes. Raises OpkgError (InvalidInputError with
    every fault) for an OPKG that cannot be read: nothing is built then."""
    jobs = []
    tools = _tools()
    for directory in directories:
        opkg, _ = read_opkg(directory)
        recipe = read_recipe(directory)
        content, commit = digest(directory), _commit(directory)
        for target in targets:
            made_from = encode(
                _Inputs(directory=content, target=target, names=opkg.names.table, tools=tools)
            )
            inputs = Input(opkg=opkg.name, sha256=sha256_bytes(made_from), commit=commit)
            jobs.append(
                Job(directory=directory, opkg=opkg, recipe=recipe, target=target, input=inputs)
            )
    return jobs


class _Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides the bytes of an OPKG's packages."""

    directory: str
    target: Target
    names: Mapping[str, Mapping[str, Native]]
    tools: dict[str, str]


def _tools() -> dict[str, str]:
    """The versions of what writes packages."""
    dpkg = run(["dpkg-deb", "--version"]).stdout.splitlines()[0]
    return {
        "opkgc": distribution_version("oscar-opkg"),
        "dpkg-deb": dpkg.partition("version ")[2].split()[0],
        # Not from the bindings: importing them takes a fifth of a build with nothing to do.
        "rpm": run(["rpm", "--version"]).stdout.split()[-1],
        "rpm-rs": distribution_version("rpm-rs"),
    }


def _commit(directory: Path) -> str:
    """The git commit that a directory is at, with + where it differs; "" outside a checkout."""
    try:
        repository = git.Repo(directory, search_parent_directories=True)
        changed = repository.is_dirty(path=str(directory.resolve()), untracked_files=True)
        return repository.head.commit.hexsha + ("+" if changed else "")
    except (git.InvalidGitRepositoryError, ValueError):
        return ""


def status_of(job: Job, out: Path) -> Status:
    """What building a job would come to, given what stands under `out`."""
    if not job.packages:
        return Status.SKIPPED
    folder = out / job.target.name
    if not (folder / NAME).exists():
        return Status.BUILT
    manifest = read_manifest(folder / NAME)
    known = any(entry.sha256 == job.input.sha256 for entry in manifest.inputs)
    whole = all(
        (folder / artifact.file).is_file()
        and (folder / artifact.file).stat().st_size == artifact.size
        for artifact in manifest.artifacts
        if artifact.opkg == job.opkg.name
    )
    return Status.UNCHANGED if known and whole else Status.BUILT


def build(
    jobs: Sequence[Job], out: Path, *, workers: int, report: Callable[[Result], None]
) -> list[Result]:
    """Do the jobs, `workers` at a time, and write each target's manifest. One that fails does
    not stop the others. `report` is called as each ends."""

    def do(job: Job) -> Result:
        result = _do(job, out)
        report(result)
        return result

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(do, jobs))


def _do(job: Job, out: Path) -> Result:
    try:
        status = status_of(job, out)
        if status is not Status.BUILT:
            return Result(job=job, status=status)
        folder = out.absolute() / job.target.name
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the result, so that moving a finished package into place is a rename.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as work:
            made = _make(job, Path(work))
            return Result(job=job, status=status, artifacts=_keep(job, made, folder))
    except OpkgError as error:
        return Result(job=job, status=Status.FAILED, error=error)


def _make(job: Job, work: Path) -> list[tuple[Artifact, Path]]:
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
    if job.recipe:
        made += _follow(job, job.recipe, work)
    return made


def _follow(job: Job, recipe: Recipe, work: Path) -> list[tuple[Artifact, Path]]:
    """Follow the recipe, and pack what it gives."""
    stage = run_steps(job.opkg, recipe, job.directory, job.target, work)
    staged = assign(recipe, stage, job.directory / RECIPE_NAME)
    for entry in staged:
        check_architecture(entry, stage, job.target, platform.machine())
    pack = pack_debs if job.target.family is Family.DEB else pack_rpms
    paths = {_package_name(path): path for path in pack(job.opkg, staged, stage, job.target, work)}
    result = []
    for package in recipe.package:
        independent = package.architecture == "all"
        architecture = job.target.independent if independent else job.target.native_architecture
        path = paths[package.name]
        result.append((_artifact(job, None, package.name, architecture, path), path))
    return result


def _package_name(path: Path) -> str:
    """The package's name, from the name of its file."""
    return path.name.partition("_")[0] if path.suffix == ".deb" else path.name.rsplit("-", 2)[0]


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


def _keep(job: Job, made: Sequence[tuple[Artifact, Path]], folder: Path) -> tuple[Artifact, ...]:
    """Move finished packages into the target's folder and enter them in its manifest; what the
    manifest had of this OPKG goes."""
    artifacts = tuple(artifact for artifact, _ in made)
    with locked(folder / ".lock"):
        path = folder / NAME
        old = read_manifest(path) if path.exists() else None
        for artifact, origin in made:
            shutil.move(origin, folder / artifact.file)
        manifest = _manifest(job, old, artifacts)
        write_atomic(path, encode(manifest))
        kept = {artifact.file for artifact in manifest.artifacts}
        for artifact in old.artifacts if old else ():
            if artifact.file not in kept:
                (folder / artifact.file).unlink(missing_ok=True)
    return artifacts


def _manifest(job: Job, old: Manifest | None, artifacts: tuple[Artifact, ...]) -> Manifest:
    name = job.opkg.name
    infos: list[OpkgInfo] = [info for info in old.opkgs if info.name != name] if old else []
    inputs = [entry for entry in old.inputs if entry.opkg != name] if old else []
    others = [entry for entry in old.artifacts if entry.opkg != name] if old else []
    infos.append(opkg_info(job.opkg, job.target))
    inputs.append(job.input)
    others += artifacts
    return Manifest(
        format=1,
        target=job.target.name,
        tools=_tools(),
        inputs=tuple(sorted(inputs, key=lambda entry: entry.opkg)),
        opkgs=tuple(sorted(infos, key=lambda info: info.name)),
        artifacts=tuple(sorted(others, key=lambda artifact: artifact.file)),
    )
