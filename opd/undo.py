# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking a change of the cluster back: images go to the generation before, other roots get their
former packages again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from opd.image import Managed, Root
from opd.keep import kept
from opd.oda import Change, ImageState, Transaction
from opd.place import Place, opkg_of
from opd.work import Cluster, Work, changing_image, noting
from opkg.errors import OpkgError
from opkg.native import guest
from opkg.native.choose import packages


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
        _, root = images[state.image]
        _check_generation(root, state)
    places = [images[name][0] for name in images if name not in states]
    if cluster.headnode and any(change.place == cluster.headnode.name for change in row.changes):
        places.append(cluster.headnode)
    back = {place.name: [c for c in row.changes if c.place == place.name] for place in places}
    for place in places:
        _check_packages(place, back[place.name])
    for state in row.images:
        place, root = images[state.image]
        assert isinstance(root, Managed)  # noqa: S101 (checked above; tells the type checker)
        root.go_to(state.before)
        work.say(f"{place.name}: is what it was before change {row.id} again")
        reverse = [_reversed(work, change) for change in row.changes if change.place == place.name]
        work.record(
            [
                ImageState(
                    transaction_id=work.transaction,
                    image=state.image,
                    before=state.after,
                    after=state.before,
                ),
                *reverse,
            ]
        )
    for place in places:
        files = kept(work.kept(place))
        wanted = {change.package: change.before for change in back[place.name]}
        own = images[place.name][1] if place.name in images else None
        _restore(work, place, own, wanted, files)
    work.state.oda.mark_undone(row.id, undone=True)
    if row.undoes is not None:
        work.state.oda.mark_undone(row.undoes, undone=False)


def _restore(
    work: Work,
    place: Place,
    root: Root | None,
    wanted: Mapping[str, str],
    files: Mapping[tuple[str, str], Path],
) -> None:
    """Bring packages of a place to these versions, “” for absent, from files where there are. An
    image is changed as a whole by its `root`. Raises OpkgError."""
    lacking = [f"{name} {version}" for name, version in wanted.items()
               if version and (name, version) not in files]  # fmt: skip
    if lacking:
        raise OpkgError(
            f"these package files are not kept: {', '.join(lacking)}",
            where=place.name,
            hint="opd install NAME brings the version that a repository has",
        )
    chosen = [files[item] for item in wanted.items() if item[1]]
    absent = [name for name, version in wanted.items() if not version]
    work.say(f"{place.name}: restoring {', '.join(wanted)}")
    gone = [opkg[0] for opkg in map(opkg_of, absent) if opkg]
    work.state.oda.forget_runs(place.name, gone)
    if root is None:
        with guest.opened(place.root), noting(work, place, work.record):
            work.installer(place).restore(chosen, absent)
        return
    with changing_image(work, root, place) as opened:
        work.installer(opened).restore(chosen, absent)


def _reversed(work: Work, change: Change) -> Change:
    return Change(
        transaction_id=work.transaction,
        place=change.place,
        package=change.package,
        before=change.after,
        after=change.before,
    )


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
