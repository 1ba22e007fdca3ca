# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPD tells of repositories and of the OPKGs on offer, as rows, records and text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import click
from rich.filesize import decimal

from opd.oda import Repository
from opd.repository import Known
from opkg.index import Offer
from opkg.manifest import OpkgRelation
from opkg.spec import Kind
from opkg.version import Version

# Text that a person reads is no wider, on any terminal.
_WIDTH = 79


def newest(known: Sequence[Known]) -> dict[str, tuple[Known, list[Offer]]]:
    """For each OPKG the repository that has its newest version, and the offers of that version,
    a target each."""
    found: dict[str, tuple[Known, list[Offer]]] = {}
    for entry in known:
        for offer in entry.index.offers:
            name = offer.opkg.name
            if name not in found or _version(offer).rank > _version(found[name][1][0]).rank:
                found[name] = (entry, [offer])
            elif entry is found[name][0] and _version(offer) == _version(found[name][1][0]):
                found[name][1].append(offer)
    return dict(sorted(found.items()))


def opkg_names(known: Known) -> list[str]:
    """The OPKGs that a repository offers."""
    return sorted({offer.opkg.name for offer in known.index.offers})


def repository(row: Repository) -> dict[str, object]:
    """A repository, for --json."""
    return {
        "name": row.name,
        "url": row.url,
        "channel": row.channel,
        "root_sha256": row.root_sha256,
        "mirrors": row.mirrors.split(),
    }


def _version(offer: Offer) -> Version:
    return Version.parse(offer.opkg.version)


def matches(offer: Offer, words: Iterable[str]) -> bool:
    """Whether every word stands in the OPKG's name, summary or description."""
    text = f"{offer.opkg.name} {offer.opkg.summary} {offer.opkg.description}".lower()
    return all(word.lower() in text for word in words)


def details(known: Known, offers: Sequence[Offer]) -> str:
    """All about an OPKG: what holds for every target, then its packages for each."""
    opkg = offers[0].opkg
    relations = {
        kind: [_relation_text(relation) for relation in opkg.relations if relation.kind is kind]
        for kind in Kind
    }
    facts = {
        "Licence": opkg.licence,
        "Home": opkg.uri,
        "Maintainer": opkg.maintainer,
        "Changed": opkg.changed[:10],
        **{kind.value.capitalize(): ", ".join(names) for kind, names in relations.items()},
        "Scripts": ", ".join(opkg.scripts),
    }
    lines = [
        f"{opkg.name} {opkg.version} ({opkg.category}), from {known.repository.name}",
        opkg.summary,
        "",
        click.wrap_text(opkg.description, _WIDTH, preserve_paragraphs=True),
        "",
        *titled(facts),
    ]
    for offer in offers:
        lines += ["", offer.target]
        lines += [f"  {a.name} {a.version}  {decimal(a.size)}" for a in offer.artifacts]
    return "\n".join(lines)


def titled(facts: Mapping[str, str]) -> list[str]:
    """Facts by their titles, each in a line or several; what is empty is left out."""
    return [
        click.wrap_text(value, _WIDTH, f"{title:<12}", " " * 12)
        for title, value in facts.items()
        if value
    ]


def _relation_text(relation: OpkgRelation) -> str:
    bound = f" ({relation.rel} {relation.version})" if relation.rel else ""
    return relation.name + bound
