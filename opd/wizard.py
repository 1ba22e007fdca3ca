# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps from nothing to a cluster, as the wizard of OSCAR numbered them: what each is, and
whether it is done, as the cluster is now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select

from opd.answers import questions
from opd.checks import TEST
from opd.oda import ScriptRun
from opd.phases import POST_CLIENTS, POST_INSTALL, scripts
from opd.place import Place, opkgs_in
from opd.state import State
from opkg.native.choose import packages


class Progress(StrEnum):
    """How far a step is."""

    DONE = "done"
    NEXT = "next"
    FAILED = "failed"
    LATER = "later"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the steps depend on. `unanswered` are OPKGs of the headnode whose questions nobody has
    answered; `nodes` the number of nodes, of which so many run an image and have a MAC address;
    `images` whether there is one. Of the scripts about nodes some `wait`, or have `failed`, by
    OPKG; `tested` are the results of the last tests, and how many of them failed."""

    repositories: int = 0
    installed: frozenset[str] = frozenset()
    unanswered: frozenset[str] = frozenset()
    images: int = 0
    nodes: int = 0
    nodes_with_image: int = 0
    nodes_with_mac: int = 0
    waiting: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    tested: int = 0
    tests_failed: int = 0


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step: its number, its name, what is to be done and the commands that do it. `told` is how
    things stand; one that can be run as it is has no word in capitals in its first command."""

    number: int
    name: str
    about: str
    commands: tuple[str, ...]
    progress: Progress
    told: str


def steps(facts: Facts) -> list[Step]:
    """The steps, as these facts have them: what is not done and has failed, what comes first of
    the rest, and what comes later."""
    found: list[Step] = []
    pending = False
    for number, (name, about, commands, done, failed, told) in enumerate(_table(facts)):
        progress = Progress.DONE if done else Progress.LATER
        if failed:
            progress = Progress.FAILED
        elif not done and not pending:
            progress = Progress.NEXT
        pending = pending or not done
        found.append(
            Step(
                number=number, name=name, about=about, commands=commands, progress=progress,
                told=told,
            )
        )  # fmt: skip
    return found


# Name, what it is, commands, whether it is done, whether it failed, how things stand.
_Row = tuple[str, str, tuple[str, ...], bool, bool, str]


def _table(facts: Facts) -> list[_Row]:
    there = len(facts.installed)
    return [
        ("Trust repositories",
         "Pin the key of each repository that OPKGs are to come from.",
         ("opd repo add URL --root-key FINGERPRINT",),
         facts.repositories > 0, False, f"{_count(facts.repositories, 'repository')} trusted"),
        ("Select OPKGs",
         "Look at what is on offer, and decide what the cluster is to have.",
         ("opd browse", "opd search WORD", "opd info NAME"),
         there > 0, False, f"{_count(there, 'OPKG')} selected"),
        ("Install the headnode",
         "Install the selected OPKGs into the headnode; their scripts run.",
         ("opd install NAME --headnode",),
         there > 0, False, _named(facts.installed) or "none is installed"),
        ("Configure OPKGs",
         "Answer the questions of OPKGs; what they propose is taken where nobody answers.",
         ("opd configure",),
         there > 0 and not facts.unanswered, False,
         f"not answered: {_named(facts.unanswered)}" if facts.unanswered else "nothing is open"),
        ("Build images",
         "Make an image for the nodes, and install the OPKGs into it.",
         ("opd image create NAME -t TARGET", "opd install NAME --image IMAGE"),
         facts.images > 0, False, f"{_count(facts.images, 'image')} made"),
        ("Define nodes",
         "Say which nodes there are, and which image each runs.",
         ("opd node add NODES --image NAME --ip ADDRESS", "opd node import FILE"),
         facts.nodes > 0 and facts.nodes_with_image == facts.nodes, False,
         f"{_count(facts.nodes, 'node')}, {facts.nodes_with_image} with an image"),
        ("Set up networking",
         "Enter the MAC addresses of the nodes, and let them boot their image.",
         ("opd node import FILE", "opd image kernel IMAGE --default --netboot"),
         facts.nodes > 0 and facts.nodes_with_mac == facts.nodes, False,
         f"{facts.nodes_with_mac} of {_count(facts.nodes, 'MAC address')} known"),
        ("Complete the cluster",
         "When the nodes run: scripts of OPKGs that are about nodes, or reach them.",
         ("opd deploy",),
         facts.nodes > 0 and not facts.waiting, bool(facts.failed),
         f"failed: {_named(facts.failed)}" if facts.failed
         else f"to be run: {_named(facts.waiting)}" if facts.waiting else "nothing is left"),
        ("Test the cluster",
         "Run the tests that OPKGs bring.",
         ("opd test",),
         facts.tested > 0 and not facts.tests_failed, facts.tests_failed > 0,
         f"{facts.tests_failed} of {_count(facts.tested, 'test')} failed"),
    ]  # fmt: skip


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def facts_of(state: State, headnode: Place) -> Facts:
    """The facts, as they are now."""
    installed = opkgs_in(headnode, packages(headnode))
    nodes = state.oda.nodes()
    last = _last_runs(state, headnode)
    tests = [status for (_, phase, _), status in last.items() if phase == TEST]
    due = {
        (name, phase.name, script.name)
        for name in installed
        for phase in (POST_CLIENTS, POST_INSTALL)
        for script in scripts(headnode, phase, name)
    }
    asked = {name for name in installed if (q := questions(headnode, name)).fields and not q.old}
    return Facts(
        repositories=len(state.oda.repositories()),
        installed=frozenset(installed),
        unanswered=frozenset(asked),
        images=len(state.oda.images()),
        nodes=len(nodes),
        nodes_with_image=sum(bool(node.image) for node in nodes),
        nodes_with_mac=sum(bool(node.mac) for node in nodes),
        waiting=frozenset(key[0] for key in due if last.get(key) != 0),
        failed=frozenset(key[0] for key in due if last.get(key, 0) != 0),
        tested=len(tests),
        tests_failed=sum(status != 0 for status in tests),
    )


def _last_runs(state: State, place: Place) -> dict[tuple[str, str, str], int]:
    """How each script ended the last time, by OPKG, phase and script."""
    with state.oda.session() as session:
        rows = session.execute(
            select(ScriptRun.opkg, ScriptRun.phase, ScriptRun.script, ScriptRun.status)
            .where(ScriptRun.place == place.name, ScriptRun.undone.is_(False))
            .order_by(ScriptRun.id)
        )
        return {(opkg, phase, script): status for opkg, phase, script, status in rows}
