# SPDX-License-Identifier: GPL-2.0-or-later
"""The OPKG index: what a channel of a repository offers. The repository server writes it, under
TUF metadata; OPD reads it. All paths are relative to the root of the published tree."""

from __future__ import annotations

import msgspec

from opkg.manifest import Artifact, OpkgInfo
from opkg.target import Family

NAME = "index.json"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a native client finds a target's packages: for deb, an archive with `suite` and
    `component`; for rpm, a folder with repodata/."""

    family: Family
    path: str
    suite: str = ""
    component: str = ""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an OPKG for one target; the artifacts' `file` is a path in the tree."""

    target: str
    opkg: OpkgInfo
    artifacts: tuple[Artifact, ...]


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel offers. `sources` is by target; `keys` are the armored OpenPGP keys that
    sign the packages and their metadata; `published` is ISO 8601; `mirrors` are addresses of copies
    of the tree, for downloads."""

    format: int
    channel: str
    generation: int
    published: str
    keys: tuple[str, ...]
    sources: dict[str, Source]
    mirrors: tuple[str, ...] = ()
    offers: tuple[Offer, ...]
