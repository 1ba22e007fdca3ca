# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc's commands about OPKGs as they are written."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from builder.options import DIRECTORIES, JSON, targets_named
from builder.scaffold import scaffold
from builder.show import as_text, packages_of
from opkg.console import print_json, say
from opkg.convert import CONFIG, KEPT
from opkg.convert import convert as convert_opkg
from opkg.directory import read_opkg
from opkg.errors import Diagnostic, InvalidInputError, OpkgError
from opkg.generation import Generation
from opkg.recipe_reader import check_recipe, read_recipe
from opkg.target import Target, known_targets


@click.command()
@DIRECTORIES
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
@JSON
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
        found += _look_up(
            directories, targets_named(targets or tuple(known_targets().distributions))
        )
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


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-t", "--target", metavar="TARGET", required=True, help="For this target.")
@JSON
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


@click.command()
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


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def new(directory: Path) -> None:
    """Make a new OPKG to start from; its name is the folder's."""
    for path in scaffold(directory):
        click.echo(str(path))
    say(f"next: edit {directory / 'config.xml'}, then: opkgc lint {directory}")


COMMANDS = (lint, show, convert, new)
