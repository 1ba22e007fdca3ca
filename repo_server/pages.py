# SPDX-License-Identifier: GPL-2.0-or-later
"""What the web pages say, made from the live tree's indexes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from debian.debian_support import NativeVersion

from opkg.files import sha256_file
from opkg.index import Index, Offer, Source
from opkg.manifest import Artifact
from opkg.spec import Kind
from opkg.version import Version
from repo_server.opds import read_index
from repo_server.publish import TUF_ROOT
from repo_server.repository import Repository

# Rows of a table on one page.
PAGE = 100
# Of what somebody searches for.
_WORDS = 8

# The moment that a script of an OPKG is for, by its name, and the place.
PHASES = {
    "api-post-install": ("The OPKG was installed or upgraded", "headnode"),
    "api-pre-configure": ("Before it is configured", "headnode"),
    "api-post-configure": ("Its configuration was given", "headnode"),
    "server-post-install": ("Its server package was installed", "headnode"),
    "client-post-install": ("Its client package was installed into an image", "image"),
    "api-post-image": ("An image got it; the image’s folder is the argument", "headnode"),
    "api-post-clientdef": ("The nodes were defined", "headnode"),
    "api-post-deploy": ("The nodes are up", "headnode"),
    "server-pre-uninstall": ("Before its server package is removed", "headnode"),
    "server-post-uninstall": ("Its server package was removed", "headnode"),
    "client-pre-uninstall": ("Before its client package is removed", "image"),
    "client-post-uninstall": ("Its client package was removed", "image"),
    "api-pre-uninstall": ("Before the OPKG is removed", "headnode"),
    "api-post-uninstall": ("The OPKG was removed", "headnode"),
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """The repository itself, at the address it was asked for; `slug` names files on clients."""

    origin: str
    slug: str
    url: str
    openpgp: str
    root: str


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """A channel: its OPKGs by name, the newest offer of each first; in `texts`, what a search
    looks through; and where native clients find its packages."""

    name: str
    generation: int
    published: str
    targets: tuple[str, ...]
    offers: dict[str, tuple[Offer, ...]]
    texts: dict[str, str]
    sources: tuple[tuple[str, Source], ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """An OPKG in a channel's table: its newest version for each target, empty for none."""

    name: str
    summary: str
    versions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A page of a channel's table; `page` counts from 1 to `pages`, `found` are all rows."""

    rows: tuple[Row, ...]
    found: int
    page: int
    pages: int


@dataclass(frozen=True, kw_only=True)
class OpkgPage:
    """An OPKG in a channel; `latest` describes it, `offers` are by target, the newest first.
    `documented` are the packages that hold its documents, the best first. `needed_by` are the
    channel's OPKGs that name it."""

    channel: str
    latest: Offer
    offers: tuple[tuple[str, tuple[Offer, ...]], ...]
    documented: tuple[Artifact, ...]
    needed_by: tuple[str, ...]
    known: frozenset[str]
    sources: tuple[tuple[str, Source], ...]


def site(repository: Repository, url: str) -> Site:
    """The repository as its pages speak of it."""
    return Site(
        origin=repository.origin,
        slug=re.sub(r"[^a-z0-9]+", "-", repository.origin.lower()).strip("-") or "opkg",
        url=url,
        openpgp=repository.fingerprints[-1],
        root=sha256_file(repository.live / TUF_ROOT),
    )


def minutes(date: str) -> str:
    """An ISO 8601 date for people, in UTC: 2026-11-22 18:55 UTC."""
    return datetime.fromisoformat(date).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


# A generation's content never changes, and one request after the other asks for it.
@lru_cache(maxsize=2)
def indexes(tree: Path) -> dict[str, Index]:
    """The index of every channel of a generation, by name."""
    names = sorted(folder.name for folder in tree.glob("opd/*") if folder.is_dir())
    return {name: read_index(tree, name) for name in names}


@lru_cache(maxsize=2)
def shelves(tree: Path) -> dict[str, Shelf]:
    """Every channel of a generation, by name."""
    return {name: _shelf(index) for name, index in indexes(tree).items()}


