# SPDX-License-Identifier: GPL-2.0-or-later
"""What a change of the cluster would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from opd import phases
from opd.choose import Choice
from opd.image import trying
from opd.install import check_removal, image_phases, is_due, parts_in, wanted_packages
from opd.phases import Phase
from opd.place import Place
from opd.repository import Known
from opd.state import State
from opd.work import Cluster, Say, Work
from opkg.native.installer import Step


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script that would run: of which OPKG, in the headnode or in the image."""

    opkg: str
    script: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would change in a place, and then run about it."""

    place: str
    packages: Sequence[Step]
    scripts: Sequence[Script]


@contextmanager
def planning(state: State, known: Sequence[Known], say: Say) -> Iterator[Work]:
    """Work that is not recorded, while nobody changes the cluster."""
    with state.changing(say):
        yield Work(state=state, known=known, transaction=0, say=say, log=lambda _line: None)


def steps_and_scripts(work: Work, cluster: Cluster, choices: Sequence[Choice]) -> list[Plan]:
    """What installing these OPKGs would do in each place of a cluster. Raises CommandError where
    the package manager could not do it."""
    plans = []
    own = cluster.headnode
    if own and cluster.on_headnode:
        run_here = [(phases.SETUP, own), (phases.POST_SERVER_INSTALL, own)]
        scripts = _scripts(work, cluster, choices, own, run_here)
        plans.append(Plan(place=own.name, packages=_steps(work, choices, own), scripts=scripts))
    for place, root in cluster.images:
        with trying(root, work.say):
            steps = _steps(work, choices, replace(place, root=root.live))
        scripts = _scripts(work, cluster, choices, place, image_phases(place, own))
        plans.append(Plan(place=place.name, packages=steps, scripts=scripts))
    return plans


def removals(work: Work, names: Sequence[str], cluster: Cluster) -> list[Plan]:
    """What removing OPKGs would do. Raises CommandError where something else needs one."""
    roots = {place.name: root for place, root in cluster.images}
    plans = []
    for place in cluster.places:
        parts = parts_in(place, names)
        steps: list[Step] = []
        check_removal(work, place, parts)
        if parts and place.name in roots:
            root = roots[place.name]
            with trying(root, work.say):
                steps = work.installer(replace(place, root=root.live)).plan_removal(parts)
        elif parts:
            steps = work.installer(place).plan_removal(parts)
        plans.append(Plan(place=place.name, packages=steps, scripts=()))
    return plans


def _steps(work: Work, choices: Sequence[Choice], place: Place) -> list[Step]:
    packages = wanted_packages(choices, place)
    if not packages:
        return []
    installer = work.installer(place)
    installer.refresh()
    return installer.plan(packages)


def _scripts(
    work: Work,
    cluster: Cluster,
    choices: Sequence[Choice],
    about: Place,
    run: Sequence[tuple[Phase, Place]],
) -> list[Script]:
    """The scripts that would run about a place: those that are there and due, and those that
    come."""
    found = []
    for phase, where in run:
        comes = where in cluster.places
        for choice in choices:
            has = {PurePosixPath(path).name for path in phases.scripts(where, phase, choice.name)}
            due = has if is_due(work, phase, choice, about.name, where) else set()
            if comes and where.target.name in choice.offers:
                due |= set(choice.offers[where.target.name].opkg.scripts) - has
            found += [
                Script(opkg=choice.name, script=script, where=where.name)
                for script in phase.scripts
                if script in due
            ]
    return found
