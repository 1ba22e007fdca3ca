# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands for what OPKGs do beside being installed: their questions, their scripts when
nodes are defined and run, and their tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from opd import checks, configure, repository
from opd.answers import Questions, questions, read_answers
from opd.choose import Choice
from opd.form import Field
from opd.image import find
from opd.phases import POST_CLIENTS, POST_INSTALL, PRE_CONFIGURE, scripts
from opd.place import Place, headnode
from opd.settings import JSON, Settings, pass_settings
from opd.stages import members, run_for_nodes
from opd.state import State
from opd.working import working
from opkg.console import print_json, print_table, say
from opkg.errors import OpkgError
from opkg.files import write_atomic

_SOME = click.argument("names", metavar="[NAME]…", nargs=-1)


@click.command("configure")
@_SOME
@click.option(
    "--set", "values", metavar="NAME=VALUE", multiple=True,
    help="Give this answer, of one OPKG; may be given again, also for one more value of a name.",
)  # fmt: skip
@click.option(
    "--from", "file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Take answers from a TOML file, with a table for each OPKG.",
)  # fmt: skip
@click.option("--defaults", is_flag=True, help="Ask nothing: what was answered before stays.")
@JSON
@pass_settings
def configure_(
    settings: Settings,
    names: Sequence[str],
    values: Sequence[str],
    file: Path | None,
    *,
    defaults: bool,
    as_json: bool,
) -> None:
    """Answer the questions of OPKGs, and run their scripts around that.

    Without --set, --from and --defaults, on a terminal, each question is asked. What nobody
    answers stays as it was answered before, or is what the form proposes.
    """
    if values and len(names) != 1:
        raise click.UsageError("--set is about one OPKG: name it")
    state, own, choices = _installed(settings, names)
    if any(scripts(own, PRE_CONFIGURE, choice.name) for choice in choices):
        with working(settings, state, _known(state)) as work:
            configure.prepare(work, own, choices)
    given = read_answers(file) if file else {}
    _check_named(given, choices)
    if values:
        given.setdefault(names[0], {}).update(_set(values))
    if not (values or file or defaults) and sys.stdin.isatty():
        given = {choice.name: _ask(questions(own, choice.name)) for choice in choices}
    with working(settings, state, _known(state)) as work:
        answers = configure.store(work, own, choices, given)
    if as_json:
        print_json(answers)
    elif answers:
        say(f"configured: {', '.join(answers)}")
    else:
        say("no OPKG asks anything")


def _set(values: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"“{text}” is not NAME=VALUE", param_hint="--set")
        found.setdefault(name, []).append(value)
    return found


def _check_named(given: dict[str, dict[str, list[str]]], choices: Sequence[Choice]) -> None:
    strange = sorted(set(given) - {choice.name for choice in choices})
    if strange:
        raise OpkgError(
            f"there are answers for {', '.join(strange)}, which are not among what is configured",
            hint="leave them out, or install these OPKGs in the headnode first",
        )


def _ask(asked: Questions) -> dict[str, list[str]]:
    """Ask a person; an empty answer keeps what is proposed."""
    visible = [field for field in asked.fields if not field.hidden]
    if visible:
        click.secho(asked.opkg, bold=True, err=True)
    return {
        field.name: _ask_one(field, asked.old.get(field.name, field.default)) for field in visible
    }


def _ask_one(field: Field, proposed: Sequence[str]) -> list[str]:
    if field.intro:
        click.echo(f"\n{field.intro}", err=True)
    for option in field.options:
        click.echo(f"  {option.value:<12} {option.label}", err=True)
    label = field.label or field.name
    if field.many:
        label += " (any of these, with blanks between)"
    while True:
        text = click.prompt(
            label, default=" ".join(proposed), show_default=bool(proposed), err=True, type=str
        )
        values = text.split() if field.many else [text]
        if not (fault := field.fault(values)):
            return values
        click.echo(fault, err=True)


@click.command()
@pass_settings
def deploy(settings: Settings) -> None:
    """Finish the cluster when its nodes run.

    Scripts of OPKGs that are about the nodes run in the headnode: those that are due since the
    nodes were defined, and those that may reach the nodes.
    """
    state, own, choices = _installed(settings, ())
    if not state.oda.nodes():
        raise OpkgError("no node is defined yet", hint="opd node add node[01-16] --image NAME")
    with working(settings, state, _known(state)) as work:
        images = [find(state, row.name) for row in state.oda.images()]
        ran = run_for_nodes(work, own, POST_CLIENTS, choices, images)
        ran += run_for_nodes(work, own, POST_INSTALL, choices, [])
    opkgs = f"{ran} OPKG{'' if ran == 1 else 's'}"
    say(f"scripts of {opkgs} ran" if ran else "nothing is due: all scripts have run")


def tell_opkgs_of_nodes(settings: Settings, state: State) -> None:
    """Run what OPKGs of the headnode do when nodes were defined. Where there is no headnode,
    nothing."""
    try:
        own = headnode(settings.headnode_root)
    except OpkgError:
        return
    known = _known(state)
    choices = members(known, own)
    if any(scripts(own, POST_CLIENTS, choice.name) for choice in choices):
        with working(settings, state, known) as work:
            images = [find(state, row.name) for row in state.oda.images()]
            run_for_nodes(work, own, POST_CLIENTS, choices, images)


@click.command("test")
@_SOME
@click.option(
    "--junit", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Write the results for programs that read those of JUnit.",
)  # fmt: skip
@JSON
@pass_settings
def test_(settings: Settings, names: Sequence[str], junit: Path | None, *, as_json: bool) -> None:
    """Run the tests that OPKGs bring, on the headnode.

    All that are installed there, or those that are named. The exit status is 1 where one failed.
    """
    state, own, choices = _installed(settings, names)
    nodes = [node.name for node in state.oda.nodes()]
    with working(settings, state, _known(state)) as work:
        verdicts = list(checks.run_tests(work, own, choices, nodes))
    if junit:
        write_atomic(junit, checks.junit(verdicts))
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    elif verdicts:
        print_table(
            ["OPKG", "TEST", "RESULT", "SECONDS"],
            [[each.opkg, each.test, each.result, f"{each.seconds:.1f}"] for each in verdicts],
        )
    else:
        say("no OPKG here brings tests")
    failed = [verdict for verdict in verdicts if verdict.result == "failed"]
    for verdict in failed:
        say(f"{verdict.opkg}: {verdict.test} failed:")
        for line in verdict.output.splitlines()[-10:]:
            say(f"  | {line}")
    if failed:
        raise click.exceptions.Exit(1)


def _known(state: State) -> list[repository.Known]:
    return [repository.load(state, row) for row in state.oda.repositories()]


def _installed(settings: Settings, names: Sequence[str]) -> tuple[State, Place, list[Choice]]:
    state = settings.open()
    own = headnode(settings.headnode_root)
    return state, own, members(_known(state), own, names)


COMMANDS = (configure_, deploy, test_)
