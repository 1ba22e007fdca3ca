# SPDX-License-Identifier: GPL-2.0-or-later
"""Follows a recipe from its sources to its packages."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from builder.deb_tools import pack_debs
from builder.inputs import installed_in
from builder.job import Job
from builder.made import Files
from builder.out import failed_folder, packages_of
from builder.room import Room
from builder.roots import build_root, is_emulated
from builder.rpm_tools import pack_rpms
from builder.stage import assign, check_architecture
from builder.steps import (
    Work,
    archive_sources,
    build_requirements,
    follow,
    prepare,
    step_environment,
    tree_name,
)
from opkg.errors import OpkgError
from opkg.native.system import HOST
from opkg.recipe import NAME, Recipe
from opkg.target import Family

# In the folder of a build: the ids of the jobs whose packages it is done with.
_USED = "used"


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What a recipe gave: packages, and the files of its source package; and what was
    `installed` where it was followed."""

    packages: tuple[Path, ...]
    sources: tuple[Path, ...]
    installed: Path


def follow_recipe(
    job: Job, recipe: Recipe, used: Files, work: Path, logs: Path, say: Callable[[str], None]
) -> Compiled:
    """Get the sources, run the steps and pack what they stage, below the empty folder `work`;
    each step's output is in `logs`. What the recipe requires may be among the packages `used`.
    Raises OpkgError."""
    _check_machine(job, recipe)
    shutil.rmtree(logs, ignore_errors=True)
    # For a shell, if it fails.
    (work / _USED).write_text("\n".join(job.uses))
    doing = _work(job, recipe, used, work, logs, say)
    prepare(doing, job.replaced)
    archive_sources(doing, work / "sources.tar.gz")
    follow(doing)
    staged = assign(recipe, doing.stage, job.directory / NAME)
    for entry in staged:
        check_architecture(entry, doing.stage)
    pack = pack_debs if job.target.family is Family.DEB else pack_rpms
    packages, sources = pack(doing, staged, logs / "pack.log")
    installed = work / f"{job.opkg.name}.packages"
    installed.write_text(installed_in(doing.room.root, job.target))
    return Compiled(packages=tuple(packages), sources=tuple(sources), installed=installed)


def shell_command(job: Job, recipe: Recipe, out: Path, say: Callable[[str], None]) -> list[str]:
    """The command line of a shell where the steps of a build into `out` that failed were run.
    Raises OpkgError where there is none."""
    failed = failed_folder(job, out)
    if not failed.exists():
        raise OpkgError(
            f"no build of {job.opkg.name} for {job.target.name} has failed here",
            where=str(failed),
            hint="name the folder of the build by --out; a build that succeeds leaves nothing",
        )
    used = packages_of((failed / _USED).read_text().split(), job.target.name, out)
    doing = _work(job, recipe, used, failed.absolute(), failed, say)
    cwd = doing.room.inside(doing.room.sources)
    environment = {**step_environment(doing), "TERM": os.environ.get("TERM", "dumb")}
    return doing.room.command(["bash"], cwd=cwd, env=environment, shown=None)


def _work(
    job: Job, recipe: Recipe, used: Files, folder: Path, logs: Path, say: Callable[[str], None]
) -> Work:
    needed = build_requirements(recipe, job.target, job.opkg.names)
    room = Room(
        work=folder,
        root=build_root(
            job.target, needed, used, say, published=job.input.published, source=job.source
        )
        if job.in_root
        else HOST,
        tree=tree_name(job.opkg, job.target),
        memory_mb=recipe.build.memory_mb,
        minutes=recipe.build.minutes,
    )
    return Work(
        opkg=job.opkg,
        recipe=recipe,
        directory=job.directory,
        target=job.target,
        room=room,
        logs=logs,
    )


def _check_machine(job: Job, recipe: Recipe) -> None:
    """Refuse what cannot be done here: to install packages on this machine, and to compile for
    an architecture that it does not have."""
    machine = platform.machine()
    published = [package.name for package in job.input.published]
    if (job.needs or published) and not job.in_root:
        others = ", ".join([*(name.partition("/")[2] for name in job.needs), *published])
        raise OpkgError(
            f"{job.opkg.name} is built with packages of {others}, which this machine's own file "
            "system does not get",
            hint="build in a build root: as root, without --root host, for a target with mirrors",
        )
    foreign = job.target.architecture != machine
    if recipe.is_compiled and foreign and not (job.in_root and is_emulated(job.target)):
        name = next(p.name for p in recipe.package if p.architecture == "native")
        raise OpkgError(
            f"{name} cannot be compiled for {job.target.name} on {machine}",
            hint=f"build it on a machine of {job.target.architecture}, or in a build root with "
            "qemu-user-static and arch-test installed, the first registered with the kernel",
        )
