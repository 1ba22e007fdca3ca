# SPDX-License-Identifier: GPL-2.0-or-later
"""What a repository says that it has, once its signatures were checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from opkg.errors import IntegrityError
from opkg.spec import Relation
from repo_server.mirrors.fetch import Wanted

# Any one of them fulfils what is asked for.
Alternatives = tuple[Relation, ...]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A package of a repository, or an OPKG with its packages. `provides` are the names that it
    stands for, beside its own."""

    name: str
    version: str
    architecture: str
    files: tuple[Wanted, ...]
    requires: tuple[Alternatives, ...] = ()
    provides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """All that is to be copied: signed `documents` by their paths, the lists that they name, which
    are in the store already, and the packages. `valid_until` is ISO 8601, or empty. `revisions` say
    how new each signed document is tells: a number that grows, mostly seconds since 1970."""

    documents: dict[str, bytes]
    lists: tuple[Wanted, ...]
    packages: tuple[Listed, ...]
    valid_until: str = ""
    revisions: dict[str, int] = field(default_factory=dict)

    @cached_property
    def files(self) -> tuple[Wanted, ...]:
        """Everything but the documents."""
        return (*self.lists, *(wanted for one in self.packages for wanted in one.files))


def together(listings: Iterable[Listing]) -> Listing:
    """One listing of several parts of a repository."""
    found = list(listings)
    return Listing(
        documents={path: data for one in found for path, data in one.documents.items()},
        lists=tuple(wanted for one in found for wanted in one.lists),
        packages=tuple(listed for one in found for listed in one.packages),
        valid_until=min((one.valid_until for one in found if one.valid_until), default=""),
        revisions={path: number for one in found for path, number in one.revisions.items()},
    )


def not_signed(where: str) -> IntegrityError:
    """The error for what the pinned keys do not vouch for."""
    return IntegrityError(
        "the keys given for this mirror do not vouch for it",
        where=where,
        hint="nothing of it is used; ask whoever runs the repository. A new key: remove the mirror "
        "and add it again",
    )
