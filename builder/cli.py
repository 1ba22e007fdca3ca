# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc, the OPKG compiler, on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from builder import build as builder
from builder.build import Job, Result, Status
from builder.scaffold import scaffold
from opkg.console import print_json, print_table, run_command, say, show_error
from opkg.directory import read_opkg
from opkg.errors import Diagnostic, InvalidInputError
from opkg.recipe import read_recipe
from opkg.resolve import NativePackage, native_packages
from opkg.target import Target, known_targets

_DIRECTORIES = click.argument(
    "directories", metavar="DIR…", nargs=-1, required=True, type=click.Path(path_type=Path)
)
_TARGETS = click.option(
    "-t", "--target", "targets", metavar="TARGET", multiple=True, required=True,
    help="Build for this target, e.g. debian-12 or rocky-9-x86_64; may be given again.",
)  # fmt: skip
_OUT = click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True,
    help="Where packages go, in a folder for each target.",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
@click.version_option(package_name="oscar-opkg")
def cli() -> None:
    """Compile OPKGs, descriptions of cluster software, into native packages.

    An OPKG is a folder with a config.xml. For each target it becomes three packages: opkg-NAME,
    opkg-NAME-server and opkg-NAME-client; a build.toml beside it can add further ones.
    """


@cli.command()
@_DIRECTORIES
@_JSON
def lint(directories: Sequence[Path], *, as_json: bool) -> None:
    """Say all that is wrong with OPKGs, with the line of each fault."""
    found = [diagnostic for directory in directories for diagnostic in _lint(directory)]
    errors = sum(diagnostic.severity == "error" for diagnostic in found)
    if as_json:
        print_json(found)
    else:
        for diagnostic in found:
            click.echo(str(diagnostic))
        warnings = len(found) - errors
        say(f"{errors} errors, {warnings} warnings in {len(directories)} OPKGs")
    if errors:
        sys.exit(1)


def _lint(directory: Path) -> Sequence[Diagnostic]:
    try:
        _, warnings = read_opkg(directory)
        read_recipe(directory)
    except InvalidInputError as error:
        return error.diagnostics
    return warnings


@cli.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-t", "--target", metavar="TARGET", required=True, help="For this target.")
@_JSON
def show(directory: Path, target: str, *, as_json: bool) -> None:
    """Show the packages an OPKG becomes on a target."""
    opkg, _ = read_opkg(directory)
    packages = native_packages(opkg, read_recipe(directory), known_targets().find(target))
    if as_json:
        print_json(packages)
        return
    if not packages:
        say(f"{opkg.name} is not meant for {target}")
    for package in packages:
        _show(package)


def _show(package: NativePackage) -> None:
    click.echo(f"{package.name} {package.version} ({package.architecture})")
    click.echo(f"  {package.summary}")
    for kind, relation in package.relations:
        click.echo(f"  {kind.value:<10} {relation}")
    for moment, _ in package.scripts:
        click.echo(f"  {'runs':<10} {moment} script")
    for file in package.files:
        click.echo(f"  {file.mode:04o}       {file.path}")


@cli.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def new(directory: Path) -> None:
    """Make a new OPKG to start from; its name is the folder's."""
    for path in scaffold(directory):
        click.echo(str(path))
    say(f"next: edit {directory / 'config.xml'}, then: opkgc lint {directory}")


@cli.command()
@_DIRECTORIES
@_TARGETS
@_OUT
@_JSON
def plan(directories: Sequence[Path], targets: Sequence[str], out: Path, *, as_json: bool) -> None:
    """Show what a build would do, and do nothing."""
    jobs = builder.plan(directories, _find(targets))
    rows = [(job, builder.status_of(job, out)) for job in jobs]
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


@cli.command()
@_DIRECTORIES
@_TARGETS
@_OUT
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True,
    help="How many OPKGs to build at a time.",
)  # fmt: skip
@_JSON
def build(
    directories: Sequence[Path], targets: Sequence[str], out: Path, jobs: int, *, as_json: bool
) -> None:
    """Build packages and a manifest for each target, under OUT/TARGET/.

    What was built from the same inputs is not built again. An OPKG that is not meant for a target
    is skipped; one that fails makes the exit status 1 and does not stop the others.
    """
    results = builder.build(
        builder.plan(directories, _find(targets)), out, workers=jobs, report=_report
    )
    failed = [result for result in results if result.status is Status.FAILED]
    if as_json:
        print_json([_row(result.job, result.status) for result in results])
    counts = {status: sum(r.status is status for r in results) for status in Status}
    say(", ".join(f"{count} {status.value}" for status, count in counts.items() if count))
    if failed:
        sys.exit(1)


def _find(names: Sequence[str]) -> list[Target]:
    table = known_targets()
    return [table.find(name) for name in dict.fromkeys(names)]


def _report(result: Result) -> None:
    job = result.job
    made = f"  {len(result.artifacts)} packages" if result.artifacts else ""
    say(f"{result.status.value:<9}  {job.opkg.name} {job.opkg.version}  {job.target.name}{made}")
    if result.error:
        show_error(result.error, job.opkg.name)


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


def main() -> None:
    """Run opkgc and exit."""
    run_command(cli, name="opkgc", settings="opkgc.toml", env_prefix="OPKG")
