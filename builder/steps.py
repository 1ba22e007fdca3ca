# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the steps of a recipe, and writes them down for its source packages."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from builder.room import Room
from builder.sources import get_sources
from opkg.kinds import step_kinds
from opkg.names import Names
from opkg.recipe import NAME, Recipe, Step, native_relations
from opkg.resolve import native_version
from opkg.run import run
from opkg.spec import Opkg, Relation
from opkg.target import Family, Target
from opkg.variables import for_target, variables

# What the distribution wants compiled code to be made with.
_FLAGS = {
    Family.DEB: """\
export DEB_BUILD_MAINT_OPTIONS=hardening=+all
eval "$(dpkg-buildflags --export=sh)"
""",
    Family.RPM: """\
CFLAGS=$(rpm --eval '%{?build_cflags}%{!?build_cflags:%{optflags}}')
CXXFLAGS=$(rpm --eval '%{?build_cxxflags}%{!?build_cxxflags:%{optflags}}')
LDFLAGS=$(rpm --eval '%{?build_ldflags}')
export CFLAGS CXXFLAGS LDFLAGS
""",
}


@dataclass(frozen=True, kw_only=True)
class Work:
    """A recipe, resolved for its target, that is built in a room. `stage` is where the steps
    install to."""

    opkg: Opkg
    recipe: Recipe
    directory: Path
    target: Target
    room: Room
    logs: Path

    @property
    def stage(self) -> Path:
        return self.room.work / "stage"

    @property
    def stamp(self) -> int:
        return int(self.opkg.changed.timestamp())

    @property
    def environment(self) -> dict[str, str]:
        """What the steps find in their environment, DESTDIR, SOURCES and JOBS excepted."""
        return {
            **variables(self.opkg, self.recipe, self.target),
            "SOURCE_DATE_EPOCH": str(self.stamp),
        }


def tree_name(opkg: Opkg, target: Target) -> str:
    """The folder that the sources of an OPKG lie in, also in its source packages."""
    return f"opkg-{opkg.name}-{native_version(opkg.version, target).upstream}"


def build_requirements(recipe: Recipe, target: Target, names: Names) -> tuple[Relation, ...]:
    """The native packages that a recipe's steps need, those of their kinds with them."""
    kinds = [step_kinds()[step.kind] for step in recipe.step if step.kind]
    listed = (*recipe.build.requires, *(name for kind in kinds for name in kind.requires))
    return tuple(dict.fromkeys(native_relations(listed, target, names)))


def run_steps(
    opkg: Opkg,
    recipe: Recipe,
    directory: Path,
    target: Target,
    work: Path,
    *,
    replaced: Mapping[str, Path] | None = None,
) -> Path:
    """Get the sources of an OPKG's recipe and run its steps below the empty folder `work`, on
    this machine's own file system; returns the stage. Raises OpkgError."""
    resolved = for_target(recipe, opkg, target)
    tree = tree_name(opkg, target)
    logs = work / "logs"
    room = Room(work=work, tree=tree, memory_mb=recipe.build.memory_mb)
    job = Work(opkg=opkg, recipe=resolved, directory=directory, target=target, room=room, logs=logs)
    prepare(job, replaced or {})
    follow(job)
    return job.stage


def prepare(work: Work, replaced: Mapping[str, Path]) -> None:
    """Get the sources, with the same times whenever that is done."""
    work.room.sources.mkdir(parents=True)
    work.stage.mkdir()
    get_sources(work.recipe, work.directory, replaced, work.room)
    _set_times(work.room.sources, work.stamp)
    work.room.own(work.room.work)


def follow(work: Work) -> None:
    """Run the steps. Raises CommandError, with the end of the log, when one fails."""
    room = work.room
    environment = step_environment(work)
    for number, step in enumerate(work.recipe.step, 1):
        script, folder = _script(step, work), _folder(step, work.recipe)
        room.run(
            ["bash", "-euo", "pipefail", "-c", script, "step", *step.options],
            cwd=room.inside(room.sources / folder),
            env=environment,
            log=work.logs / f"{number}-{step.name.replace('/', '-')}.log",
            hint=f"the step “{step.name}” of {work.directory / NAME} failed",
        )
    _set_times(work.stage, work.stamp)


def step_environment(work: Work) -> dict[str, str]:
    """All that steps find in their environment."""
    return {
        **work.environment,
        "DESTDIR": work.room.inside(work.stage),
        "SOURCES": work.room.inside(work.room.sources),
        "JOBS": str(os.cpu_count() or 1),
    }


def _script(step: Step, work: Work) -> str:
    flags = _FLAGS[work.target.family] if work.recipe.is_compiled else ""
    return flags + (step_kinds()[step.kind].run if step.kind else step.run)


def _folder(step: Step, recipe: Recipe) -> str:
    return step.source or next(iter(recipe.source))


def as_program(work: Work) -> str:
    """All steps as one program for bash, which finds the sources in $SOURCES and installs to
    $DESTDIR: what a source package of a distribution runs."""
    lines = [
        "#!/bin/bash",
        "# The steps of build.toml, written down by opkgc. $SOURCES has the sources; they",
        "# install to $DESTDIR.",
        "set -euo pipefail",
        'export JOBS="${JOBS:-$(nproc)}" LC_ALL=C.UTF-8 TZ=UTC HOME="$SOURCES" DESTDIR SOURCES',
        "umask 022",
    ]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in work.environment.items()]
    for step in work.recipe.step:
        words = shlex.join(["bash", "-euo", "pipefail", "-c", _script(step, work), "step"])
        options = f" {shlex.join(step.options)}" if step.options else ""
        folder = shlex.quote(_folder(step, work.recipe))
        lines.append(f'\n# {step.name}\ncd "$SOURCES"/{folder}\n{words}{options}')
    return "\n".join(lines) + "\n"


def archive_sources(work: Work, archive: Path) -> None:
    """Pack the sources, as they are before the steps, into a .tar.gz with the same bytes for the
    same sources."""
    plain = archive.with_suffix("")
    run(
        ["tar", "--create", "--file", plain, "--sort=name",
         "--owner=0", "--group=0", "--numeric-owner", f"--mtime=@{work.stamp}", "--format=gnu",
         "--mode=u+rw,go+r-w,a+X", "--directory", work.room.sources.parent, work.room.tree]
    )  # fmt: skip
    run(["gzip", "--no-name", "-6", plain])


def _set_times(folder: Path, stamp: int) -> None:
    for here, folders, names in os.walk(folder, topdown=False):
        for name in [*folders, *names]:
            os.utime(Path(here, name), (stamp, stamp), follow_symlinks=False)
