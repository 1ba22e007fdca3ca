# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters of older generations of config.xml, said with those of today.

A list of packages had filters of which any could hold, and each asked for a group, a distribution
and an architecture at once. Today a relation belongs to a part, and has one filter: any of its
distributions, and any of its architectures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opkg.spec import DistFilter, Filter, Part

# The sections of today's config.xml, in their order.
_SECTIONS = (
    frozenset[Part](),
    frozenset((Part.SERVER,)),
    frozenset((Part.CLIENT,)),
    frozenset((Part.SERVER, Part.CLIENT)),
    frozenset((Part.API,)),
)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One filter of a list: all of it has to hold. None and "" stand for any."""

    parts: frozenset[Part]
    dist: DistFilter | None = None
    arch: str = ""


def section_of(parts: frozenset[Part]) -> int:
    """The place of a set of parts among the sections of today's config.xml."""
    return _SECTIONS.index(parts)


def both(one: Condition, other: Condition) -> Condition:
    """A condition that holds where two of them do; where they disagree, no part is left."""
    dists = {one.dist, other.dist} - {None}
    archs = {one.arch, other.arch} - {""}
    agree = len(dists) < 2 and len(archs) < 2
    return Condition(
        parts=one.parts & other.parts if agree else frozenset(),
        dist=next(iter(dists), None),
        arch=next(iter(archs), ""),
    )


def merged(conditions: Iterable[Condition]) -> list[tuple[frozenset[Part], Filter]]:
    """Conditions of which any may hold, as few filters of today that say the same: where
    distributions and architectures are independent of one another, one is enough."""
    dists: dict[tuple[Part, str], dict[DistFilter | None, None]] = {}
    for condition in conditions:
        for part in sorted(condition.parts):
            dists.setdefault((part, condition.arch), {})[condition.dist] = None
    archs: dict[tuple[Part, tuple[DistFilter, ...]], dict[str, None]] = {}
    for (part, arch), found in dists.items():
        everywhere = None in found
        kept = () if everywhere else tuple(dist for dist in found if dist)
        archs.setdefault((part, kept), {})[arch] = None
    parts: dict[Filter, set[Part]] = {}
    for (part, dist), words in archs.items():
        kept_archs = () if "" in words else tuple(words)
        parts.setdefault(Filter(dists=dist, archs=kept_archs), set()).add(part)
    return [
        (frozenset(section), condition)
        for condition, found_parts in parts.items()
        for section in _sections(found_parts)
    ]


def _sections(parts: set[Part]) -> list[set[Part]]:
    """A set of parts as sections of config.xml: the API part has one of its own."""
    nodes = parts - {Part.API}
    return [section for section in (nodes, parts & {Part.API}) if section]
