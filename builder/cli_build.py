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
from builder.job import Place, Result, Status
from builder.options import (
    DIRECTORIES,
    OUT,
    REPO,
    ROOT,
    SIGN,
    SOURCES,
    STORE,
    STORE_GB,
    TARGETS,
    published,
    replaced,
    signing_key,
    targets_named,
)
from builder.out import log_folder
from builder.plan import plan as plan_jobs
from builder.progress import print_event
from builder.store import Store, open_store
from builder.watch import watched
from opkg.console import say, show_error
from opkg.errors import OpkgError
from opkg.native.mounts import enter_private_namespace
from opkg.run import attach

# So many jobs at a time may wait for a farm.
_WAITING = 256


@click.command()
@DIRECTORIES
@TARGETS
@OUT
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True,
    help="How many OPKGs to build at a time.",
)  # fmt: skip
@SOURCES
@ROOT
@REPO
@click.option(
    "--executor", metavar="dask:tcp://HOST:PORT", default="",
    help="Let recipes be followed by the workers of a Dask scheduler (opkgc worker).",
)  # fmt: skip
@STORE
@STORE_GB
@click.option(
    "--lint/--no-lint", default=True, show_default=True,
    help="Let lintian and rpmlint look at what recipes give; their errors are failures.",
)  # fmt: skip
@SIGN
@click.option(
    "--report", metavar="FILE", type=click.Path(path_type=Path),
    help="Where the page about this run goes; OUT/report.html where none is named.",
)  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True,
    help="Print an event on each line, in JSON; the last has the results.",
)  # fmt: skip
def build(
    directories: Sequence[Path],
    targets: Sequence[str],
    out: Path,
    jobs: int,
    sources: Sequence[str],
    place: str,
    repo: tuple[str, str, Path] | None,
    sign: Path | None,
    executor: str,
    store: str,
    store_gb: float,
    *,
    report: Path | None,
    lint: bool,
    as_json: bool,
) -> None:
    """Build packages and a manifest for each target, under OUT/TARGET/.

    An OPKG whose recipe requires what another one makes is built after that, with its packages.
    What was built from the same inputs is not built again. An OPKG that is not meant for a target
    is skipped; one that fails makes the exit status 1 and stops only those that need it.
    """
    key = signing_key(sign) if sign else None
    planned = plan_jobs(
        directories, targets_named(targets), replaced(sources), Place(place), published(repo)
    )
    opened = open_store(store, store_gb)
    farm = _farm(executor, opened, store, lint=lint)
    with watched(planned, out, as_json=as_json, page=report) as watch:
        try:
            results = builder.build(
                planned, out, workers=_WAITING if farm else jobs, lint=lint, store=opened,
                farm=farm, tell=watch.tell, say=say,
            )  # fmt: skip
        except builder.FarmLostError as error:
            raise OpkgError(
                "the scheduler of the farm is gone",
                where=executor,
                hint="start it again, and build again: what is done stays done",
            ) from error
        except KeyboardInterrupt as error:
            raise OpkgError(
                "interrupted", hint="what is done stays done; the same command does the rest"
            ) from error
        finally:
            failed = [result for result in watch.record.results if result.error]
            for result in failed:
                _explain(result, out)
    attest(planned, out, key)
    if as_json:
        print_event("finished", results=[_row(result) for result in results])
    counts = {status: sum(r.status is status for r in results) for status in Status}
    say(", ".join(f"{count} {status.value}" for status, count in counts.items() if count))
    if failed:
        sys.exit(1)


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-t", "--target", metavar="TARGET", required=True, help="For this target.")
@OUT
@ROOT
@REPO
def shell(
    directory: Path, target: str, out: Path, place: str, repo: tuple[str, str, Path] | None
) -> None:
    """Open a shell where a build of an OPKG failed.

    It is in the room of the build, with its sources as the steps left them, and with their
    environment.
    """
    job = plan_jobs(
        [directory], targets_named([target]), place=Place(place), repository=published(repo)
    )[0]
    if job.recipe is None:
        raise OpkgError(f"{job.opkg.name} has no recipe", where=str(directory))
    enter_private_namespace()
    line = shell_command(job, job.recipe, out, say)
    sys.exit(attach(line))


def _farm(executor: str, store: Store | None, place: str, *, lint: bool) -> builder.Farm | None:
    if not executor:
        return None
    # Only here: Dask is an extra, and takes seconds.
    from builder.farm import open_farm

    return open_farm(executor, store, place, lint=lint)


def _explain(result: Result, out: Path) -> None:
    """Why something failed, and where to read more."""
    if result.error:
        show_error(result.error, result.job.opkg.name)
    logs = log_folder(result.job, out)
    if logs.is_dir():
        say(f"  all logs: {logs}")


def _row(result: Result) -> dict[str, object]:
    job = result.job
    return {
        "opkg": job.opkg.name,
        "version": str(job.opkg.version),
        "target": job.target.name,
        "status": result.status.value,
        "packages": job.package_names,
    }


COMMANDS = (build, shell)
