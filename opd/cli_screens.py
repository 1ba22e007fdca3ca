# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands that take the whole terminal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from opd import configure, repository
from opd.choose import Choice
from opd.form import Answers
from opd.phases import PRE_CONFIGURE, scripts
from opd.place import headnode
from opd.settings import Settings, pass_settings
from opd.stages import members
from opd.wizard import Step, facts_of, steps
from opd.working import working
from opkg.console import print_table, say
from opkg.errors import OpkgError
from opkg.run import attach
from opkg.target import known_targets


@click.command()
@click.option("-t", "--target", metavar="TARGET", help="For this target; otherwise the headnode's.")
@click.option(
    "-o", "--out", metavar="DIR", type=click.Path(path_type=Path), default=Path(),
    help="Downloads go into this folder; otherwise into the current one.",
)  # fmt: skip
@click.option(
    "--web", is_flag=True, help="As pages for a web browser, with the questions of OPKGs."
)
@click.option(
    "--listen", metavar="ADDRESS:PORT", default="127.0.0.1:8081", show_default=True,
    help="Where the pages are served.",
)  # fmt: skip
@pass_settings
def browse(settings: Settings, target: str | None, out: Path, *, web: bool, listen: str) -> None:
    """Look through all OPKGs on offer on a screen, and download some.

    With --web, look through them in a web browser, and answer the questions of those that are
    installed on the headnode. The screen needs Textual, the pages Flask: pip install
    'oscar-opkg[screens,web]'.
    """
    if web:
        _serve(settings, listen)
        return
    with _needed("screens", "opd list, opd search, opd info and opd download do the same"):
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
    with _needed("screens", "opd wizard --list prints the same"):
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


def _serve(settings: Settings, listen: str) -> None:
    """Serve the pages until somebody ends it."""
    with _needed("web", "opd list, opd info and opd configure do the same"):
        from opd.web import Site, serve
    state, own = settings.open(), headnode(settings.headnode_root)
    known = [repository.load(state, row) for row in state.oda.repositories()]
    if choices := [c for c in members(known, own) if scripts(own, PRE_CONFIGURE, c.name)]:
        with working(settings, state, known) as work:
            configure.prepare(work, own, choices)

    def store(choice: Choice, given: Answers) -> None:
        with working(settings, state, known) as work:
            configure.store(work, own, [choice], {choice.name: given})

    site = Site(state=state, headnode=own, installed=lambda: members(known, own), store=store)
    host, port = _address(listen)
    try:
        server, address = serve(site, host, port)
    except OSError as error:
        raise OpkgError(
            f"cannot listen at {listen}: {error.strerror}", hint="choose another with --listen"
        ) from error
    say(f"open {address}\nwho has this address may change the headnode; Ctrl-C ends it")
    with suppress(KeyboardInterrupt):
        server.serve_forever()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"“{text}” is not ADDRESS:PORT", param_hint="--listen")
    return host.strip("[]"), int(port)


@contextmanager
def _needed(extra: str, otherwise: str) -> Iterator[None]:
    """Say what is missing where a library cannot be imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise OpkgError(
            f"this needs {error.name}, which is not here",
            hint=f"pip install 'oscar-opkg[{extra}]'; {otherwise} without it",
        ) from error


COMMANDS = (browse, wizard)
