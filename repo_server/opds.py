# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPD reads of a channel: the index of its OPKGs, under TUF metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from opkg import index
from opkg.document import decode, encode
from opkg.errors import OpkgError
from opkg.files import sha256_bytes
from opkg.manifest import Artifact, OpkgInfo
from opkg.target import Family, Target
from repo_server import trust
from repo_server.debs import COMPONENT
from repo_server.draft import Draft
from repo_server.package import tree_path
from repo_server.tables import Offer, OfferedPackage

FORMAT = 1


def source(channel: str, target: Target) -> index.Source:
    """Where a native client finds the packages of a channel for a target."""
    path = tree_path(target.family, channel, target.name)
    if target.family is Family.DEB:
        return index.Source(
            family=target.family, path=path, suite=target.platform, component=COMPONENT
        )
    return index.Source(family=target.family, path=path)


def offer(row: Offer, packages: Sequence[OfferedPackage]) -> index.Offer:
    """An offer as the index spells it, from its rows in the catalog."""
    artifacts = tuple(
        Artifact(
            opkg=row.opkg,
            part=package.part,
            name=package.content.name,
            version=package.content.version,
            architecture=package.content.architecture,
            file=tree_path(package.content.family, row.channel, row.target, package.content.path),
            size=package.content.size,
            sha256=package.content.sha256,
        )
        for package in packages
    )
    info = msgspec.json.decode(row.info, type=OpkgInfo)
    return index.Offer(target=row.target, opkg=info, artifacts=artifacts)


def write_channel(
    draft: Draft,
    channel: str,
    offers: Sequence[index.Offer],
    sources: Mapping[str, index.Source],
) -> None:
    """Write a channel's index and the TUF metadata over it; `sources` are by target."""
    document = encode(
        index.Index(
            format=FORMAT,
            channel=channel,
            generation=draft.number,
            published=draft.date.isoformat(),
            keys=(draft.keys.public,),
            sources=dict(sources),
            offers=tuple(offers),
        )
    )
    folder = f"opd/{channel}"
    draft.write(f"{folder}/targets/{sha256_bytes(document)}.{index.NAME}", document, lasting=True)
    keys = draft.repository.trust
    draft.write(f"{folder}/metadata/1.{trust.ROOT_FILE}", (keys / trust.ROOT_FILE).read_bytes())
    files = trust.metadata(
        keys, {index.NAME: document}, version=draft.number, expires=draft.valid_until
    )
    for name, data in files.items():
        # All but the timestamp have their version in their name.
        draft.write(f"{folder}/metadata/{name}", data, lasting=name[0].isdigit())


def read_index(tree: Path, channel: str) -> index.Index:
    """The index that a published tree shows for a channel, its signatures unchecked: for the
    tree's own server. Raises OpkgError where it cannot be read."""
    folder = tree / "opd" / channel
    try:
        timestamp = msgspec.json.decode((folder / "metadata/timestamp.json").read_bytes())
        version = timestamp["signed"]["version"]
        targets = msgspec.json.decode((folder / f"metadata/{version}.targets.json").read_bytes())
        digest = targets["signed"]["targets"][index.NAME]["hashes"]["sha256"]
        path = folder / f"targets/{digest}.{index.NAME}"
        return decode(path.read_bytes(), index.Index, where=str(path))
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise OpkgError(
            f"the channel's index cannot be read: {error}",
            where=str(folder),
            hint="run opkg-repo check, then opkg-repo publish",
        ) from error
