# SPDX-License-Identifier: GPL-2.0-or-later
"""Looking after a repository: what its generations were, repairing its tree, replacing its keys."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from repo_server import catalog, openpgp, trust
from repo_server.check import Report, check
from repo_server.package import tree_path
from repo_server.publish import Published, publish_within
from repo_server.repository import (
    Progress,
    Repository,
    changing,
    owner,
)
from repo_server.settings import read_settings, write_settings
from repo_server.tables import Generation, Placement


@dataclass(frozen=True, kw_only=True)
class Past:
    """A generation: when it was published, whether it is live or its tree is still there, and the
    packages that each channel got and lost with it."""

    number: int
    published: str
    state: str
    channels: dict[str, tuple[int, int]]


def generations(repository: Repository) -> list[Past]:
    """What was published, the newest last."""
    live = repository.live_number()
    with catalog.opened(repository.directory) as session:
        come = _counted(session, Placement.since)
        gone = _counted(session, Placement.until)
        rows = session.scalars(
            select(Generation).where(Generation.number <= live).order_by(Generation.number)
        )
        return [
            Past(
                number=row.number,
                published=row.published,
                state=_state(repository, row.number, live),
                channels={
                    channel: (come[row.number][channel], gone[row.number][channel])
                    for channel in sorted(come[row.number].keys() | gone[row.number].keys())
                },
            )
            for row in rows
        ]


def _counted(
    session: Session, column: InstrumentedAttribute[int | None]
) -> defaultdict[int | None, Counter[str]]:
    """How many packages each channel has by a column of placements, by that column."""
    found: defaultdict[int | None, Counter[str]] = defaultdict(Counter)
    for number, channel in session.execute(select(column, Placement.channel)):
        found[number][channel] += 1
    return found


def _state(repository: Repository, number: int, live: int) -> str:
    if number == live:
        return "live"
    return "kept" if repository.generation(number).is_dir() else "past"


def repair(repository: Repository, progress: Progress) -> Report:
    """Put packages that are missing or damaged in the tree or in the pool back from the other of
    the two, publish all metadata anew, and return what is still wrong."""
    with changing(repository, progress) as session:
        for row in catalog.placements(session, None):
            content = row.content
            files = {content.path: content.sha256}
            files |= {file.path: file.sha256 for file in catalog.companions(session, row.sha256)}
            for name, sha256 in files.items():
                path = tree_path(content.family, row.channel, row.target, name)
                if row.since is not None:
                    repository.pool.mend(sha256, repository.packages / path)
        publish_within(repository, session, progress, renewing=True)
    return check(repository.live)


def rotate_tuf(repository: Repository, progress: Progress) -> tuple[int, Published]:
    """Replace the TUF keys of all roles, publish under the new ones, and return the new root's
    version. Clients follow by themselves. Raises OpkgError where the old root key is not there."""
    with changing(repository, progress) as session:
        version = trust.rotate(repository.trust, datetime.now(UTC).replace(microsecond=0))
        return version, publish_within(repository, session, progress, renewing=True)


def rotate_openpgp(repository: Repository, progress: Progress) -> tuple[str, Published]:
    """Make a new OpenPGP key that the old one signs, publish metadata that both sign, and return
    the new key's fingerprint. It signs the packages that come from now on."""
    with changing(repository, progress) as session:
        now = datetime.now(UTC).replace(microsecond=0)
        progress("making a key …")
        old = repository.fingerprints
        name = openpgp.generate(repository.keys.folder, owner(repository), now, voucher=old[-1])
        settings = read_settings(repository.directory)
        write_settings(repository.directory, replace(settings, openpgp=(*old, name)))
        changed = replace(repository, fingerprints=(*old, name))
        return name, publish_within(changed, session, progress, renewing=True)


def announce(repository: Repository, addresses: Sequence[str], progress: Progress) -> Published:
    """Tell OPD, in what is live, that copies of the tree are at these addresses and no others."""
    with changing(repository, progress) as session:
        settings = replace(read_settings(repository.directory), mirrors=tuple(addresses))
        write_settings(repository.directory, settings)
        changed = replace(repository, mirrors=settings.mirrors)
        return publish_within(changed, session, progress, renewing=True)
