# SPDX-License-Identifier: GPL-2.0-or-later
"""Publishing: the next generation is made beside the live one and shown by one swap."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sqlalchemy.orm import Session

from opkg.files import point
from opkg.target import Family, Target, known_targets
from repo_server import catalog, debs, opds, rpms, trust
from repo_server.draft import Draft
from repo_server.openpgp import keyring
from repo_server.package import tree_path
from repo_server.repository import Progress, Repository, changing, settle
from repo_server.tables import Content, Generation

# How long clients take the metadata; publish again before it ends.
LIFETIME = timedelta(days=14)
# Generations that stay on the disk; files that the metadata of any of them names stay live.
KEPT = 5

OPENPGP_KEY = "keys/repository.asc"
TUF_ROOT = f"keys/{trust.ROOT_FILE}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """How many packages a publication showed first, in a channel for a target."""

    channel: str
    target: str
    packages: int


@dataclass(frozen=True, kw_only=True)
class Published:
    """A publication; the dates are ISO 8601."""

    generation: int
    published: str
    valid_until: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """What a channel has for some targets of one folder: its packages and their fragments."""

    packages: Sequence[Content]
    fragments: dict[tuple[str, str], str]

    def entries(self, kind: str) -> list[str]:
        return [self.fragments[package.sha256, kind] for package in self.packages]


def publish(
    repository: Repository, progress: Progress, *, now: datetime | None = None
) -> Published:
    """Show everything that was added, under new dates, and return what that changed."""
    date = (now or datetime.now(UTC)).replace(microsecond=0)
    with (
        changing(repository, progress) as session,
        keyring(repository.private, repository.fingerprint) as keys,
    ):
        before = repository.live_number()
        # Clients take a lower number than one that they have seen for an attack, so none is used
        # again, even where the live tree was lost.
        number = max(before, catalog.last_generation(session)) + 1
        draft = Draft(
            repository=repository,
            keys=keys,
            number=number,
            date=date,
            valid_until=date + LIFETIME,
        )
        progress(f"writing generation {draft.number} …")
        _write(draft, session)
        _carry_over(draft, session, before)
        changes = _record(draft, session)
        settle(repository.directory)
        point(repository.live, os.path.relpath(draft.root, repository.directory))
        settle(repository.directory)
        for folder in draft.root.parent.iterdir():
            if int(folder.name) <= draft.number - KEPT:
                shutil.rmtree(folder)
    return Published(
        generation=draft.number,
        published=draft.date.isoformat(),
        valid_until=draft.valid_until.isoformat(),
        changes=changes,
    )


def _write(draft: Draft, session: Session) -> None:
    """Write the whole tree but for what earlier generations leave to it."""
    draft.write(OPENPGP_KEY, draft.keys.public)
    draft.write(TUF_ROOT, (draft.repository.trust / trust.ROOT_FILE).read_bytes())
    table = known_targets()
    for channel, rows in groupby(catalog.shelves(session), key=lambda row: row[0]):
        targets = [table.find(name) for _, name in rows]
        for _, of_platform in groupby(targets, key=lambda target: target.platform):
            _write_platform(draft, session, channel, list(of_platform))
        _write_index(draft, session, channel, targets)


def _write_platform(
    draft: Draft, session: Session, channel: str, targets: Sequence[Target]
) -> None:
    """Write a suite of the channel's archive, or an RPM repository for each of the targets."""
    if targets[0].family is Family.DEB:
        shelf = _fill_shelf(draft, session, channel, targets)
        architectures = [package.architecture for package in shelf.packages]
        stanzas = zip(architectures, shelf.entries(debs.STANZA), strict=True)
        debs.write_suite(draft, channel, targets, stanzas)
        return
    for target in targets:
        shelf = _fill_shelf(draft, session, channel, [target])
        lists = {kind: shelf.entries(kind) for kind in rpms.LISTS}
        rpms.write_repodata(draft, tree_path(target.family, channel, target.name), target, lists)


def _fill_shelf(draft: Draft, session: Session, channel: str, targets: Sequence[Target]) -> Shelf:
    """Put a channel's packages for `targets`, which share a folder, into the tree."""
    names = [target.name for target in targets]
    shelf = Shelf(
        packages=catalog.on_shelves(session, channel, names),
        fragments=catalog.fragments(session, channel, names),
    )
    for package in shelf.packages:
        path = tree_path(package.family, channel, names[0], package.path)
        draft.link_package(path, package.sha256)
    return shelf


def _write_index(draft: Draft, session: Session, channel: str, targets: Sequence[Target]) -> None:
    packages = catalog.offered_packages(session, channel)
    offers = [
        opds.offer(row, packages.get((row.target, row.opkg, row.version), []))
        for row in catalog.offers(session, channel)
    ]
    sources = {target.name: opds.source(channel, target) for target in targets}
    opds.write_channel(draft, channel, offers, sources)


def _carry_over(draft: Draft, session: Session, before: int) -> None:
    """Keep what clients that hold the metadata of a kept generation may still ask for."""
    for path in catalog.kept_files(session, since=draft.number - KEPT + 1):
        origin = draft.repository.generation(before) / path
        if origin.exists():
            draft.link(path, origin)


def _record(draft: Draft, session: Session) -> tuple[Change, ...]:
    """Note the generation in the catalog, and return what it is the first to show."""
    changes = tuple(
        Change(channel=channel, target=target, packages=count)
        for channel, target, count in catalog.waiting(session)
    )
    files = "\n".join(sorted(draft.lasting))
    row = Generation(number=draft.number, published=draft.date.isoformat(), files=files)
    catalog.record(session, row)
    session.commit()
    return changes
