# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from builder.job import Job, Place, Status
from builder.options import (
    DIRECTORIES,
    JSON,
    OUT,
    REPO,
    ROOT,
    SOURCES,
    STORE,
    TARGETS,
    published,
    replaced,
    targets_named,
)
from builder.out import standing, status_of
from builder.plan import plan as plan_jobs
from builder.plan_svg import picture
from builder.store import Store, is_kept, open_store
from opkg.console import print_json, print_table, say
from opkg.files import write_atomic

_WORDS = {
    Status.BUILT: "build",
    Status.TAKEN: "from store",
    Status.UNCHANGED: "unchanged",
    Status.SKIPPED: "skip",
}


@click.command()
@DIRECTORIES
@TARGETS
@OUT
@SOURCES
@ROOT
@REPO
@STORE
@click.option(
    "--svg", metavar="FILE", type=click.Path(path_type=Path), help="Draw what needs what."
)
@JSON
def plan(
    directories: Sequence[Path],
    targets: Sequence[str],
    out: Path,
    sources: Sequence[str],
    place: str,
    repo: tuple[str, str, Path] | None,
    store: str,
    svg: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show what a build would do, and do nothing.

    An OPKG is built after those that it needs: whose packages its recipe requires.
    """
    jobs = plan_jobs(
        directories, targets_named(targets), replaced(sources), Place(place), published(repo)
    )
    actions = _actions(jobs, out, open_store(store, float("inf")))
    if svg:
        write_atomic(svg, picture(jobs, actions))
        say(f"drawn: {svg}")
    if as_json:
        print_json([_row(job, actions[job.id]) for job in jobs])
    elif not svg:
        rows = [
            [job.opkg.name, str(job.opkg.version), job.target.name, actions[job.id],
             str(len(job.package_names)), ", ".join(_opkg(need) for need in job.needs)]
            for job in jobs
        ]  # fmt: skip
        print_table(["OPKG", "VERSION", "TARGET", "ACTION", "PACKAGES", "NEEDS"], rows)


def _actions(jobs: Sequence[Job], out: Path, store: Store | None) -> dict[str, str]:
    """What would be done for each job, in a word."""
    before = {name: standing(out, name) for name in {job.target.name for job in jobs}}
    found = {}
    for job in jobs:
        status = status_of(job, out, before[job.target.name])
        if status is Status.BUILT and store and is_kept(job) and store.has(job.key):
            status = Status.TAKEN
        found[job.id] = _WORDS[status]
    return found


def _opkg(id_: str) -> str:
    return id_.partition("/")[2]


def _row(job: Job, action: str) -> dict[str, object]:
    return {
        "id": job.id,
        "opkg": job.opkg.name,
        "version": str(job.opkg.version),
        "target": job.target.name,
        "action": action,
        "key": job.key,
        "needs": job.needs,
        "packages": job.package_names,
    }


COMMANDS = (plan,)
