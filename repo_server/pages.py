# SPDX-License-Identifier: GPL-2.0-or-later
"""What the web pages say, made from the live tree's indexes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from opkg.files import sha256_file
from opkg.index import Index, Offer, Source
from opkg.version import Version
from repo_server.opds import read_index
from repo_server.publish import TUF_ROOT
from repo_server.repository import Repository


@dataclass(frozen=True, kw_only=True)
class Site:
    """The repository itself, at the address it was asked for; `slug` names files on clients."""

    origin: str
    slug: str
    url: str
    openpgp: str
    root: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """An OPKG in a channel's table: its newest version for each target, empty for none."""

    name: str
    summary: str
    versions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel: its table, and where native clients find its packages."""

    name: str
    published: str
    targets: tuple[str, ...]
    rows: tuple[Row, ...]
    sources: tuple[tuple[str, Source], ...]


@dataclass(frozen=True, kw_only=True)
class OpkgPage:
    """An OPKG in a channel; `latest` describes it, `offers` are by target, the newest first."""

    channel: str
    latest: Offer
    offers: tuple[tuple[str, tuple[Offer, ...]], ...]


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


@lru_cache(maxsize=4)
def indexes(tree: Path) -> dict[str, Index]:
    """The index of every channel of a generation, whose content never changes."""
    names = sorted(folder.name for folder in tree.glob("opd/*/"))
    return {name: read_index(tree, name) for name in names}


def channels(tree: Path) -> list[Channel]:
    """Every channel of a generation."""
    return [_channel(index) for index in indexes(tree).values()]


def opkg(tree: Path, channel: str, name: str) -> OpkgPage | None:
    """An OPKG's page, or None where the channel does not offer it."""
    index = indexes(tree).get(channel)
    offers = [offer for offer in index.offers if offer.opkg.name == name] if index else []
    if not offers:
        return None
    newest_first = sorted(offers, key=lambda offer: _version(offer).rank, reverse=True)
    targets = sorted({offer.target for offer in offers})
    return OpkgPage(
        channel=channel,
        latest=newest_first[0],
        offers=tuple(
            (target, tuple(offer for offer in newest_first if offer.target == target))
            for target in targets
        ),
    )


def _channel(index: Index) -> Channel:
    targets = tuple(sorted(index.sources))
    by_name: dict[str, list[Offer]] = {}
    for offer in sorted(index.offers, key=lambda offer: _version(offer).rank, reverse=True):
        by_name.setdefault(offer.opkg.name, []).append(offer)
    return Channel(
        name=index.channel,
        published=index.published,
        targets=targets,
        rows=tuple(_row(by_name[name], targets) for name in sorted(by_name)),
        sources=_sources(index),
    )


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


def _sources(index: Index) -> tuple[tuple[str, Source], ...]:
    """What clients are told to use, by name: a suite once for all of its architectures."""
    named = {source.suite or target: source for target, source in sorted(index.sources.items())}
    return tuple(named.items())


def _version(offer: Offer) -> Version:
    return Version.parse(offer.opkg.version)
