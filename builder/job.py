# SPDX-License-Identifier: GPL-2.0-or-later
"""What there is to build: one OPKG on one target, and how it went."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from builder.roots import can_be_made
from opkg.errors import OpkgError
from opkg.manifest import Artifact, Input
from opkg.native.installer import PackageSource
from opkg.recipe import Recipe
from opkg.resolve import NativePackage, applies, native_packages
from opkg.spec import Opkg
from opkg.target import Target


class Place(StrEnum):
    """Where recipes are followed: in a build root of the target, on this machine's own file
    system, or, if this is root, in a build root where something is compiled or needs what another
    OPKG makes, and a root can be made, and on this machine's own file system otherwise."""

    AUTO = "auto"
    CHROOT = "chroot"
    HOST = "host"

    def is_root_for(self, recipe: Recipe | None, target: Target, *, needs: bool) -> bool:
        if recipe is None or self is Place.HOST:
            return False
        return self is Place.CHROOT or (
            (needs or recipe.is_compiled) and os.geteuid() == 0 and can_be_made(target)
        )


class Status(StrEnum):
    """How it went with one OPKG on one target."""

    BUILT = "built"
    TAKEN = "from store"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"  # the OPKG is not meant for the target
    FAILED = "failed"
    LEFT = "not built"  # what it needs is not there, for it failed

    @property
    def is_good(self) -> bool:
        """Whether what the OPKG becomes is there afterwards, if it is to be."""
        return self not in (Status.FAILED, Status.LEFT)


@dataclass(frozen=True, kw_only=True)
class OnTarget:
    """One OPKG on one target; `recipe` is resolved for the target. `replaced` are paths of
    sources that stand in for the recipe's, by name."""

    directory: Path
    opkg: Opkg
    recipe: Recipe | None
    target: Target
    replaced: Mapping[str, Path] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.target.name}/{self.opkg.name}"

    @property
    def is_meant(self) -> bool:
        """Whether the OPKG is meant for the target at all."""
        return applies(self.opkg.availability, self.target)

    @property
    def packages(self) -> tuple[NativePackage, ...]:
        return native_packages(self.opkg, self.recipe, self.target)

    @property
    def package_names(self) -> list[str]:
        """The names of all packages, those of the recipe after the others."""
        further = self.recipe.package if self.recipe and self.is_meant else ()
        return [*(each.name for each in self.packages), *(each.name for each in further)]


@dataclass(frozen=True, kw_only=True)
class Job(OnTarget):
    """What there is to do for an OPKG on a target. `input` is what decides the bytes of its
    packages, with a digest over it, the job's key. `in_root` says whether the recipe is followed
    in a build root of the target, or on this machine's own file system. `uses` are the jobs whose
    packages can be installed there, by id: those that it needs, those that these need, and so on;
    each with its key. `source` is the repository that the published packages among the inputs come
    from."""

    input: Input
    in_root: bool
    uses: Mapping[str, str]
    source: PackageSource | None = None

    @property
    def key(self) -> str:
        return self.input.sha256

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of the jobs that make what the recipe requires."""
        return tuple(self.input.needs)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a job: `error` where it failed, `missing` are the jobs it needs that gave
    nothing. `worker` is who did it, `seconds` how long that took."""

    job: Job
    status: Status
    artifacts: tuple[Artifact, ...] = ()
    error: OpkgError | None = None
    missing: tuple[str, ...] = ()
    worker: str = ""
    seconds: float = 0.0
