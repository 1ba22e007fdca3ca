# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing and removing OPKGs: native packages, then the scripts of their phases, in the
headnode and in images, and a record of it all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256

from opd import phases
from opd.choose import Choice
from opd.image import Root, changing
from opd.oda import Change, PhaseKey, ScriptRun
from opd.phases import Phase, Runner
from opd.place import Place
from opd.repository import Known
from opd.state import State
from opkg.errors import CommandError, OpkgError
from opkg.native import guest
from opkg.native.choose import installer_of, packages
from opkg.native.installer import Installed, Installer, Wanted
from opkg.spec import Part

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The places that a command is about: the headnode, if `on_headnode`, and images, each with
    what changes it as a whole. The headnode's scripts for images run in any case, if there is a
    headnode."""

    headnode: Place | None
    on_headnode: bool
    images: tuple[tuple[Place, Root], ...]

    @property
    def places(self) -> list[Place]:
        own = [self.headnode] if self.headnode and self.on_headnode else []
        return [*own, *(place for place, _ in self.images)]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One transaction: what it may use, and where it is recorded. `say` gets a line for each
    thing done, `log` all that the tools print."""

    state: State
    known: Sequence[Known]
    transaction: int
    say: Say
    log: Say

    def record(self, rows: Sequence[Change | ScriptRun]) -> None:
        """Enter rows into the cluster database."""
        self.state.oda.add(*rows)

    def installer(self, place: Place) -> Installer:
        """The package manager of a place."""
        session = self.state.sessions / _folder_name(place)
        session.mkdir(parents=True, exist_ok=True)
        sources = [entry.package_source(place.target.name) for entry in self.known]
        return installer_of(place)(
            system=place,
            session=session,
            say=self.log,
            sources=[source for source in sources if source],
            env={"OPD_RUNS_PHASES": "1"},
        )


def _folder_name(place: Place) -> str:
    """A folder's name for a place: the headnode's root, or an image's name, may be any path."""
    name = str(place.root) if place.is_headnode else place.name
    return name if "/" not in name else sha256(name.encode()).hexdigest()[:16]


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
    headnode = cluster.headnode
    with guest.opened(headnode.root) if headnode else nullcontext():
        if headnode and cluster.on_headnode:
            _install_headnode(work, choices, headnode)
        for place, root in cluster.images:
            _install_image(work, choices, place, root, headnode)


def remove(work: Work, names: Sequence[str], cluster: Cluster) -> None:
    """Remove OPKGs from the places of a cluster: from the images first, the headnode last. Raises
    OpkgError where something else needs one; then nothing happened."""
    present = {place.name: _parts(place, names) for place in cluster.places}
    for name in names:
        parts = {part.package(name) for part in Part}
        if not any(parts & set(there) for there in present.values()):
            work.say(f"{name}: is not installed in {', '.join(present)}")
    for place in cluster.places:
        _check_removal(work, place, present[place.name])
    for place, root in cluster.images:
        if present[place.name]:
            with changing(root, work.say):
                opened = replace(place, root=root.live)
                changes: list[Change] = []
                with guest.opened(opened.root), _noting(work, opened, changes.extend):
                    _remove(work, opened, present[place.name])
            work.record(changes)
    headnode = cluster.headnode
    if headnode and present.get(headnode.name):
        with guest.opened(headnode.root), _noting(work, headnode, work.record):
            _remove(work, headnode, present[headnode.name])


def _install_headnode(work: Work, choices: Sequence[Choice], place: Place) -> None:
    with _noting(work, place, work.record):
        fresh = _install_packages(work, choices, place)
    runner = _runner(work, place, lambda run: work.record([run]))
    for phase in (phases.SETUP, phases.POST_SERVER_INSTALL):
        for choice in choices:
            if choice.name in fresh or _is_due(work, phase, choice, place.name, place):
                runner.run(phase, choice.name, str(choice.version))


