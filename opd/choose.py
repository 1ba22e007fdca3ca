# SPDX-License-Identifier: GPL-2.0-or-later
"""Choosing OPKGs: which versions a request comes to, and in which order they are installed.

Relations between OPKGs are decided here. Those between native packages are apt's and dnf's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from opd.place import Place
from opd.repository import Known
from opkg.errors import OpkgError
from opkg.index import Offer
from opkg.manifest import OpkgRelation
from opkg.spec import Kind, Part
from opkg.version import Version, holds, satisfies


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A version of an OPKG, as it is offered for each target that needs it; or as it is `present`
    in all the places already, offered or not any more."""

    name: str
    version: Version
    offers: Mapping[str, Offer]
    present: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

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


Offered = Mapping[str, Sequence[Choice]]
Chosen = Mapping[str, Choice]


class NotOfferedError(OpkgError):
    """There is no OPKG of that `name`, or none in the version that is needed."""

    def __init__(self, name: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.name = name


def choose(
    known: Sequence[Known],
    names: Iterable[str],
    places: Sequence[Place],
    present: Mapping[str, Mapping[str, Version]],
) -> list[Choice]:
    """The newest versions of the named OPKGs, and of those they require, in the order in which
    they are to be installed. `present` says by place which OPKGs are there: they stay as they are
    unless named or required otherwise, and nothing that is chosen may contradict them.

    Raises OpkgError where there is no such set, with the reason why the newest would not do.
    """
    targets = sorted({place.target.name for place in places})
    offers = _by_version(known, targets)
    try:
        return solve(list(names), _offered(offers, targets), _there(offers, places, present))
    except OpkgError as error:
        if isinstance(error, NotOfferedError) and not error.hint:
            error.hint = _elsewhere(known, error.name, targets)
        raise


def upgrades(known: Sequence[Known], place: Place, present: Mapping[str, Version]) -> list[str]:
    """The OPKGs of a place of which a newer version is offered for it."""
    offered = _offered(_by_version(known, [place.target.name]), [place.target.name])
    return [
        name
        for name, version in present.items()
        if name in offered and offered[name][0].version.rank > version.rank
    ]


def _by_version(
    known: Sequence[Known], targets: Sequence[str]
) -> dict[tuple[str, str], dict[str, Offer]]:
    """What is offered for any of the targets: name and version to target to offer. Where two
    repositories have the same, the first one's."""
    found: dict[tuple[str, str], dict[str, Offer]] = {}
    for offer in (offer for entry in known for offer in entry.index.offers):
        if offer.target in targets:
            key = offer.opkg.name, offer.opkg.version
            found.setdefault(key, {}).setdefault(offer.target, offer)
    return found


def _offered(
    offers: Mapping[tuple[str, str], Mapping[str, Offer]], targets: Sequence[str]
) -> dict[str, list[Choice]]:
    """The OPKGs that are offered for all targets, by name, the newest version first."""
    found: dict[str, list[Choice]] = {}
    for (name, version), by_target in sorted(offers.items()):
        if set(by_target) == set(targets):
            choice = Choice(name=name, version=Version.parse(version), offers=by_target)
            found.setdefault(name, []).append(choice)
    for choices in found.values():
        choices.sort(key=lambda choice: choice.version.rank, reverse=True)
    return found


def _there(
    offers: Mapping[tuple[str, str], Mapping[str, Offer]],
    places: Sequence[Place],
    present: Mapping[str, Mapping[str, Version]],
) -> list[Choice]:
    """The OPKGs that are in any of the places, each in its newest version there."""
    found: dict[str, list[Version]] = {}
    for place in places:
        for name, version in present[place.name].items():
            found.setdefault(name, []).append(version)
    return [
        Choice(
            name=name,
            version=max(versions, key=lambda version: version.rank),
            offers=offers.get((name, str(max(versions, key=lambda version: version.rank))), {}),
            present=len(versions) == len(places) and len(set(versions)) == 1,
        )
        for name, versions in found.items()
    ]


def _elsewhere(known: Sequence[Known], name: str, targets: Sequence[str]) -> str:
    """Where an OPKG is offered, that is not offered for all targets."""
    found = {
        offer.target for entry in known for offer in entry.index.offers if offer.opkg.name == name
    }
    lacking = [target for target in targets if target not in found]
    if not found:
        return "opd list shows what there is; opd update asks the repositories again"
    if lacking:
        return f"it is there for {', '.join(sorted(found))}, but not for {', '.join(lacking)}"
    return "no one version is there for all of " + ", ".join(targets)


def solve(names: Sequence[str], offered: Offered, there: Sequence[Choice]) -> list[Choice]:
    """See `choose`; here `offered` is by name, the newest version first, and `there` is what is
    installed."""
    search = _Search(offered=offered, there={choice.name: choice for choice in there})
    kept = {choice.name: choice for choice in there if choice.name not in names}
    wanted = [(OpkgRelation(kind=Kind.REQUIRES, name=name), "") for name in names]
    found = search.extend({}, kept, wanted)
    if found is None:
        raise search.refusals[0]
    return _ordered(found)


@dataclass(frozen=True, kw_only=True)
class _Search:
    """A search through all versions on offer, that goes back where one will not do. `refusals`
    collects why; the first is about the newest versions."""

    offered: Offered
    there: Chosen
    refusals: list[OpkgError] = field(default_factory=list)

    def extend(
        self, chosen: Chosen, kept: Chosen, waiting: Sequence[tuple[OpkgRelation, str]]
    ) -> Chosen | None:
        """`chosen` with what meets all the relations that wait, each with who asks for it; None
        if there is no such set. `kept` is what is installed and stays."""
        if not waiting:
            return chosen
        (relation, asker), *later = waiting
        there = [choice for choice in kept.values() if choice.present]
        if any(meets(choice, relation) for choice in [*chosen.values(), *there]):
            own = self.there.get(relation.name)
            if own is None or own.name in chosen or own.name in kept:
                return self.extend(chosen, kept, later)
            # It was to be replaced, but something else will do: so it stays, if it can.
            objection = self._objection(own, [*chosen.values(), *kept.values()])
            if objection is None:
                return self.extend(chosen, {**kept, own.name: own}, later)
            self.refusals.append(objection)
        fitting = self._fitting(relation)
        if not fitting:
            self.refusals.append(self._not_offered(relation, asker))
        for choice in fitting:
            staying = {name: other for name, other in kept.items() if name != choice.name}
            objection = self._objection(choice, [*chosen.values(), *staying.values()])
            if objection:
                self.refusals.append(objection)
                continue
            needed = [(other, str(choice)) for other in choice.relations(Kind.REQUIRES)]
            found = self.extend({**chosen, choice.name: choice}, staying, [*later, *needed])
            if found is not None:
                return found
        return None

    def _fitting(self, relation: OpkgRelation) -> list[Choice]:
        """The OPKGs of the name itself come first, then others that provide it."""
        names = sorted(self.offered, key=lambda name: (name != relation.name, name))
        every = (choice for name in names for choice in self.offered[name])
        return [choice for choice in every if meets(choice, relation)]

    def _objection(self, choice: Choice, others: Sequence[Choice]) -> OpkgError | None:
        """Why a choice cannot go with the others."""
        replaced = self.there.get(choice.name)
        for other in others:
            if other.name == choice.name:
                return OpkgError(f"{other} and {choice} are needed, but only one can be")
            if _conflict(choice, other):
                state = "is installed and stays" if other.name in self.there else "is to come too"
                return OpkgError(
                    f"{choice} cannot be installed together with {other}, which {state}",
                    hint="they conflict: only one of them can be there",
                )
            for relation in other.relations(Kind.REQUIRES):
                broken = replaced is not None and meets(replaced, relation)
                if broken and not any(meets(each, relation) for each in [*others, choice]):
                    return OpkgError(
                        f"{other} requires {_text(relation)}, so {choice} cannot take the place "
                        f"of {replaced}",
                        hint=f"name {other.name} too, or remove it first",
                    )
        return None

    def _not_offered(self, relation: OpkgRelation, asker: str) -> NotOfferedError:
        versions = ", ".join(str(choice.version) for choice in self.offered.get(relation.name, ()))
        there = self.there.get(relation.name)
        hint = f"on offer: {versions}" if versions else ""
        if there and not versions:
            hint = f"{there} is installed, but no repository has it any more"
        return NotOfferedError(
            relation.name,
            f"there is no OPKG {_text(relation)}" + (f", which {asker} requires" if asker else ""),
            hint=hint,
        )


def _conflict(one: Choice, other: Choice) -> bool:
    return any(
        meets(second, relation)
        for first, second in ((one, other), (other, one))
        for relation in first.relations(Kind.CONFLICTS)
    )


def _text(relation: OpkgRelation) -> str:
    return f"{relation.name} {relation.rel} {relation.version}" if relation.rel else relation.name


def meets(choice: Choice, relation: OpkgRelation) -> bool:
    """Whether an OPKG is, or provides, what a relation names."""
    if choice.name == relation.name and satisfies(choice.version, relation.rel, relation.version):
        return True
    return any(
        provided.name == relation.name
        and (
            not relation.rel
            or (provided.version != "" and holds(provided.version, relation.rel, relation.version))
        )
        for provided in choice.relations(Kind.PROVIDES)
    )


def required(choice: Choice, others: Iterable[Choice]) -> list[str]:
    """Those of the others that an OPKG requires, by name."""
    return [
        other.name
        for relation in choice.relations(Kind.REQUIRES)
        for other in others
        if other.name != choice.name and meets(other, relation)
    ]


def installed(known: Sequence[Known], place: Place, present: Mapping[str, Version]) -> list[Choice]:
    """The OPKGs that are in a place, what is required first. What an OPKG requires is known as
    long as a repository offers its version."""
    offers = _by_version(known, [place.target.name])
    there = _there(offers, [place], {place.name: present})
    return _ordered({choice.name: choice for choice in there})


def _ordered(chosen: Chosen) -> list[Choice]:
    """What is required comes first; otherwise by name."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in sorted(chosen):
        sorter.add(name, *required(chosen[name], chosen.values()))
    try:
        return [chosen[name] for name in sorter.static_order()]
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise OpkgError(f"these OPKGs require each other in a circle: {circle}") from error
