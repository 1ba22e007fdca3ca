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
from builder.room import Room
from builder.roots import build_root
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


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What a recipe gave: packages, and the files of its source package; and what was
    `installed` where it was followed."""

    packages: tuple[Path, ...]
    sources: tuple[Path, ...]
    installed: Path


def follow_recipe(
    job: Job, recipe: Recipe, work: Path, logs: Path, say: Callable[[str], None]
) -> Compiled:
    """Get the sources, run the steps and pack what they stage, below the empty folder `work`;
    each step's output is in `logs`. Raises OpkgError."""
    _check_machine(job, recipe)
    shutil.rmtree(logs, ignore_errors=True)
    doing = _work(job, recipe, work, logs, say)
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


def shell_command(job: Job, recipe: Recipe, failed: Path, say: Callable[[str], None]) -> list[str]:
    """The command line of a shell where the steps of a build that failed were run: the folder
    `failed` has what they left. Raises OpkgError where there is none."""
    if not failed.exists():
        raise OpkgError(
            f"no build of {job.opkg.name} for {job.target.name} has failed here",
            where=str(failed),
            hint="name the folder of the build by --out; a build that succeeds leaves nothing",
        )
    doing = _work(job, recipe, failed.absolute(), failed, say)
    cwd = doing.room.inside(doing.room.sources)
    environment = {**step_environment(doing), "TERM": os.environ.get("TERM", "dumb")}
    return doing.room.command(["bash"], cwd=cwd, env=environment, shown=None, terminal=True)


def _work(job: Job, recipe: Recipe, folder: Path, logs: Path, say: Callable[[str], None]) -> Work:
    needed = build_requirements(recipe, job.target, job.opkg.names)
    room = Room(
        work=folder,
        root=build_root(job.target, needed, say) if job.in_root else HOST,
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
    """Refuse to compile for an architecture that this machine does not have."""
    machine = platform.machine()
    if recipe.is_compiled and job.target.architecture != machine:
        name = next(p.name for p in recipe.package if p.architecture == "native")
        raise OpkgError(
            f"{name} cannot be compiled for {job.target.name} on {machine}",
            hint=f"build it on a machine of {job.target.architecture}",
        )
