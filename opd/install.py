# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing and removing OPKGs: native packages, then the scripts of their phases, in the
headnode and in images, and a record of it all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256

from opd import phases
from opd.choose import Choice
from opd.image import Root, changing
from opd.native import Installer, installer
from opd.oda import Change, PhaseKey, ScriptRun
from opd.phases import Phase, Runner
from opd.place import Installed, Place, Wanted
from opd.repository import Known
from opd.state import State
from opkg.errors import OpkgError

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The places that a command is about; with each image, what changes it as a whole."""

    headnode: Place | None
    images: tuple[tuple[Place, Root], ...]

    @property
    def places(self) -> list[Place]:
        return [*([self.headnode] if self.headnode else []), *(place for place, _ in self.images)]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One transaction: what it may use, and where it is recorded. `say` gets a line for each
    thing done, `log` all that the tools print."""

    state: State
    known: Sequence[Known]
    transaction: int
    say: Say
    log: Say

    def installer(self, place: Place) -> Installer:
        """The package manager of a place."""
        session = self.state.sessions / _folder_name(place)
        session.mkdir(parents=True, exist_ok=True)
        return installer(place, self.known, session, self.log)


def _folder_name(place: Place) -> str:
    """A folder's name for a place whose own name may be a path."""
    return place.name if "/" not in place.name else sha256(place.name.encode()).hexdigest()[:16]


@contextmanager
def transaction(
    state: State, known: Sequence[Known], command: str, *, say: Say, echo: Say
) -> Iterator[Work]:
    """A change of the cluster: one at a time, recorded with how it ended. What the tools print
    goes to a log file in the state folder, and to `echo`."""
    with state.changing(say):
        number = state.oda.begin(command)
        state.logs.mkdir(exist_ok=True)
        path = state.logs / f"{number}.log"
        with path.open("w", buffering=1) as stream:

            def log(line: str) -> None:
                stream.write(line + "\n")
                echo(line)

            try:
                yield Work(state=state, known=known, transaction=number, say=say, log=log)
            except KeyboardInterrupt:
                state.oda.end(number, outcome="interrupted")
                raise
            except BaseException as error:
                state.oda.end(number, outcome="failed", message=str(error))
                say(f"everything the tools said: {path}")
                raise
        state.oda.end(number, outcome="done")


def install(work: Work, choices: Sequence[Choice], cluster: Cluster) -> None:
    """Install OPKGs, in the order given, into the places of a cluster: first the headnode, then
    each image. Raises OpkgError at the first place that fails: an image is then as it was, and
    what was finished before stays."""
    if cluster.headnode:
        _install_headnode(work, choices, cluster.headnode)
    for place, root in cluster.images:
        _install_image(work, choices, place, root, cluster.headnode)


def remove(work: Work, names: Sequence[str], cluster: Cluster) -> None:
    """Remove OPKGs from the places of a cluster: from the images first, the headnode last."""
    for place, root in cluster.images:
        if _present(work, place, names):
            with changing(root, work.say):
                _remove(work, replace(place, root=root.live), names)
    if cluster.headnode and _present(work, cluster.headnode, names):
        _remove(work, cluster.headnode, names)


def _install_headnode(work: Work, choices: Sequence[Choice], place: Place) -> None:
    fresh = _install_packages(work, choices, place)

    runner = Runner(
        transaction=work.transaction,
        place=place,
        say=work.say,
        log=work.log,
        record=work.state.oda.add,
    )
    for phase in (phases.SETUP, phases.POST_SERVER_INSTALL):
        for choice in choices:
            if _is_due(work, phase, choice, place, fresh):
                runner.run(phase, choice.name, str(choice.version))


def _install_image(
    work: Work, choices: Sequence[Choice], place: Place, root: Root, headnode: Place | None
) -> None:
    wanted = _wanted(choices, place)
    present = work.installer(place).packages()
    due = [choice for choice in choices if _is_due(work, phases.POST_RPM_INSTALL, choice, place)]
    if _has_all(present, wanted) and not due:
        work.say(f"{place.name}: has all of it already")
        return
    runs: list[ScriptRun] = []
    try:
        with changing(root, work.say):
            # The tree's own path, with the writable layer over it.
            opened = replace(place, root=root.live)
            fresh = _install_packages(work, choices, opened)
            _run_image_phases(work, choices, opened, headnode, fresh, runs.append)
    except BaseException:
        # The scripts' effects went with the layer; that they ran stays on record.
        for run in runs:
            run.undone = True
        raise
    finally:
        work.state.oda.add(*runs)


