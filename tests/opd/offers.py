# SPDX-License-Identifier: GPL-2.0-or-later
"""OPKGs on offer, made up in memory."""

from __future__ import annotations

from collections.abc import Sequence

from opd.oda import Repository
from opd.repository import Known
from opkg.index import Index, Offer, Source
from opkg.manifest import Artifact, OpkgInfo, OpkgRelation
from opkg.spec import Kind, Part
from opkg.target import Family

TARGET = "debian-12-x86_64"


def relation(kind: Kind, name: str, bound: str = "") -> OpkgRelation:
    """A relation; the bound is written as in ">= 2.0-1"."""
    rel, _, version = bound.partition(" ")
    return OpkgRelation(kind=kind, name=name, rel=rel, version=version)


def offer(
    name: str,
    version: str,
    *relations: OpkgRelation,
    target: str = TARGET,
    tag: str = "~deb12",
    summary: str = "",
) -> Offer:
    """An OPKG with its three parts."""
    return Offer(
        target=target,
        opkg=OpkgInfo(
            name=name,
            version=version,
            category="included",
            summary=summary or f"The OPKG {name}",
            description="First paragraph.\n\nSecond.",
            licence="GPL",
            groups=("System",),
            uri="",
            maintainer="Max <max@sample.example>",
            relations=relations,
            scripts=(),
            changed="2026-03-01T12:00:00+01:00",
        ),
        artifacts=tuple(
            Artifact(
                opkg=name,
                part=part,
                name=part.package(name),
                version=version + tag,
                architecture="all",
                file=f"pool/{part.package(name)}.deb",
                size=1234,
                sha256="0" * 64,
            )
            for part in Part
        ),
    )


def known(
    *offers: Offer, name: str = "test", keys: Sequence[str] = (), source: Source | None = None
) -> Known:
    """A trusted repository that offers this."""
    source = source or Source(
        family=Family.DEB, path="deb/stable", suite="debian-12", component="main"
    )
    return Known(
        repository=Repository(
            name=name,
            url="http://host.example/top",
            channel="stable",
            root_sha256="0" * 64,
            mirrors="",
        ),
        index=Index(
            format=1,
            channel="stable",
            generation=1,
            published="2026-03-01T12:00:00+00:00",
            keys=tuple(keys),
            sources={each.target: source for each in offers},
            offers=offers,
        ),
    )
