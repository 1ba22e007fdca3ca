# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc, the OPKG compiler, on the command line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from builder import build as builder
from builder.build import Result
from builder.compile import shell_command
from builder.job import Job, Place, Status, status_of
from builder.job import plan as plan_jobs
from builder.scaffold import scaffold
from builder.show import as_text, packages_of
from opkg.console import print_json, print_table, run_command, say, show_error
from opkg.convert import CONFIG, KEPT
from opkg.convert import convert as convert_opkg
from opkg.directory import read_opkg
from opkg.errors import Diagnostic, InvalidInputError, OpkgError
from opkg.generation import Generation
from opkg.native.mounts import enter_private_namespace
from opkg.recipe_reader import check_recipe, read_recipe
from opkg.run import attach
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
_SOURCES = click.option(
    "--source", "sources", metavar="NAME=PATH", multiple=True,
    help="Take this source from a folder or a file, whatever the recipe says.",
)  # fmt: skip
_ROOT = click.option(
    "--root", "place", type=click.Choice([place.value for place in Place]),
    default=Place.AUTO.value, show_default=True,
    help="Where recipes are followed: in a build root of the target, on this machine's own file "
    "system, or, if run by root, the one for what is compiled (where targets.toml knows mirrors) "
    "and the other for the rest.",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oscar-opkg")
def cli() -> None:
    """Compile OPKGs, descriptions of cluster software, into native packages.

    An OPKG is a folder with a config.xml. For each target it becomes three packages: opkg-NAME,
    opkg-NAME-server and opkg-NAME-client; a build.toml beside it can add further ones.
    """


@cli.command()
@_DIRECTORIES
@click.option(
    "--mirror",
    is_flag=True,
    help="Also look up the packages they name in the targets' archives, where these can be "
    "reached.",
)
@click.option(
    "-t",
    "--target",
    "targets",
    metavar="TARGET",
    multiple=True,
    help="Look into the archive of this target alone; may be given again.",
)
@_JSON
def lint(
    directories: Sequence[Path], targets: Sequence[str], *, mirror: bool, as_json: bool
) -> None:
    """Say all that is wrong with OPKGs, with the line of each fault.

    The exit status is 1 if there is an error. What is warned of is read, and built, all the same.
    """
    if targets and not mirror:
        raise click.UsageError("--target says whose --mirror to look into: give both")
    found = [diagnostic for directory in directories for diagnostic in _lint(directory)]
    if mirror:
        found += _look_up(directories, _find(targets or tuple(known_targets().distributions)))
    counts = Counter(diagnostic.severity for diagnostic in found)
    if as_json:
        print_json(found)
    else:
        for diagnostic in found:
            click.echo(str(diagnostic))
        told = [_counted(counts[word], word) for word in ("error", "warning")]
        told += [_counted(counts["note"], "note")] if counts["note"] else []
        say(f"{', '.join(told)} in {_counted(len(directories), 'OPKG')}")
    if counts["error"]:
        sys.exit(1)


def _look_up(directories: Sequence[Path], targets: Sequence[Target]) -> list[Diagnostic]:
    """What the archives say; of an OPKG with errors, nothing is known that could be asked."""
    # Only here: a build need not wait for what talks to package managers.
    from builder.mirror import Source, check

    sources = []
    for directory in directories:
        with contextlib.suppress(OpkgError):
            opkg, _ = read_opkg(directory)
            recipe = read_recipe(directory)
            sources.append(Source(directory=directory, opkg=opkg, recipe=recipe))
    return check(sources, targets, say)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _lint(directory: Path) -> Sequence[Diagnostic]:
    _, recipe = check_recipe(directory)
    try:
        _, found = read_opkg(directory)
    except InvalidInputError as error:
        found = tuple(error.diagnostics)
    except OpkgError as error:
        return [
            Diagnostic(
                severity="error",
                path=error.where or str(directory),
                line=0,
                message=error.message,
                hint=error.hint,
            )
        ]
    return (*found, *recipe)


@cli.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-t", "--target", metavar="TARGET", required=True, help="For this target.")
@_JSON
def show(directory: Path, target: str, *, as_json: bool) -> None:
    """Show the packages an OPKG becomes on a target."""
    opkg, _ = read_opkg(directory)
    wanted = known_targets().find(target)
    packages = packages_of(opkg, read_recipe(directory), wanted)
    if as_json:
        print_json(packages)
    elif packages:
        click.echo("\n\n".join(as_text(package) for package in packages))
    else:
        say(f"{opkg.name} is not meant for {wanted.name}")


@cli.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", metavar="OUT", type=click.Path(path_type=Path),
    help="Make the converted OPKG here, and leave DIR as it is.",
)  # fmt: skip
def convert(directory: Path, out: Path | None) -> None:
    """Make an OPKG of an older generation one of the current one.

    In place, unless OUT is given; the old config.xml is kept as config.xml.old. Scripts get the
    names that their phases have today.
    """
    done = convert_opkg(directory, out)
    for warning in done.warnings:
        say(str(warning))
    if done.generation is Generation.CURRENT:
        click.echo(f"{done.directory / CONFIG}: is of the current generation")
    else:
        kept = f"{directory / CONFIG} is as it was" if out else f"the old one is now {KEPT}"
        click.echo(f"{done.directory / CONFIG}: was {done.generation}; {kept}")
    for old, new in done.renamed.items():
        click.echo(f"{done.directory / 'scripts' / new}: was {old}")
    for name in done.left:
        click.echo(f"{done.directory / name}: left as it is; nothing in it goes into a package")


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
@_SOURCES
@_ROOT
@_JSON
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
    jobs = plan_jobs(directories, _find(targets), _replaced(sources), Place(place))
    rows = [(job, status_of(job, out)) for job in jobs]
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
@_SOURCES
@_ROOT
@click.option(
    "--lint/--no-lint", default=True, show_default=True,
    help="Let lintian and rpmlint look at what recipes give; their errors are failures.",
)  # fmt: skip
@_JSON
def build(
    directories: Sequence[Path],
    targets: Sequence[str],
    out: Path,
    jobs: int,
    sources: Sequence[str],
    place: str,
    *,
    lint: bool,
    as_json: bool,
) -> None:
    """Build packages and a manifest for each target, under OUT/TARGET/.

    What was built from the same inputs is not built again. An OPKG that is not meant for a target
    is skipped; one that fails makes the exit status 1 and does not stop the others.
    """
    planned = plan_jobs(directories, _find(targets), _replaced(sources), Place(place))
    results = builder.build(planned, out, workers=jobs, lint=lint, report=_report, say=say)
    failed = [result for result in results if result.status is Status.FAILED]
    if as_json:
        print_json([_row(result.job, result.status) for result in results])
    counts = {status: sum(r.status is status for r in results) for status in Status}
    say(", ".join(f"{count} {status.value}" for status, count in counts.items() if count))
    if failed:
        sys.exit(1)


@cli.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-t", "--target", metavar="TARGET", required=True, help="For this target.")
@_OUT
@_ROOT
def shell(directory: Path, target: str, out: Path, place: str) -> None:
    """Open a shell where a build of an OPKG failed.

    It is in the room of the build, with its sources as the steps left them, and with their
    environment.
    """
    job = plan_jobs([directory], _find([target]), place=Place(place))[0]
    if job.recipe is None:
        raise OpkgError(f"{job.opkg.name} has no recipe", where=str(directory))
    enter_private_namespace()
    line = shell_command(job, job.recipe, builder.failed_folder(job, out), say)
    sys.exit(attach(line))


def _find(names: Sequence[str]) -> list[Target]:
    table = known_targets()
    return [table.find(name) for name in dict.fromkeys(names)]


def _replaced(sources: Sequence[str]) -> dict[str, Path]:
    pairs = [source.partition("=") for source in sources]
    if bad := [text for text in sources if not all(text.partition("="))]:
        raise click.BadParameter(f"“{bad[0]}” is not NAME=PATH", param_hint="--source")
    return {name: Path(path) for name, _, path in pairs}


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