def _run_image_phases(
    work: Work,
    choices: Sequence[Choice],
    place: Place,
    headnode: Place | None,
    fresh: frozenset[str],
    record: Callable[[ScriptRun], None],
) -> None:
    inside = Runner(
        transaction=work.transaction, place=place, say=work.say, log=work.log, record=record
    )
    for choice in choices:
        if _is_due(work, phases.POST_RPM_INSTALL, choice, place, fresh):
            inside.run(phases.POST_RPM_INSTALL, choice.name, str(choice.version))
    if headnode is None:
        return
    outside = replace(inside, place=headnode, subject=place.name)
    for choice in choices:
        if _is_due(work, phases.POST_RPM_NOCHROOT, choice, place, fresh):
            outside.run(
                phases.POST_RPM_NOCHROOT,
                choice.name,
                str(choice.version),
                arguments=[place.root],
            )


def _is_due(
    work: Work, phase: Phase, choice: Choice, place: Place, fresh: frozenset[str] = frozenset()
) -> bool:
    """Whether a phase is to run: the OPKG has a script for it, and is new in the place, or the
    script has not yet run well."""
    scripts = choice.offers[place.target.name].opkg.scripts
    if not set(scripts) & set(phase.scripts):
        return False
    key = PhaseKey(
        place=place.name, opkg=choice.name, version=str(choice.version), phase=phase.name
    )
    return choice.name in fresh or not work.state.oda.phase_done(key)


def _wanted(choices: Sequence[Choice], place: Place) -> list[Wanted]:
    """The native packages of the place's parts."""
    found = [choice.native(place.target.name, part) for choice in choices for part in place.parts]
    return [Wanted(name=name, version=version) for name, version in filter(None, found)]


def _has_all(present: dict[str, Installed], wanted: Sequence[Wanted]) -> bool:
    return all(
        present.get(want.name) == Installed(version=want.version, state="installed")
        for want in wanted
    )


def _install_packages(work: Work, choices: Sequence[Choice], place: Place) -> frozenset[str]:
    """Install the place's parts. Returns the names of the OPKGs that were not there before in
    these versions."""
    tool = work.installer(place)
    wanted = _wanted(choices, place)
    before = tool.packages()
    if not _has_all(before, wanted):
        work.say(f"{place.name}: reading package lists")
        tool.refresh()
        work.say(f"{place.name}: installing {', '.join(w.name for w in wanted)}")
        tool.install(wanted)
    after = tool.packages()
    _record(work, place, before, after)
    if not _has_all(after, wanted):
        missing = ", ".join(w.name for w in wanted if not _has_all(after, [w]))
        raise OpkgError(
            f"the package manager reported success, but {missing} is not installed whole",
            where=place.name,
        )
    return frozenset(
        choice.name for choice in choices if not _has_all(before, _wanted([choice], place))
    )


def _present(work: Work, place: Place, names: Sequence[str]) -> list[str]:
    """The native packages of OPKGs' parts that are in a place."""
    packages = work.installer(place).packages()
    parts = [part.package(name) for name in names for part in place.parts]
    return [part for part in parts if part in packages]


def _remove(work: Work, place: Place, names: Sequence[str]) -> None:
    tool = work.installer(place)
    before = tool.packages()
    present = _present(work, place, names)
    work.say(f"{place.name}: removing {', '.join(present)}")
    tool.remove(present)
    _record(work, place, before, tool.packages())


def _record(
    work: Work, place: Place, before: dict[str, Installed], after: dict[str, Installed]
) -> None:
    def version(packages: dict[str, Installed], name: str) -> str:
        return packages[name].version if name in packages else ""

    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    work.state.oda.add(
        *(
            Change(
                transaction_id=work.transaction,
                place=place.name,
                package=name,
                before=version(before, name),
                after=version(after, name),
            )
            for name in changed
        )
    )
