# SPDX-License-Identifier: GPL-2.0-or-later
"""What there is to build: one OPKG on one target, with a digest over all that decides its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from builder.inputs import Directory
from builder.roots import can_be_made, root_key
from builder.sources import check_replaced
from opkg.directory import read_opkg
from opkg.errors import InvalidInputError
from opkg.manifest import NAME, Input, read_manifest
from opkg.recipe import Recipe
from opkg.recipe_reader import read_recipe
from opkg.resolve import NativePackage, native_packages
from opkg.spec import Opkg
from opkg.target import Target
from opkg.variables import for_target


class Place(StrEnum):
    """Where recipes are followed: in a build root of the target, on this machine's own file
    system, or, if this is root, in a build root where something is compiled and a root can be
    made, and on this machine's own file system otherwise."""

    AUTO = "auto"
    CHROOT = "chroot"
    HOST = "host"

    def is_root_for(self, recipe: Recipe | None, target: Target) -> bool:
        if recipe is None or self is Place.HOST:
            return False
        return self is Place.CHROOT or (
            recipe.is_compiled and os.geteuid() == 0 and can_be_made(target)
        )


class Status(StrEnum):
    """How it went with one OPKG on one target."""

    BUILT = "built"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"  # the OPKG is not meant for the target
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One OPKG on one target; `recipe` is resolved for the target. `replaced` are paths of
    sources that stand in for the recipe's, by name. `in_root` says whether the recipe is followed
    in a build root of the target, or on this machine's own file system."""

    directory: Path
    opkg: Opkg
    recipe: Recipe | None
    target: Target
    input: Input
    replaced: Mapping[str, Path] = field(default_factory=dict)
    in_root: bool = False

    @property
    def packages(self) -> tuple[NativePackage, ...]:
        return native_packages(self.opkg, self.recipe, self.target)


def plan(
    directories: Iterable[Path],
    targets: Sequence[Target],
    replaced: Mapping[str, Path] | None = None,
    place: Place = Place.AUTO,
) -> list[Job]:
    """The jobs that building OPKGs for targets takes. Raises InvalidInputError with every fault
    of all OPKGs that cannot be read, and OpkgError where there is none: nothing is built then."""
    replaced = replaced or {}
    read = _read(directories)
    check_replaced([recipe for _, _, recipe in read if recipe], replaced)
    jobs = []
    for directory, opkg, recipe in read:
        known = Directory(directory, opkg)
        mine = {name: path for name, path in replaced.items() if recipe and name in recipe.source}
        for target in targets:
            resolved = for_target(recipe, opkg, target) if recipe else None
            in_root = place.is_root_for(resolved, target)
            root = root_key(target) if in_root else ""
            jobs.append(
                Job(
                    directory=directory,
                    opkg=opkg,
                    recipe=resolved,
                    target=target,
                    input=known.input_for(target, resolved, mine, root),
                    replaced=mine,
                    in_root=in_root,
                )
            )
    return jobs


def _read(directories: Iterable[Path]) -> list[tuple[Path, Opkg, Recipe | None]]:
    read, refused = [], []
    for directory in directories:
        try:
            opkg, _ = read_opkg(directory)
            read.append((directory, opkg, read_recipe(directory)))
        except InvalidInputError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        faults = [fault for error in refused for fault in error.diagnostics]
        raise InvalidInputError(f"{len(refused)} OPKGs have errors, so nothing is built", faults)
    return read


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
        (folder / made.file).is_file() and (folder / made.file).stat().st_size == made.size
        for made in manifest.files
        if made.opkg == job.opkg.name
    )
    return Status.UNCHANGED if known and whole else Status.BUILT
