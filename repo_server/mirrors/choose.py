# SPDX-License-Identifier: GPL-2.0-or-later
"""Which packages of a repository are taken: by name, with what they need, the newest of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cmp_to_key

from debian.debian_support import version_compare
from rpm_rs import Evr

from opkg.spec import Relation
from opkg.target import Family
from repo_server.mirrors.listing import Alternatives, Listed

# Negative, zero or positive, as the first version is lower, equal or higher.
Compare = Callable[[str, str], int]

_HOLDS: Mapping[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def comparison(family: Family) -> Compare:
    """How a family orders versions."""
    return _compare_deb if family is Family.DEB else _compare_rpm


def _compare_deb(left: str, right: str) -> int:
    return int(version_compare(left, right))


def _compare_rpm(left: str, right: str) -> int:
    # A bound without a release speaks of the version alone.
    ours, theirs = Evr.parse(left if "-" in right else left.rpartition("-")[0]), Evr.parse(right)
    return int(ours > theirs) - int(ours < theirs)


def choose(
    packages: Iterable[Listed], *, patterns: Sequence[str], newest: int, compare: Compare
) -> list[Listed]:
    """The newest (all, for 0) versions of the packages whose names fit one of `patterns` (of all,
    where there are none), and of what they require, as far as it is there: what is not, the
    distribution has."""
    order = cmp_to_key(compare)
    # The order of the list decides where nothing else does: it is the same each time.
    newest_first = sorted(packages, key=lambda listed: order(listed.version), reverse=True)
    by_name: dict[str, list[Listed]] = {}
    providers: dict[str, list[Listed]] = {}
    for listed in newest_first:
        by_name.setdefault(listed.name, []).append(listed)
        for name in {listed.name, *listed.provides}:
            providers.setdefault(name, []).append(listed)
    wanted = [
        listed
        for name, versions in sorted(by_name.items())
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
        for listed in _newest(versions, newest)
    ]
    chosen: dict[int, Listed] = {}
    while wanted:
        listed = wanted.pop()
        if id(listed) not in chosen:
            chosen[id(listed)] = listed
            for alternatives in listed.requires:
                wanted += _fulfilling(alternatives, providers, chosen, compare)
    return [listed for listed in newest_first if id(listed) in chosen]


def _newest(versions: Sequence[Listed], count: int) -> list[Listed]:
    """The packages of the newest `count` versions, on all architectures."""
    kept = list(dict.fromkeys(listed.version for listed in versions))[: count or None]
    return [listed for listed in versions if listed.version in kept]


def _fulfilling(
    alternatives: Alternatives,
    providers: Mapping[str, Sequence[Listed]],
    chosen: Mapping[int, Listed],
    compare: Compare,
) -> list[Listed]:
    """What fulfils a requirement best: nothing more, if something chosen does already."""
    fitting = [
        listed
        for relation in alternatives
        for listed in providers.get(relation.name, ())
        if _fits(listed, relation, compare)
    ]
    return [] if any(id(listed) in chosen for listed in fitting) else fitting[:1]


def _fits(listed: Listed, relation: Relation, compare: Compare) -> bool:
    """Whether a package fulfils a relation. What is provided has a version of its own, which is
    not looked at."""
    if listed.name != relation.name or not relation.rel:
        return True
    return _HOLDS[relation.rel](compare(listed.version, relation.version))
