# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing and removing OPKGs: native packages, then the scripts of their phases, in the
headnode and in images, and a record of it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from opd import phases
from opd.choose import Choice
from opd.image import Root
from opd.keep import keep_fetched, keep_installed
from opd.oda import PhaseKey, ScriptRun
from opd.phases import Phase, Runner
from opd.place import Place
from opd.work import Cluster, Work, changing_image, noting
from opkg.errors import CommandError, OpkgError
from opkg.native import guest
from opkg.native.choose import packages
from opkg.native.installer import Installed, Wanted
from opkg.spec import Part


def install(work: Work, choices: Sequence[Choice], cluster: Cluster) -> None:
    """Install OPKGs, in the order given, into the places of a cluster: first the headnode, then
    each image. Raises OpkgError at the first place that fails: an image is then as it was, and
    what was finished before stays."""
    headnode = cluster.headnode
    with guest.opened(headnode.root) if headnode else nullcontext():
        if headnode and cluster.on_headnode:
            _install_headnode(work, choices, headnode)
        for place, root in cluster.images:
            _install_image(work, choices, place, root, headnode)


def remove(work: Work, names: Sequence[str], cluster: Cluster) -> None:
    """Remove OPKGs from the places of a cluster: from the images first, the headnode last. Raises
    OpkgError where something else needs one; then nothing happened."""
    present = {place.name: parts_in(place, names) for place in cluster.places}
    for name in names:
        parts = {part.package(name) for part in Part}
        if not any(parts & set(there) for there in present.values()):
            work.say(f"{name}: is not installed in {', '.join(present)}")
    for place in cluster.places:
        check_removal(work, place, present[place.name])
    for place, root in cluster.images:
        if present[place.name]:
            with changing_image(work, root, place) as opened:
                _remove(work, opened, present[place.name], keep=not root.generation)
            work.state.oda.forget_runs(place.name, names)
    headnode = cluster.headnode
    if headnode and present.get(headnode.name):
        with guest.opened(headnode.root), noting(work, headnode, work.record):
            _remove(work, headnode, present[headnode.name], keep=True)
        work.state.oda.forget_runs(headnode.name, names)


def _install_headnode(work: Work, choices: Sequence[Choice], place: Place) -> None:
    with noting(work, place, work.record):
        fresh = _install_packages(work, choices, place, keep=True)
    runner = runner_of(work, place, lambda run: work.record([run]))
    for phase in (phases.SETUP, phases.POST_SERVER_INSTALL):
        for choice in choices:
            if choice.name in fresh or is_due(work, phase, choice, place.name, place):
                runner.run(phase, choice.name, str(choice.version))


def _install_image(
    work: Work, choices: Sequence[Choice], place: Place, root: Root, headnode: Place | None
) -> None:
    due = any(
        is_due(work, phase, choice, place.name, where)
        for phase, where in image_phases(place, headnode)
        for choice in choices
    )
    if not due and _has_all(packages(place), wanted_packages(choices, place)):
        work.say(f"{place.name}: has all of it already")
        return
    runs: list[ScriptRun] = []
    try:
        with changing_image(work, root, place) as opened:
            fresh = _install_packages(work, choices, opened, keep=not root.generation)
            for phase, where in image_phases(opened, headnode):
                runner = runner_of(work, where, runs.append)
                if where != opened:
                    runner = replace(runner, image=(place.name, opened.root))
                for choice in choices:
                    if choice.name in fresh or is_due(work, phase, choice, place.name, where):
                        runner.run(phase, choice.name, str(choice.version))
    except BaseException:
        # The scripts' effects went with the layer; that they ran stays on record.
        for run in runs:
            run.undone = True
        raise
    finally:
        work.record(runs)


def image_phases(place: Place, headnode: Place | None) -> list[tuple[Phase, Place]]:
    """The phases of an image's installation, and where each one's scripts run."""
    outside = [(phases.POST_RPM_NOCHROOT, headnode)] if headnode else []
    return [(phases.POST_RPM_INSTALL, place), *outside]


def runner_of(
    work: Work,
    place: Place,
    record: Callable[[ScriptRun], None],
    binds: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
) -> Runner:
    """What runs scripts of phases in a place; they see `binds` at their own paths, and `env`."""
    return Runner(
        transaction=work.transaction,
        place=place,
        say=work.say,
        log=work.log,
        record=record,
        binds=binds,
        env=env or {},
    )


def is_due(
    work: Work, phase: Phase, choice: Choice, about: str, place: Place, inputs: str = ""
) -> bool:
    """Whether a phase about a place is to run: the OPKG has a script for it in `place`, which has
    not yet run to a good end with these inputs."""
    key = PhaseKey(
        place=about,
        opkg=choice.name,
        version=str(choice.version),
        phase=phase.name,
        inputs=inputs,
    )
    there = {path.name for path in phases.scripts(place, phase, choice.name)}
    return bool(there) and not there <= work.state.oda.scripts_done(key)


def wanted_packages(choices: Sequence[Choice], place: Place) -> list[Wanted]:
    """The native packages of the place's parts."""
    found = [choice.native(place.target.name, part) for choice in choices for part in place.parts]
    return [Wanted(name=name, version=version) for name, version in filter(None, found)]


def _has_all(present: dict[str, Installed], wanted: Sequence[Wanted]) -> bool:
    return all(
        present.get(want.name) == Installed(version=want.version, state="installed")
        for want in wanted
    )


def _install_packages(
    work: Work, choices: Sequence[Choice], place: Place, *, keep: bool
) -> frozenset[str]:
    """Install the place's parts; with `keep`, what that replaces is kept, and what comes too.
    Returns the names of the OPKGs that were not there before in these versions."""
    wanted = wanted_packages(choices, place)
    before = packages(place)
    missing = [want for want in wanted if not _has_all(before, [want])]
    if missing:
        work.say(f"{place.name}: installing {', '.join(want.name for want in missing)}")
        installer = work.installer(place)
        installer.refresh()
        steps = installer.plan(wanted) if keep else []
        if keep:
            # An image that cannot be finished is as it was; what has no layer is looked at first.
            installer.check_space(steps)
            keep_installed(work.kept(place), installer, steps, work.say)
        installer.install(wanted)
        keep_fetched(work.kept(place), installer, [(each.name, each.after) for each in steps])
        after = packages(place)
        lacking = ", ".join(want.name for want in wanted if not _has_all(after, [want]))
        if lacking:
            raise OpkgError(
                f"the package manager reported success, but {lacking} is not installed whole",
                where=place.name,
            )
    fresh = [each.name for each in choices if not _has_all(before, wanted_packages([each], place))]
    return frozenset(fresh)


def parts_in(place: Place, names: Sequence[str]) -> list[str]:
    """The native packages of OPKGs' parts that are in a place."""
    present = packages(place)
    parts = [part.package(name) for name in names for part in place.parts]
    return [part for part in parts if part in present]


def check_removal(work: Work, place: Place, names: Sequence[str]) -> None:
    """Raise CommandError where something in a place needs packages that are to be removed."""
    try:
        if names:
            work.installer(place).check_removal(names)
    except CommandError as error:
        error.message = f"something in {place.name} needs what is to be removed"
        error.hint = "see above what it is; remove that too, or first"
        raise


def _remove(work: Work, place: Place, names: Sequence[str], *, keep: bool) -> None:
    work.say(f"{place.name}: removing {', '.join(names)}")
    installer = work.installer(place)
    if keep:
        keep_installed(work.kept(place), installer, installer.plan_removal(names), work.say)
    installer.remove(names)
