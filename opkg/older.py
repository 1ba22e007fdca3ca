# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of older generations of OPKGs: scripts, architectures, distributions, elements.

What they are stands in `older.toml`; this module only reads and looks up.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import msgspec

from opkg.spec import DistFilter
from opkg.target import known_targets

_NATIVE = [
    f"{part}-{when}-{what}"
    for part in ("api", "server", "client")
    for when in ("pre", "post")
    for what in ("install", "uninstall")
]
# Every name that a script of a phase may have today.
PHASE_SCRIPTS = frozenset(
    (
        "api-pre-configure",
        "api-post-configure",
        "api-post-image",
        "api-post-clientdef",
        "api-post-deploy",
        *_NATIVE,
    )
)


class OlderDistribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Today's name of a distribution; `release` as the head of its table in `older.toml` says."""

    name: str
    release: str = ""


class Older(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of `older.toml`."""

    scripts: dict[str, str]
    architectures: dict[str, str]
    distributions: dict[str, OlderDistribution]
    gone: dict[str, str]

    def distribution(self, name: str, release: str) -> DistFilter:
        """Today's filter for a distribution and a release (perhaps "") of an older generation. A
        name that is not in the table stays as it is."""
        word = name.lower()
        known = self.distributions.get(word)
        if known is None:
            return DistFilter(name=word, rel="=" if release else "", version=release)
        if not release:
            return DistFilter(name=known.name)
        if not known.release:
            return DistFilter(name=known.name, rel="=", version=release)
        match = re.fullmatch(known.release, release, re.IGNORECASE)
        if match is None:
            return DistFilter(name=word, rel="=", version=release)
        return DistFilter(name=known.name, rel="=", version=next(filter(None, match.groups())))

    def renamed(self, scripts: Iterable[str]) -> dict[str, str]:
        """Which of a folder's scripts have an old name, and today's. A second script of the same
        phase is not among them: its name is taken."""
        taken = set(scripts)
        result = {}
        for old, new in self.scripts.items():
            if old in taken and new not in taken:
                result[old] = new
                taken.add(new)
        return result


@cache
def older() -> Older:
    """The table."""
    text = files("opkg").joinpath("older.toml").read_text()
    return msgspec.convert(tomllib.loads(text), Older)


@cache
def distribution_words() -> frozenset[str]:
    """Every word by which a filter may mean targets: those of all targets that are known here,
    and the names of the distributions of old."""
    table = known_targets()
    words = set(older().distributions) | {dist.name for dist in older().distributions.values()}
    for platform in table.distributions:
        for architecture in table.architectures:
            words |= set(table.find(f"{platform}-{architecture}").ordered_words)
    return frozenset(words)


@cache
def architecture_words() -> frozenset[str]:
    """Every word for an architecture that a filter may use, today's and those of old."""
    known = known_targets().architectures
    spelled = {word for arch in known.values() for word in (arch.deb, arch.rpm)}
    return frozenset({*known, *spelled, *older().architectures})