def _install_image(
    work: Work, choices: Sequence[Choice], place: Place, root: Root, headnode: Place | None
) -> None:
    due = any(
        _is_due(work, phase, choice, place.name, where)
        for phase, where in _image_phases(place, headnode)
        for choice in choices
    )
    if not due and _has_all(packages(place), _wanted(choices, place)):
        work.say(f"{place.name}: has all of it already")
        return
    runs: list[ScriptRun] = []
    changes: list[Change] = []
    try:
        with changing(root, work.say):
            # The tree's own path, with the writable layer over it.
            opened = replace(place, root=root.live)
            with guest.opened(opened.root):
                with _noting(work, opened, changes.extend):
                    fresh = _install_packages(work, choices, opened)
                for phase, where in _image_phases(opened, headnode):
                    runner = _runner(work, where, runs.append)
                    if where != opened:
                        runner = replace(runner, image=(place.name, opened.root))
                    for choice in choices:
                        if choice.name in fresh or _is_due(work, phase, choice, place.name, where):
                            runner.run(phase, choice.name, str(choice.version))
        work.record(changes)
    except BaseException:
        # The scripts' effects went with the layer; that they ran stays on record.
        for run in runs:
            run.undone = True
        raise
    finally:
        work.record(runs)


def _image_phases(place: Place, headnode: Place | None) -> list[tuple[Phase, Place]]:
    """The phases of an image's installation, and where each one's scripts run."""
    outside = [(phases.POST_RPM_NOCHROOT, headnode)] if headnode else []
    return [(phases.POST_RPM_INSTALL, place), *outside]


def _runner(work: Work, place: Place, record: Callable[[ScriptRun], None]) -> Runner:
    return Runner(
        transaction=work.transaction, place=place, say=work.say, log=work.log, record=record
    )


def _is_due(work: Work, phase: Phase, choice: Choice, about: str, place: Place) -> bool:
    """Whether a phase about a place is to run: the OPKG has a script for it in `place`, which has
    not yet run to a good end."""
    key = PhaseKey(place=about, opkg=choice.name, version=str(choice.version), phase=phase.name)
    return bool(phases.scripts(place, phase, choice.name)) and not work.state.oda.phase_done(key)


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
    wanted = _wanted(choices, place)
    before = packages(place)
    missing = [want for want in wanted if not _has_all(before, [want])]
    if missing:
        work.say(f"{place.name}: installing {', '.join(want.name for want in missing)}")
        work.installer(place).install(wanted)
        after = packages(place)
        lacking = ", ".join(want.name for want in wanted if not _has_all(after, [want]))
        if lacking:
            raise OpkgError(
                f"the package manager reported success, but {lacking} is not installed whole",
                where=place.name,
            )
    fresh = [each.name for each in choices if not _has_all(before, _wanted([each], place))]
    return frozenset(fresh)


def _parts(place: Place, names: Sequence[str]) -> list[str]:
    """The native packages of OPKGs' parts that are in a place."""
    present = packages(place)
    parts = [part.package(name) for name in names for part in place.parts]
    return [part for part in parts if part in present]


def _check_removal(work: Work, place: Place, names: Sequence[str]) -> None:
    try:
        if names:
            work.installer(place).check_removal(names)
    except CommandError as error:
        error.message = f"something in {place.name} needs what is to be removed"
        error.hint = "see above what it is; remove that too, or first"
        raise


def _remove(work: Work, place: Place, names: Sequence[str]) -> None:
    work.say(f"{place.name}: removing {', '.join(names)}")
    work.installer(place).remove(names)


@contextmanager
def _noting(work: Work, place: Place, note: Callable[[Sequence[Change]], None]) -> Iterator[None]:
    """Note which packages of a place are others at the end, however that is reached."""
    before = packages(place)
    try:
        yield
    finally:
        after = packages(place)
        absent = Installed(version="", state="")
        changed = [
            name for name in sorted({*before, *after}) if before.get(name) != after.get(name)
        ]
        note(
            [
                Change(
                    transaction_id=work.transaction,
                    place=place.name,
                    package=name,
                    before=before.get(name, absent).version,
                    after=after.get(name, absent).version,
                )
                for name in changed
            ]
        )
