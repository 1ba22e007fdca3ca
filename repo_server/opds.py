# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPD reads of a channel: the index of its OPKGs, under TUF metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy.orm import Session

from opkg import index
from opkg.document import decode
from opkg.errors import OpkgError
from opkg.manifest import Artifact, OpkgInfo
from opkg.target import Family, Target
from repo_server import catalog, chunks, oscar
from repo_server.debs import COMPONENT
from repo_server.draft import Draft
from repo_server.forms import PLAIN
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


def group(channel: str) -> str:
    """The group (see `chunks`) of a channel's offers."""
    return f"opd/{channel}"


def render(session: Session, keys: Sequence[str]) -> dict[str, bytes]:
    """What the index, and the old OPD's list, say of the offers whose numbers are `keys`."""
    found = [
        _offer(row, catalog.offered_packages(session, row))
        for row in catalog.offers(session, [int(key) for key in keys])
    ]
    return {
        index.NAME: b",\n".join(msgspec.json.encode(offer) for offer in found),
        oscar.PACKAGES: b"".join(oscar.entry(offer) for offer in found),
    }


def _offer(row: Offer, packages: Sequence[OfferedPackage]) -> index.Offer:
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
    draft: Draft, session: Session, channel: str, sources: Mapping[str, index.Source]
) -> None:
    """Write a channel's index, the TUF metadata over it, and the old OPD's list; `sources` are by
    target."""
    # Here, since it takes a while and few publications change an index.
    from repo_server import trust

    empty = index.Index(
        format=FORMAT,
        channel=channel,
        generation=draft.number,
        published=draft.date.isoformat(),
        keys=(draft.keys.public,),
        sources=dict(sources),
        mirrors=draft.repository.mirrors,
        offers=(),
    )
    # The offers are the last field.
    head = msgspec.json.encode(empty).removesuffix(b"]}")
    folder = f"opd/{channel}"
    parts = _document(head, chunks.pieces(session, [group(channel)], index.NAME, PLAIN))
    _, document = draft.write_named(f"{folder}/targets", f".{index.NAME}", parts)
    chunks.fill(session, group(channel), oscar.PACKAGES, partial(render, session))
    old = chunks.pieces(session, [group(channel)], oscar.PACKAGES, PLAIN)
    draft.write_parts(f"{folder}/{oscar.PACKAGES}", oscar.packages(old))
    for name, data in trust.roots(draft.repository.trust).items():
        draft.write(f"{folder}/metadata/{name}", data)
    files = trust.metadata(
        draft.repository.trust,
        {index.NAME: document},
        version=draft.number,
        expires=draft.valid_until,
    )
    for name, data in files.items():
        # All but the timestamp have their version in their name.
        draft.write(f"{folder}/metadata/{name}", data, lasting=name[0].isdigit())


def _document(head: bytes, offers: Iterable[bytes]) -> Iterator[bytes]:
    yield head + b"\n"
    for number, piece in enumerate(offers):
        yield (b",\n" if number else b"") + piece
    yield b"\n]}\n"


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
