# SPDX-License-Identifier: GPL-2.0-or-later
"""Choosing OPKGs: which versions a request comes to, and in which order they are installed.

Relations between OPKGs are decided here. Those between native packages are apt's and dnf's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from opd.place import Place
from opd.repository import Known
from opkg.errors import OpkgError
from opkg.index import Offer
from opkg.manifest import OpkgRelation
from opkg.spec import Kind, Part
from opkg.version import Version, satisfies


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A version of an OPKG, as it is offered for each target that needs it."""

    name: str
    version: Version
    offers: dict[str, Offer]

    def relations(self, kind: Kind) -> list[OpkgRelation]:
        """Its relations to OPKGs on any of the targets."""
        found = [r for offer in self.offers.values() for r in offer.opkg.relations]
        return list(dict.fromkeys(r for r in found if r.kind is kind))

    def native(self, target: str, part: Part) -> tuple[str, str] | None:
        """Name and version of a part's native package on a target."""
        for artifact in self.offers[target].artifacts:
            if artifact.part is part:
                return artifact.name, artifact.version
        return None


def candidates(known: Sequence[Known], targets: Sequence[str]) -> dict[str, list[Choice]]:
    """The OPKGs that are offered for all of `targets`, by name, the newest version first."""
    grouped: dict[tuple[str, str], dict[str, Offer]] = {}
    for entry in known:
        for offer in entry.index.offers:
            if offer.target in targets:
                grouped.setdefault((offer.opkg.name, offer.opkg.version), {}).setdefault(
                    offer.target, offer
                )
    found: dict[str, list[Choice]] = {}
    for (name, version), offers in grouped.items():
        if set(offers) == set(targets):
            choice = Choice(name=name, version=Version.parse(version), offers=offers)
            found.setdefault(name, []).append(choice)
    for choices in found.values():
        choices.sort(key=lambda choice: choice.version.rank, reverse=True)
    return found


def choose(known: Sequence[Known], names: Iterable[str], places: Sequence[Place]) -> list[Choice]:
    """The newest versions of the named OPKGs, and of those they require, in the order in which
    they are to be installed. Raises OpkgError where there is no such set."""
    targets = sorted({place.target.name for place in places})
    offered = candidates(known, targets)
    chosen: dict[str, Choice] = {}
    waiting = [(OpkgRelation(kind=Kind.REQUIRES, name=name), "") for name in names]
    while waiting:
        relation, asker = waiting.pop(0)
        if not any(_meets(choice, relation) for choice in chosen.values()):
            choice = _find(offered, relation, asker, known, targets)
            chosen[choice.name] = choice
            waiting += [(needed, choice.name) for needed in choice.relations(Kind.REQUIRES)]
    _check_conflicts(chosen.values())
    return _ordered(chosen)


def _find(
    offered: dict[str, list[Choice]],
    relation: OpkgRelation,
    asker: str,
    known: Sequence[Known],
    targets: Sequence[str],
) -> Choice:
    named = offered.get(relation.name, [])
    others = [c for name in sorted(offered) for c in offered[name] if name != relation.name]
    for choice in [*named, *others]:
        if _meets(choice, relation):
            return choice
    bound = f" {relation.rel} {relation.version}" if relation.rel else ""
    needed = f", which {asker} requires" if asker else ""
    elsewhere = {
        offer.target
        for entry in known
        for offer in entry.index.offers
        if offer.opkg.name == relation.name
    }
    if elsewhere:
        lacking = ", ".join(target for target in targets if target not in elsewhere)
        hint = (
            f"it is there for {', '.join(sorted(elsewhere))}, but not for {lacking}"
            if lacking
            else "no one version is there for all of " + ", ".join(targets)
        )
    else:
        hint = "opd list shows what there is; opd update asks the repositories again"
    raise OpkgError(f"there is no OPKG {relation.name}{bound}{needed}", hint=hint)


def _meets(choice: Choice, relation: OpkgRelation) -> bool:
    """Whether an OPKG is, or provides, what a relation names."""
    if choice.name == relation.name:
        return satisfies(choice.version, relation.rel, relation.version)
    return any(
        provided.name == relation.name
        and (not relation.rel or provided.version == relation.version)
        for provided in choice.relations(Kind.PROVIDES)
    )


def _check_conflicts(chosen: Iterable[Choice]) -> None:
    every = list(chosen)
    for one in every:
        for relation in one.relations(Kind.CONFLICTS):
            for other in every:
                if other is not one and _meets(other, relation):
                    raise OpkgError(
                        f"{one.name} and {other.name} cannot be installed together",
                        hint=f"{one.name} conflicts with {relation.name}: leave one of them out",
                    )


def _ordered(chosen: dict[str, Choice]) -> list[Choice]:
    """What is required comes first; otherwise by name."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in sorted(chosen):
        needed = [
            other.name
            for relation in chosen[name].relations(Kind.REQUIRES)
            for other in chosen.values()
            if other.name != name and _meets(other, relation)
        ]
        sorter.add(name, *needed)
    try:
        return [chosen[name] for name in sorter.static_order()]
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise OpkgError(f"these OPKGs require each other in a circle: {circle}") from error
