# SPDX-License-Identifier: GPL-2.0-or-later
"""Which jobs a run has, what each needs, and a digest over all that decides its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from builder.graph import in_order, needs
from builder.inputs import Directory
from builder.job import Job, OnTarget, Place
from builder.roots import root_key
from builder.sources import check_replaced
from builder.steps import build_requirements
from opkg.directory import read_opkg
from opkg.errors import InvalidInputError, OpkgError
from opkg.manifest import PublishedPackage
from opkg.recipe import Recipe
from opkg.recipe_reader import read_recipe
from opkg.spec import Kind, Opkg
from opkg.target import Target
from opkg.variables import for_target

if TYPE_CHECKING:
    from builder.published import Published


def plan(
    directories: Iterable[Path],
    targets: Sequence[Target],
    replaced: Mapping[str, Path] | None = None,
    place: Place = Place.AUTO,
    repository: Published | None = None,
) -> list[Job]:
    """The jobs that building OPKGs for targets takes. What their recipes require, and no OPKG
    among them makes, may come from the `repository`.

    Raises InvalidInputError with every fault of all OPKGs that cannot be read, and OpkgError where
    there is none, and where OPKGs need one another in a circle: nothing is built then.
    """
    replaced = replaced or {}
    read = read_all(directories)
    check_replaced([recipe for _, _, recipe in read if recipe], replaced)
    wanted = [
        OnTarget(
            directory=directory,
            opkg=opkg,
            recipe=for_target(recipe, opkg, target) if recipe else None,
            target=target,
            replaced={n: path for n, path in replaced.items() if recipe and n in recipe.source},
        )
        for directory, opkg, recipe in read
        for target in targets
    ]
    return _jobs(wanted, place, repository)


def _jobs(wanted: Sequence[OnTarget], place: Place, repository: Published | None) -> list[Job]:
    known = {each.directory: Directory(each.directory, each.opkg) for each in wanted}
    needed = needs(wanted)
    by_id = {each.id: each for each in wanted}
    made: dict[str, Job] = {}
    for name in in_order(needed):
        each = by_id[name]
        direct = {need: made[need] for need in needed[name]}
        keys = {need: job.key for need, job in direct.items()}
        further = {id_: key for job in direct.values() for id_, key in job.uses.items()}
        uses = dict(sorted({**further, **keys}.items()))
        published = _published(each, [made[id_] for id_ in uses], repository)
        needs_others = bool(needed[name] or published)
        in_root = place.is_root_for(each.recipe, each.target, needs=needs_others)
        root = root_key(each.target) if in_root else ""
        made[name] = Job(
            directory=each.directory,
            opkg=each.opkg,
            recipe=each.recipe,
            target=each.target,
            replaced=each.replaced,
            input=known[each.directory].input_for(
                each.target, each.recipe, each.replaced, root, keys, published
            ),
            in_root=in_root,
            uses=uses,
            source=repository.source(each.target) if repository and published else None,
        )
    return [made[each.id] for each in wanted]


def _published(
    wanted: OnTarget, used: Sequence[Job], repository: Published | None
) -> tuple[PublishedPackage, ...]:
    """The packages of a repository that a recipe is followed with: what it requires, and what the
    packages of other jobs that it uses require, as far as these do not make it."""
    if repository is None or wanted.recipe is None or not wanted.is_meant:
        return ()
    needed = [*build_requirements(wanted.recipe, wanted.target, wanted.opkg.names)]
    made = set[str]()
    for job in used:
        for package in job.recipe.package if job.recipe else ():
            provided = package.relations(Kind.PROVIDES, job.target, job.opkg.names)
            made |= {package.name, *(relation.name for relation in provided)}
            needed += package.relations(Kind.REQUIRES, job.target, job.opkg.names)
    return repository.used_for([each for each in needed if each.name not in made], wanted.target)


def read_all(directories: Iterable[Path]) -> list[tuple[Path, Opkg, Recipe | None]]:
    """OPKGs with their recipes. Raises as `plan` does."""
    read, refused = [], []
    for directory in directories:
        try:
            opkg, _ = read_opkg(directory)
            read.append((directory, opkg, read_recipe(directory)))
        except InvalidInputError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        faults = [fault for error in refused for fault in error.diagnostics]
        raise InvalidInputError(f"{len(refused)} OPKGs have errors, so nothing is built", faults)
    _check_names(read)
    return read


def _check_names(read: Iterable[tuple[Path, Opkg, Recipe | None]]) -> None:
    """Refuse two OPKGs of one name: each would take the place of the other."""
    places: dict[str, Path] = {}
    for directory, opkg, _ in read:
        first = places.setdefault(opkg.name, directory)
        if first is not directory:
            raise OpkgError(
                f"two OPKGs are called {opkg.name}: {first} and {directory}",
                hint="build them in two runs, into two folders",
            )
