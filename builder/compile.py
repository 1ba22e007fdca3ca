# SPDX-License-Identifier: GPL-2.0-or-later
"""Follows a recipe from its sources to its packages."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from builder.deb_tools import pack_debs
from builder.job import Job
from builder.room import Room
from builder.rpm_tools import pack_rpms
from builder.stage import assign, check_architecture
from builder.steps import Work, archive_sources, follow, prepare, tree_name
from opkg.errors import OpkgError
from opkg.recipe import NAME, Recipe
from opkg.target import Family


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What a recipe gave: packages, and the files of its source package."""

    packages: tuple[Path, ...]
    sources: tuple[Path, ...]


def follow_recipe(job: Job, recipe: Recipe, work: Path, logs: Path) -> Compiled:
    """Get the sources, run the steps and pack what they stage, below the empty folder `work`;
    each step's output is in `logs`. Raises OpkgError."""
    _check_machine(job, recipe)
    shutil.rmtree(logs, ignore_errors=True)
    room = Room(
        work=work,
        tree=tree_name(job.opkg, job.target),
        memory_mb=recipe.build.memory_mb,
        minutes=recipe.build.minutes,
    )
    doing = Work(
        opkg=job.opkg, recipe=recipe, directory=job.directory, target=job.target, room=room,
        logs=logs,
    )  # fmt: skip
    prepare(doing, job.replaced)
    archive_sources(doing, work / "sources.tar.gz")
    follow(doing)
    staged = assign(recipe, doing.stage, job.directory / NAME)
    for entry in staged:
        check_architecture(entry, doing.stage)
    pack = pack_debs if job.target.family is Family.DEB else pack_rpms
    packages, sources = pack(doing, staged, logs / "pack.log")
    return Compiled(packages=tuple(packages), sources=tuple(sources))


def _check_machine(job: Job, recipe: Recipe) -> None:
    """Refuse to compile for an architecture that this machine does not have."""
    machine = platform.machine()
    if recipe.is_compiled and job.target.architecture != machine:
        name = next(p.name for p in recipe.package if p.architecture == "native")
        raise OpkgError(
            f"{name} cannot be compiled for {job.target.name} on {machine}",
            hint=f"build it on a machine of {job.target.architecture}",
        )
