# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands that take the whole terminal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from opd import repository
from opd.place import headnode
from opd.settings import Settings, pass_settings
from opd.wizard import Step, facts_of, steps
from opkg.console import print_table
from opkg.errors import OpkgError
from opkg.run import attach
from opkg.target import known_targets


@click.command()
@click.option("-t", "--target", metavar="TARGET", help="For this target; otherwise the headnode's.")
@click.option(
    "-o", "--out", metavar="DIR", type=click.Path(path_type=Path), default=Path(),
    help="Downloads go into this folder; otherwise into the current one.",
)  # fmt: skip
@pass_settings
def browse(settings: Settings, target: str | None, out: Path) -> None:
    """Look through all OPKGs on offer on a screen, and download some.

    Needs Textual: pip install 'oscar-opkg[screens]'.
    """
    with _textual("opd list, opd search, opd info and opd download do the same without it"):
        from opd.browse import Browser
    state = settings.open()
    known = repository.load_all(state)
    chosen = known_targets().find(target) if target else headnode(settings.headnode_root).target
    Browser(known, chosen.name, state.downloads, out.absolute()).run()


@click.command()
@click.option("--list", "listed", is_flag=True, help="Print the steps, and show no screen.")
@pass_settings
def wizard(settings: Settings, *, listed: bool) -> None:
    """Go through the steps from nothing to a cluster, on a screen.

    It shows what is done, what is next and what failed, as the cluster is now; each step is a
    command, so you may leave and come back at any time. The screen needs Textual: pip install
    'oscar-opkg[screens]'.
    """
    state, own = settings.open(), headnode(settings.headnode_root)

    def look() -> list[Step]:
        return steps(facts_of(state, own))

    if listed:
        rows = [[str(s.number), s.name, s.progress.value, s.told, s.commands[0]] for s in look()]
        print_table(["", "STEP", "STATE", "HOW THINGS STAND", "COMMAND"], rows)
        return
    with _textual("opd wizard --list prints the same"):
        from opd.wizard_screen import Wizard
    Wizard(look, lambda line: _execute(settings, line)).run()


def _execute(settings: Settings, line: str) -> None:
    """Run a command of opd as a person wrote it, with the options that this one was given."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        words, line = [], f"{line}: {error}"
    click.secho(f"$ {line}", bold=True)
    if words[:1] == ["opd"]:
        own = [f"--state={settings.state_dir}", f"--headnode-root={settings.headnode_root}"]
        status = attach([sys.executable, "-m", "opd", *own, *words[1:]])
        click.echo(f"\n{'done' if not status else f'ended with status {status}'}; ", nl=False)
    else:
        click.echo("only commands of opd are run here; ", nl=False)
    click.echo("Enter goes back")
    sys.stdin.readline()


@contextmanager
def _textual(otherwise: str) -> Iterator[None]:
    """Say what is missing where a screen cannot be imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise OpkgError(
            f"this needs {error.name}, which is not here",
            hint=f"pip install 'oscar-opkg[screens]'; {otherwise}",
        ) from error


COMMANDS = (browse, wizard)
