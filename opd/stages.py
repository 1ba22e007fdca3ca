# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a phase of all OPKGs of the headnode: in dependency order, only what is due, and on past
what fails, but for what depends on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from opd.choose import Choice, installed, required
from opd.install import is_due, runner_of
from opd.nodes import COLUMNS
from opd.oda import Node
from opd.phases import Phase
from opd.place import Place, opkgs_in
from opd.repository import Known
from opd.work import Work
from opkg.errors import CommandError, OpkgError
from opkg.files import sha256_bytes
from opkg.native.choose import packages


def members(known: Sequence[Known], headnode: Place, names: Sequence[str] = ()) -> list[Choice]:
    """The OPKGs that are installed in the headnode, or those of these names, what is required
    first. Raises OpkgError for a name that is not."""
    there = installed(known, headnode, opkgs_in(headnode, packages(headnode)))
    lacking = sorted(set(names) - {choice.name for choice in there})
    if lacking:
        raise OpkgError(
            f"not installed in the headnode: {', '.join(lacking)}",
            hint=f"opd install {' '.join(lacking)} does that",
        )
    return [choice for choice in there if not names or choice.name in names]


def digest(*inputs: object) -> str:
    """One digest of what scripts read."""
    return sha256_bytes(json.dumps(inputs, sort_keys=True).encode())


def node_facts(nodes: Iterable[Node]) -> list[list[str]]:
    """What the scripts of phases may read of nodes."""
    return [[getattr(node, column) for column in COLUMNS] for node in nodes]


def run_phase(
    work: Work,
    headnode: Place,
    phase: Phase,
    choices: Sequence[Choice],
    inputs: Callable[[str], str],
) -> int:
    """Run a phase of OPKGs, given in their order, where it is due; `inputs` tells the digest of
    what an OPKG's scripts read. The number of those that ran.

    Raises OpkgError at the end where scripts failed. The next call goes on with those, and with
    what waited for them.
    """
    why: dict[str, str] = {}
    stopped: set[str] = set()
    ran = 0
    for choice in choices:
        broken = sorted(stopped.intersection(required(choice, choices)))
        due = is_due(work, phase, choice, headnode.name, headnode, inputs(choice.name))
        if broken:
            stopped.add(choice.name)
            if due:
                why[choice.name] = f"waits for {', '.join(broken)}"
            continue
        runner = replace(
            runner_of(work, headnode, lambda run: work.record([run])), inputs=inputs(choice.name)
        )
        try:
            if due:
                runner.run(phase, choice.name, str(choice.version))
                ran += 1
        except CommandError as error:
            stopped.add(choice.name)
            why[choice.name] = "failed"
            work.say("\n".join([str(error), *(f"  | {line}" for line in error.output.split("\n"))]))
    if why:
        raise _unfinished(work, phase, why)
    return ran


def _unfinished(work: Work, phase: Phase, why: Mapping[str, str]) -> OpkgError:
    what = "; ".join(f"{name} {reason}" for name, reason in why.items())
    return OpkgError(
        f"the phase {phase.name} is not done: {what}",
        hint=f"opd history {work.transaction} shows what the scripts said; mend the cause, then "
        "give the same command again: it goes on with what is left",
    )
