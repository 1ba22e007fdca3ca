# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc's commands about builds."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from builder import build as builder
from builder.attest import attest
from builder.compile import shell_command
from builder.job import Job, Place, Result, Status
from builder.options import DIRECTORIES, JSON, SIGN, SOURCES, replaced, signing_key, targets_named
from builder.out import log_folder, standing, status_of
from builder.plan import plan as plan_jobs
from builder.schedule import Event
from opkg.console import print_json, print_table, say, show_error
from opkg.errors import OpkgError
from opkg.native.mounts import enter_private_namespace
from opkg.run import attach

_TARGETS = click.option(
    "-t", "--target", "targets", metavar="TARGET", multiple=True, required=True,
    help="Build for this target, e.g. debian-12 or rocky-9-x86_64; may be given again.",
)  # fmt: skip
_OUT = click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True,
    help="Where packages go, in a folder for each target.",
)  # fmt: skip
_ROOT = click.option(
    "--root", "place", type=click.Choice([place.value for place in Place]),
    default=Place.AUTO.value, show_default=True,
    help="Where recipes are followed: in a build root of the target, on this machine's own file "
    "system, or, if run by root, the one for what is compiled (where targets.toml knows mirrors) "
    "and the other for the rest.",
)  # fmt: skip


@click.command()
@DIRECTORIES
@_TARGETS
@_OUT
@SOURCES
@_ROOT
@JSON
def plan(
    directories: Sequence[Path],
    targets: Sequence[str],
    out: Path,
    sources: Sequence[str],
    place: str,
    *,
    as_json: bool,
) -> None:
    """Show what a build would do, and do nothing."""
    jobs = plan_jobs(directories, targets_named(targets), replaced(sources), Place(place))
    before = {name: standing(out, name) for name in {job.target.name for job in jobs}}
    rows = [(job, status_of(job, out, before[job.target.name])) for job in jobs]
    if as_json:
        print_json([_row(job, status) for job, status in rows])
        return
    words = {Status.BUILT: "build", Status.UNCHANGED: "unchanged", Status.SKIPPED: "skip"}
    print_table(
        ["OPKG", "VERSION", "TARGET", "ACTION", "PACKAGES"],
        [
            [job.opkg.name, str(job.opkg.version), job.target.name, words[status], str(_count(job))]
            for job, status in rows
        ],
    )


@click.command()
@DIRECTORIES
@_TARGETS
@_OUT
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True,
    help="How many OPKGs to build at a time.",
)  # fmt: skip
@SOURCES
@_ROOT
@click.option(
    "--lint/--no-lint", default=True, show_default=True,
    help="Let lintian and rpmlint look at what recipes give; their errors are failures.",
)  # fmt: skip
@SIGN
@JSON
def build(
    directories: Sequence[Path],
    targets: Sequence[str],
    out: Path,
    jobs: int,
    sources: Sequence[str],
    place: str,
    sign: Path | None,
    *,
    lint: bool,
    as_json: bool,
) -> None:
    """Build packages and a manifest for each target, under OUT/TARGET/.

    An OPKG whose recipe requires what another one makes is built after that, with its packages.
    What was built from the same inputs is not built again. An OPKG that is not meant for a target
    is skipped; one that fails makes the exit status 1 and stops only those that need it.
    """
    key = signing_key(sign) if sign else None
    planned = plan_jobs(directories, targets_named(targets), replaced(sources), Place(place))
    failed: list[Result] = []

    def tell(event: Event) -> None:
        if event.result:
            _report(event.result)
            failed.extend([event.result] if event.result.error else [])

    try:
        results = builder.build(planned, out, workers=jobs, lint=lint, tell=tell, say=say)
    finally:
        for result in failed:
            _explain(result, out)
    attest(planned, out, key)
    if as_json:
        print_json([_row(result.job, result.status) for result in results])
    counts = {status: sum(r.status is status for r in results) for status in Status}
    say(", ".join(f"{count} {status.value}" for status, count in counts.items() if count))
    if failed:
        sys.exit(1)


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-t", "--target", metavar="TARGET", required=True, help="For this target.")
@_OUT
@_ROOT
def shell(directory: Path, target: str, out: Path, place: str) -> None:
    """Open a shell where a build of an OPKG failed.

    It is in the room of the build, with its sources as the steps left them, and with their
    environment.
    """
    job = plan_jobs([directory], targets_named([target]), place=Place(place))[0]
    if job.recipe is None:
        raise OpkgError(f"{job.opkg.name} has no recipe", where=str(directory))
    enter_private_namespace()
    line = shell_command(job, job.recipe, out, say)
    sys.exit(attach(line))


def _report(result: Result) -> None:
    job = result.job
    more = f"  {len(result.artifacts)} packages" if result.artifacts else ""
    if result.missing:
        more = "  for want of " + ", ".join(name.partition("/")[2] for name in result.missing)
    say(f"{result.status.value:<9}  {job.opkg.name} {job.opkg.version}  {job.target.name}{more}")


def _explain(result: Result, out: Path) -> None:
    """Why something failed, and where to read more."""
    if result.error:
        show_error(result.error, result.job.opkg.name)
    logs = log_folder(result.job, out)
    if logs.is_dir():
        say(f"  all logs: {logs}")


def _row(job: Job, status: Status) -> dict[str, object]:
    return {
        "opkg": job.opkg.name,
        "version": str(job.opkg.version),
        "target": job.target.name,
        "status": status.value,
        "packages": [package.name for package in job.packages]
        + [package.name for package in (job.recipe.package if job.recipe else ())],
    }


def _count(job: Job) -> int:
    return len(job.packages) + (len(job.recipe.package) if job.recipe and job.packages else 0)


COMMANDS = (plan, build, shell)
