# SPDX-License-Identifier: GPL-2.0-or-later
"""The version of an OPKG: how it is written, how two of them compare."""

from __future__ import annotations

import re
from dataclasses import dataclass

from debian.debian_support import NativeVersion

from opkg.errors import OpkgError

_PATTERN = re.compile(r"(?:([0-9]{1,10}):)?([0-9][A-Za-z0-9.+~-]*)-([A-Za-z0-9.+~]+)")
# Part of a file's name, which may have 255 characters; and Python reads no endless number.
_LONGEST = 200


@dataclass(frozen=True)
class Version:
    """`epoch:upstream-release`; the epoch is 0 where none is written.

    Two versions are ordered by Debian's algorithm (Debian Policy, chapter 5.6.12), for both
    families: at the level of OPKGs there is one order. Native packages are compared by apt, dnf
    and zypper. Two that are written differently are never equal, but may be of one rank (0, 00).
    """

    epoch: int
    upstream: str
    release: str

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `[epoch:]upstream-release`; the last dash splits. Raises OpkgError."""
        match = _PATTERN.fullmatch(text)
        if match is None or len(text) > _LONGEST:
            raise OpkgError(
                f"“{text}” is not a version",
                hint="write [epoch:]upstream-release, for example 2.1.1-3; upstream starts with a "
                "digit, and letters, digits, dots, + and ~ follow",
            )
        return cls(int(match[1] or 0), match[2], match[3])

    def __str__(self) -> str:
        epoch = f"{self.epoch}:" if self.epoch else ""
        return f"{epoch}{self.upstream}-{self.release}"

    @property
    def rank(self) -> NativeVersion:
        """What versions are ordered by, as a sort key."""
        return NativeVersion(str(self))


def is_comparable(text: str) -> bool:
    """Whether a text is a version that `holds` can compare with."""
    try:
        NativeVersion(text)
    except ValueError:
        return False
    return len(text) <= _LONGEST


def holds(left: str, relation: str, right: str) -> bool:
    """Whether `left` stands in `relation` (one of = < <= > >=) to `right`, both being versions."""
    ours, bound = NativeVersion(left), NativeVersion(right)
    outcomes = {
        "=": ours == bound,
        "<": ours < bound,
        "<=": ours <= bound,
        ">": ours > bound,
        ">=": ours >= bound,
    }
    return bool(outcomes[relation])


def satisfies(version: Version, relation: str, bound: str) -> bool:
    """Whether an OPKG's version keeps to a bound; one without a release speaks of the upstream
    version alone: 2.1-3 satisfies `= 2.1`. No relation is kept by every version."""
    if not relation:
        return True
    text = str(version)
    return holds(text if "-" in bound else text.rpartition("-")[0], relation, bound)
