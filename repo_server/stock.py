# SPDX-License-Identifier: GPL-2.0-or-later
"""What a publication changes: packages and offers that come and go, taken into the chunks of
their lists, and packages into the folders of the tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy.orm import Session

from opkg.target import Family, Target, known_targets
from repo_server import catalog, chunks, debs, history, opds, rpms
from repo_server.draft import Draft
from repo_server.history import Pending, Row
from repo_server.package import SOURCE, tree_path
from repo_server.repository import Repository
from repo_server.tables import AdvisoryRow, Offer, Placement


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What changes, by channel and target; the channels whose offers change; and whether
    advisories do."""

    packages: tuple[Pending, ...] = ()
    indexes: frozenset[str] = frozenset()
    advisories: bool = False

    def __bool__(self) -> bool:
        return bool(self.packages or self.indexes or self.advisories)

    def touch(self, channel: str, targets: Sequence[Target]) -> bool:
        """Whether a list that is for one of `targets` changes."""
        names = {target.name for target in targets}
        return any(one.channel == channel and one.target in names for one in self.packages)


def take_changes(draft: Draft, session: Session, channels: history.Channels) -> Changes:
    """Take all that waits in `channels` into the chunks of the lists and into the folders of
    packages, and let the catalog say that the draft shows it."""
    packages = history.pending_packages(session, channels)
    history.open_shelves(session, ((one.channel, one.target) for one in packages))
    shelves = history.shelves(session)
    table = known_targets()
    for one in packages:
        target = table.find(one.target)
        for row in one.come:
            path = tree_path(target.family, one.channel, target.name, row.path)
            draft.share_package(path, row.sha256)
            if row.architecture == SOURCE[Family.DEB]:
                for file in catalog.companions(session, row.sha256):
                    path = tree_path(target.family, one.channel, target.name, file.path)
                    draft.share_package(path, file.sha256)
        for group, come, gone in _groups(session, one, target, shelves):
            chunks.update(
                session,
                group,
                come=come,
                gone=gone,
                forms=target.distribution.index_compression,
                render=catalog.render(session, _lists(target, draft.repository)),
            )
    offers = history.pending_offers(session, channels)
    for channel, (new, old) in offers.items():
        chunks.update(
            session,
            opds.group(channel),
            come=[str(number) for number in new],
            gone=[str(number) for number in old],
            forms=(),
            render=lambda keys: opds.render(session, keys),
        )
    advisories = history.advisories_change(session, channels)
    changed: dict[history.Table, object] = {
        Placement: packages,
        Offer: offers,
        AdvisoryRow: advisories,
    }
    tables = [table for table, changes in changed.items() if changes]
    history.turn(session, draft.number, channels, tables)
    return Changes(packages=tuple(packages), indexes=frozenset(offers), advisories=advisories)


def _lists(target: Target, repository: Repository) -> Mapping[str, catalog.Join]:
    """The lists that a target's packages are in."""
    if target.family is Family.RPM:
        return dict.fromkeys(rpms.LISTS, "".join)
    return debs.LISTS if repository.contents else debs.PLAIN_LISTS


def _groups(
    session: Session, pending: Pending, target: Target, shelves: Sequence[tuple[str, str]]
) -> Iterable[tuple[str, list[str], list[str]]]:
    """The groups that are changed, with the digests of what comes and goes."""
    # A suite has a package once, whichever of its platform's targets it came for.
    sharing = [
        name
        for channel, name in shelves
        if channel == pending.channel
        and (name == target.name or target.family is Family.DEB)
        and known_targets().find(name).platform == target.platform
    ]

    def stays(row: Row) -> bool:
        return catalog.is_placed(session, row.sha256, pending.channel, sharing)

    rows = [(row, True) for row in pending.come]
    rows += [(row, False) for row in pending.gone if not stays(row)]
    rows.sort(key=lambda row: _group(pending, target, row[0]))
    for group, members in groupby(rows, key=lambda row: _group(pending, target, row[0])):
        found = list(members)
        yield (
            group,
            [row.sha256 for row, comes in found if comes],
            [row.sha256 for row, comes in found if not comes],
        )


def _group(pending: Pending, target: Target, row: Row) -> str:
    if target.family is Family.DEB:
        return debs.group(pending.channel, target.platform, row.architecture)
    return rpms.group(pending.channel, target.name, row.architecture)
