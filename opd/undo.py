# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking a change of the cluster back: images go to the generation before, other roots get their
former packages again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opd.image import Managed, Root
from opd.keep import kept
from opd.oda import Change, ImageState, Transaction
from opd.place import Place, opkg_of
from opd.work import Cluster, Work, changing_image, noting
from opkg.errors import OpkgError
from opkg.native import guest
from opkg.native.choose import packages
from opkg.native.installer import Step


def find(history: Sequence[Transaction], number: int | None) -> Transaction:
    """The transaction of that number; without one the last that changed something, takes nothing
    back itself, and was not taken back. `history` has the newest first. Raises OpkgError."""
    if number is not None:
        for row in history:
            if row.id == number:
                return row
        raise OpkgError(f"there is no change {number}", hint="opd history lists them")
    gone = taken_back(history)
    for row in history:
        if (row.changes or row.images) and row.undoes is None and row.id not in gone:
            return row
    raise OpkgError("there is nothing to undo", hint="opd history lists what was changed")


def taken_back(history: Sequence[Transaction]) -> set[int]:
    """The transactions that later ones took back, and that nobody brought back since."""
    gone: set[int] = set()
    for row in sorted(history, key=lambda row: row.id):
        if row.undoes is not None and row.outcome == "done":
            gone.add(row.undoes)
            # Taking back what took something back brings that back.
            gone -= {each.undoes for each in history if each.id == row.undoes and each.undoes}
    return gone


def undo(work: Work, row: Transaction, cluster: Cluster) -> None:
    """Take a transaction back in all the places that it changed. Raises OpkgError where something
    changed since or is no longer there; then nothing happened, as long as it was not an
    installation into the headnode that failed half-way."""
    images = {place.name: (place, root) for place, root in cluster.images}
    states = {state.image: state for state in row.images}
    for state in row.images:
        _check_generation(images[state.image][1], state)
    places: list[tuple[Place, Root | None]] = [
        images[name] for name in images if name not in states
    ]
    if cluster.headnode and any(change.place == cluster.headnode.name for change in row.changes):
        places.append((cluster.headnode, None))
    ways = [_way(work, *each, row.changes) for each in places]
    for state in row.images:
        place, root = images[state.image]
        assert isinstance(root, Managed)  # noqa: S101 (checked above; tells the type checker)
        root.go_to(state.before)
        work.say(f"{place.name}: is what it was before change {row.id} again")
        _record_return(work, state, [c for c in row.changes if c.place == place.name])
    for way in ways:
        _restore(work, way)
    work.state.oda.mark_undone(row.id, undone=True)
    if row.undoes is not None:
        work.state.oda.mark_undone(row.undoes, undone=False)


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How a place is brought back: files of the packages to install, and packages to remove. An
    image is changed as a whole by its `root`."""

    place: Place
    root: Root | None
    files: tuple[Path, ...]
    absent: tuple[str, ...]
    names: tuple[str, ...]


def _way(work: Work, place: Place, root: Root | None, of_all: Sequence[Change]) -> _Way:
    """How to take the changes of a place back. Raises OpkgError where something changed since, a
    file is not kept, or the disk of the headnode has no room."""
    changes = [change for change in of_all if change.place == place.name]
    _check_packages(place, changes)
    there = kept(work.kept(place))
    coming = [(change.package, change.before) for change in changes if change.before]
    lacking = [" ".join(item) for item in coming if item not in there]
    if lacking:
        raise OpkgError(
            f"these package files are not kept: {', '.join(lacking)}",
            where=place.name,
            hint="opd install NAME brings the version that a repository has",
        )
    files = tuple(there[item] for item in coming)
    if files and root is None:
        steps = [Step(name=c.package, before=c.after, after=c.before) for c in changes]
        work.installer(place).check_space(steps, files)
    return _Way(
        place=place,
        root=root,
        files=files,
        absent=tuple(change.package for change in changes if not change.before),
        names=tuple(change.package for change in changes),
    )


def _restore(work: Work, way: _Way) -> None:
    work.say(f"{way.place.name}: restoring {', '.join(way.names)}")
    gone = [opkg[0] for opkg in map(opkg_of, way.absent) if opkg]
    work.state.oda.forget_runs(way.place.name, gone)
    if way.root is None:
        with guest.opened(way.place.root), noting(work, way.place, work.record):
            work.installer(way.place).restore(way.files, way.absent)
        return
    with changing_image(work, way.root, way.place) as opened:
        work.installer(opened).restore(way.files, way.absent)


def _record_return(work: Work, state: ImageState, changes: Sequence[Change]) -> None:
    """Record that an image went back to the generation before, and what changed in it so."""
    number = work.transaction
    reverse = [
        Change(
            transaction_id=number,
            place=change.place,
            package=change.package,
            before=change.after,
            after=change.before,
        )
        for change in changes
    ]
    gone_to = ImageState(
        transaction_id=number, image=state.image, before=state.after, after=state.before
    )
    work.record([gone_to, *reverse])


def _check_generation(root: object, state: ImageState) -> None:
    if not isinstance(root, Managed):
        raise OpkgError(f"the image {state.image} is not there any more")
    if root.generation != state.after:
        raise OpkgError(
            f"the image {state.image} was changed since: it is at generation {root.generation}, "
            f"not {state.after}",
            hint="undo the later changes first; opd history lists them",
        )
    if not (root.generations / state.before).is_dir():
        raise OpkgError(
            f"generation {state.before} of the image {state.image} is not kept any more",
            hint="only the last ones are; opd remove, or opd install, brings OPKGs in and out",
        )


def _check_packages(place: Place, changes: Sequence[Change]) -> None:
    there = packages(place)
    for change in changes:
        found = there[change.package].version if change.package in there else ""
        if found != change.after:
            raise OpkgError(
                f"{change.package} was changed since: it is {found or 'not installed'}, not "
                f"{change.after or 'absent'}",
                where=place.name,
                hint="undo the later changes first; opd history lists them",
            )
