# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a phase of all OPKGs of the headnode: in dependency order, only what is due, and on past
what fails, but for what depends on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from opd.answers import values_of
from opd.choose import Choice, installed, required
from opd.image import Root
from opd.install import is_due, runner_of
from opd.nodes import COLUMNS, in_order
from opd.phases import POST_CLIENTS, POST_INSTALL, Phase
from opd.place import Place, opkgs_in
from opd.repository import Known
from opd.work import Work, changing_image
from opkg.errors import CommandError, OpkgError
from opkg.files import sha256_bytes, write_atomic
from opkg.native.choose import packages
from opkg.native.mounts import remove_tree
from opkg.native.system import within
from opkg.run import TAIL

# Where scripts find the nodes: their names, one a line, and all that is known of them as JSON.
_NAMES, _FACTS = "/var/lib/oscar/nodes", "/var/lib/oscar/nodes.json"
_NODES = {"OSCAR_NODES": _NAMES, "OSCAR_NODES_JSON": _FACTS}


@dataclass(frozen=True, kw_only=True)
class View:
    """What scripts see beside their root: folders of this machine at their own paths, and
    variables."""

    binds: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


NOTHING = View()


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


def run_phase(
    work: Work,
    headnode: Place,
    phase: Phase,
    choices: Sequence[Choice],
    inputs: Callable[[str], str],
    view: View = NOTHING,
) -> int:
    """Run a phase of OPKGs, given in their order, where it is due; `inputs` tells the digest of
    what an OPKG's scripts read, `view` what they see. The number of those that ran.

    Raises OpkgError at the end where scripts failed. The next call goes on with those, and with
    what waited for them.
    """
    why: dict[str, str] = {}
    stopped: set[str] = set()
    ran = 0
    for choice in choices:
        broken = sorted(stopped.intersection(required(choice, choices)))
        read = inputs(choice.name)
        due = is_due(work, phase, choice, headnode.name, headnode, read)
        if broken:
            stopped.add(choice.name)
            if due:
                why[choice.name] = f"waits for {', '.join(broken)}"
            continue
        runner = replace(
            runner_of(work, headnode, lambda run: work.record([run]), view.binds, view.env),
            inputs=read,
        )
        try:
            if due:
                runner.run(phase, choice.name, str(choice.version))
                ran += 1
        except CommandError as error:
            stopped.add(choice.name)
            why[choice.name] = "failed"
            lines = error.output.splitlines()[-TAIL:]
            work.say("\n".join([error.message, *(f"  | {line}" for line in lines)]))
    if why:
        raise _unfinished(work, phase, why)
    return ran


def run_for_nodes(
    work: Work,
    headnode: Place,
    phase: Phase,
    choices: Sequence[Choice],
    images: Sequence[tuple[Place, Root]],
) -> int:
    """Run a phase that is about the nodes, where the list of nodes, an OPKG's answers or the
    images are others than when it ran last. The scripts may change the images, each of which
    becomes a new generation then. The number of OPKGs whose scripts ran.

    Raises OpkgError as `run_phase` does; what other scripts did to images stays.
    """
    inputs = _about_nodes(work, headnode, [place.name for place, _ in images])
    if not any(
        is_due(work, phase, each, headnode.name, headnode, inputs(each.name)) for each in choices
    ):
        return 0
    listed = "".join(f"{node.name}\n" for node in in_order(work.state.oda.nodes()))
    write_atomic(within(headnode.root, _NAMES), listed)
    write_atomic(within(headnode.root, _FACTS), json.dumps(_facts(work)))
    trouble: OpkgError | None = None
    ran = 0
    with ExitStack() as stack:
        opened = [stack.enter_context(changing_image(work, r, place)) for place, r in images]
        view = _view(work, {place.name: place.root for place in opened if "/" not in place.name})
        try:
            ran = run_phase(work, headnode, phase, choices, inputs, view)
        except OpkgError as error:
            trouble = error
    if trouble:
        raise trouble
    return ran


def due_for_nodes(work: Work, headnode: Place, choices: Sequence[Choice]) -> list[str]:
    """Those of the OPKGs whose scripts about the nodes are due. None where there are no nodes."""
    if not work.state.oda.nodes():
        return []
    images = [row.name for row in work.state.oda.images()]
    phases = {
        POST_CLIENTS: _about_nodes(work, headnode, images),
        POST_INSTALL: _about_nodes(work, headnode, ()),
    }
    return [
        choice.name
        for choice in choices
        if any(
            is_due(work, phase, choice, headnode.name, headnode, inputs(choice.name))
            for phase, inputs in phases.items()
        )
    ]


def _facts(work: Work) -> list[dict[str, str]]:
    """All that is known of the nodes."""
    return [
        {column: getattr(node, column) for column in COLUMNS} for node in work.state.oda.nodes()
    ]


def _about_nodes(work: Work, headnode: Place, images: Iterable[str]) -> Callable[[str], str]:
    """What tells the digest of all that an OPKG's scripts about the nodes read."""
    known = (_facts(work), sorted(images))
    return lambda opkg: digest(*known, values_of(headnode, opkg))


def _view(work: Work, roots: Mapping[str, Path]) -> View:
    """What scripts see of images: a folder with each by its name, as systemimager had it."""
    folder = work.state.sessions / "images"
    remove_tree(folder)
    folder.mkdir(parents=True)
    for name, root in roots.items():
        (folder / name).symlink_to(root)
    return View(binds=(folder, *roots.values()), env={"OSCAR_IMAGES": str(folder), **_NODES})


def _unfinished(work: Work, phase: Phase, why: Mapping[str, str]) -> OpkgError:
    what = "; ".join(f"{name} {reason}" for name, reason in why.items())
    return OpkgError(
        f"the phase {phase.name} is not done: {what}",
        hint=f"opd history {work.transaction} shows what the scripts said; mend the cause, then "
        "give the same command again: it goes on with what is left",
    )