def _shelf(index: Index) -> Shelf:
    by_name: dict[str, list[Offer]] = {}
    for offer in sorted(index.offers, key=lambda offer: offer.opkg.name):
        by_name.setdefault(offer.opkg.name, []).append(offer)
    offers = {
        name: tuple(sorted(several, key=_rank, reverse=True)) if len(several) > 1 else (several[0],)
        for name, several in by_name.items()
    }
    return Shelf(
        name=index.channel,
        generation=index.generation,
        published=index.published,
        targets=tuple(sorted(index.sources)),
        offers=offers,
        texts={name: _text(found) for name, found in offers.items()},
        sources=_sources(index),
    )


def _rank(offer: Offer) -> NativeVersion:
    return Version.parse(offer.opkg.version).rank


def _text(offers: Sequence[Offer]) -> str:
    info = offers[0].opkg
    packages = {artifact.name for offer in offers for artifact in offer.artifacts}
    words = (info.name, info.summary, info.description, info.category, *info.groups, *packages)
    return "\n".join(words).casefold()


def table(shelf: Shelf, *, words: str = "", page: int = 1) -> Table:
    """A page of the OPKGs that fit all `words`, those with the first of them in the name first; of
    all, where there are none. A page beyond the last is that one."""
    sought = words.casefold().split()[:_WORDS]
    names = [name for name, text in shelf.texts.items() if all(word in text for word in sought)]
    if sought:
        names.sort(key=lambda name: (sought[0] not in name.casefold(), name))
    pages = max(1, -(-len(names) // PAGE))
    page = min(max(page, 1), pages)
    shown = names[(page - 1) * PAGE : page * PAGE]
    rows = tuple(_row(shelf.offers[name], shelf.targets) for name in shown)
    return Table(rows=rows, found=len(names), page=page, pages=pages)


def _row(offers: Sequence[Offer], targets: Sequence[str]) -> Row:
    newest: dict[str, str] = {}
    for offer in offers:
        newest.setdefault(offer.target, offer.opkg.version)
    info = offers[0].opkg
    return Row(
        name=info.name,
        summary=info.summary,
        versions=tuple(newest.get(target, "") for target in targets),
    )


def opkg(shelf: Shelf, name: str) -> OpkgPage | None:
    """An OPKG's page, or None where the channel does not offer it."""
    offers = shelf.offers.get(name)
    if not offers:
        return None
    provided = {one.name for one in offers[0].opkg.relations if one.kind is Kind.PROVIDES}
    return OpkgPage(
        channel=shelf.name,
        latest=offers[0],
        offers=tuple(
            (target, tuple(offer for offer in offers if offer.target == target))
            for target in sorted({offer.target for offer in offers})
        ),
        documented=_documented(offers[0].opkg.version, offers),
        needed_by=_needing({name, *provided}, shelf),
        known=frozenset(shelf.offers),
        sources=shelf.sources,
    )


def _documented(version: str, offers: Sequence[Offer]) -> tuple[Artifact, ...]:
    """The API packages of a version, debs first: they hold the documents and a changelog."""
    found = [
        artifact
        for offer in offers
        if offer.opkg.version == version
        for artifact in offer.artifacts
        if artifact.part == "api"
    ]
    return tuple(sorted(found, key=lambda artifact: (artifact.file[:4] != "deb/", artifact.file)))


def _needing(names: set[str], shelf: Shelf) -> tuple[str, ...]:
    needs = (Kind.REQUIRES, Kind.RECOMMENDS, Kind.SUGGESTS)
    return tuple(
        other
        for other, offers in shelf.offers.items()
        if any(one.name in names and one.kind in needs for one in offers[0].opkg.relations)
    )


def _sources(index: Index) -> tuple[tuple[str, Source], ...]:
    """What clients are told to use, by name: a suite once for all of its architectures."""
    named = {source.suite or target: source for target, source in sorted(index.sources.items())}
    return tuple(named.items())
