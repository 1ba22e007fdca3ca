# SPDX-License-Identifier: GPL-2.0-or-later
"""Which job of a run needs what which other one makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from builder.job import OnTarget
from builder.steps import build_requirements
from opkg.errors import OpkgError
from opkg.recipe import RecipePackage
from opkg.spec import Kind

# Jobs with the packages that they make, by the packages' names and what they provide.
_Makers = Mapping[str, Sequence[tuple[OnTarget, RecipePackage]]]


def needs(jobs: Sequence[OnTarget]) -> dict[str, tuple[str, ...]]:
    """The ids of the jobs that each job needs, by its id: those that make what its recipe
    requires for building, and what these packages require in turn.

    A package that an OPKG itself makes comes from the distribution. Raises OpkgError where two
    jobs make what a third one needs.
    """
    found: dict[str, tuple[str, ...]] = {}
    for target in dict.fromkeys(job.target.name for job in jobs):
        mine = [job for job in jobs if job.target.name == target]
        makers = _makers(mine)
        for job in mine:
            found[job.id] = tuple(sorted(set(_needed(job, makers))))
    return found


def in_order(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The ids, each behind those that it needs. Raises OpkgError for OPKGs that need one another
    in a circle."""
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        # Each needs the one before it.
        circle = [name.partition("/") for name in reversed(error.args[1])]
        names = " needs ".join(opkg for _, _, opkg in circle)
        raise OpkgError(
            f"OPKGs need one another to be built for {circle[0][0]}: {names}",
            hint="take one of them out of this run: what it makes then has to come from the "
            "target's own packages",
        ) from error


def _makers(jobs: Iterable[OnTarget]) -> _Makers:
    found: dict[str, list[tuple[OnTarget, RecipePackage]]] = {}
    for job in jobs:
        for package in job.recipe.package if job.recipe and job.is_meant else ():
            provided = package.relations(Kind.PROVIDES, job.target, job.opkg.names)
            for name in {package.name, *(relation.name for relation in provided)}:
                found.setdefault(name, []).append((job, package))
    return found


def _needed(job: OnTarget, makers: _Makers) -> Iterator[str]:
    """The ids of the jobs that make what a job needs."""
    if job.recipe is None:
        return
    required = build_requirements(job.recipe, job.target, job.opkg.names)
    todo = [relation.name for relation in required]
    seen = set(todo)
    while todo:
        name = todo.pop()
        made = makers.get(name, ())
        ids = {maker.id for maker, _ in made}
        if job.id in ids:
            continue
        if len(ids) > 1:
            raise OpkgError(
                f"{job.id} needs {name}, which {' and '.join(sorted(ids))} make",
                hint="build with one of them alone",
            )
        yield from ids
        for maker, package in made:
            further = package.relations(Kind.REQUIRES, maker.target, maker.opkg.names)
            new = [relation.name for relation in further if relation.name not in seen]
            seen.update(new)
            todo += new
