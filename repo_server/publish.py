# SPDX-License-Identifier: GPL-2.0-or-later
"""Publishing: the next generation is made beside the live one and shown by one swap.

What did not change is taken from the live generation by links, and packages are in folders that
all generations share: a publication costs what it changes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby

from sqlalchemy.orm import Session

from opkg.files import point
from opkg.target import Family, Target, known_targets
from repo_server import chunks, debs, history, opds, oscar, rpms
from repo_server.disk import flush_all
from repo_server.draft import Draft
from repo_server.package import PACKAGES, SOURCE, tree_path
from repo_server.repository import CURRENT, ROOT_FILE, TOPS, Progress, Repository, changing
from repo_server.stock import Changes, take_changes
from repo_server.tables import Generation

# How long clients take the metadata; publish again before it ends.
LIFETIME = timedelta(days=14)
# What a publication does not change keeps its dates for as long.
FRESH = timedelta(days=1)

OPENPGP_KEY = "keys/repository.asc"
TUF_ROOT = f"keys/{ROOT_FILE}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """How many packages came into a channel for a target with a publication, and how many left."""

    channel: str
    target: str
    packages: int
    removed: int


@dataclass(frozen=True, kw_only=True)
class Published:
    """A publication; the dates are ISO 8601."""

    generation: int
    published: str
    valid_until: str
    changes: tuple[Change, ...]


def publish(
    repository: Repository,
    progress: Progress,
    *,
    channels: history.Channels = None,
    now: datetime | None = None,
) -> Published:
    """Show everything that was added, and nothing that was removed, in `channels` or in all, and
    return what that changed. Without any change, all dates are renewed. Raises OpkgError."""
    with changing(repository, progress) as session:
        return publish_within(repository, session, progress, channels=channels, now=now)


def renew(
    repository: Repository, progress: Progress, *, age: timedelta, now: datetime | None = None
) -> Published | None:
    """Give what is live new dates, if it is as old as `age`, and show nothing else: what waits
    keeps waiting. Returns None where it is younger."""
    date = now or datetime.now(UTC)
    with changing(repository, progress) as session:
        renewed = history.renewed(session, repository.live_number())
        if renewed and date - renewed < age:
            return None
        return publish_within(repository, session, progress, now=date, renewing=True)


def publish_within(
    repository: Repository,
    session: Session,
    progress: Progress,
    *,
    channels: history.Channels = None,
    now: datetime | None = None,
    renewing: bool = False,
) -> Published:
    """`publish`, of `channels` or of all, or `renew` at any age, within a change that was begun."""
    date = (now or datetime.now(UTC)).replace(microsecond=0)
    before = repository.live_number()
    # Clients take a lower number than one that they have seen for an attack, so none is used
    # again, even where the live tree was lost.
    number = max(before, history.last_generation(session)) + 1
    draft = Draft(
        repository=repository,
        keys=repository.keys,
        number=number,
        date=date,
        valid_until=date + LIFETIME,
        before=repository.generation(before),
    )
    progress(f"writing generation {number} …")
    changes = Changes() if renewing else take_changes(draft, session, channels)
    renewed = history.renewed(session, before)
    # A date to come is that of a clock that was wrong.
    if not changes or renewed is None or not timedelta() <= date - renewed < FRESH:
        renewed = date
    _write(draft, session, changes, old=history.own_files(session, before), anew=renewed == date)
    _carry_over(draft, session)
    draft.settle()
    _record(draft, session, renewed)
    _show(draft)
    oldest = history.oldest_kept(session, number, date)
    for folder in draft.root.parent.iterdir():
        if int(folder.name) < oldest:
            shutil.rmtree(folder)
    return Published(
        generation=number,
        published=date.isoformat(),
        valid_until=draft.valid_until.isoformat(),
        changes=tuple(
            Change(
                channel=one.channel,
                target=one.target,
                packages=len(one.come),
                removed=len(one.gone),
            )
            for one in changes.packages
        ),
    )


def _write(
    draft: Draft, session: Session, changes: Changes, *, old: Sequence[str], anew: bool
) -> None:
    """Write the whole tree but for what earlier generations leave to it. Unless it is all to be
    made `anew`, what does not change is taken from the live one, whose lasting files are `old`."""
    draft.write(OPENPGP_KEY, draft.keys.public)
    draft.write(TUF_ROOT, (draft.repository.trust / ROOT_FILE).read_bytes())
    shelves = history.shelves(session)
    if draft.repository.url:
        channels = dict.fromkeys(channel for channel, _ in shelves)
        data = oscar.repositories(draft.repository.origin, draft.repository.url, channels)
        draft.write(f"opd/{oscar.REPOSITORIES}", data)
    table = known_targets()

    def folder(path: str, changed: bool, write: Callable[[], None]) -> None:
        if changed or anew or not (draft.before / path).is_dir():
            write()
        else:
            draft.take_over(path, old)

    for channel, rows in groupby(shelves, key=lambda row: row[0]):
        targets = [table.find(name) for _, name in rows]
        for platform, members in groupby(targets, key=lambda target: target.platform):
            of_platform = list(members)
            if of_platform[0].family is Family.DEB:
                folder(
                    debs.suite_folder(channel, platform),
                    changes.touch(channel, of_platform),
                    partial(debs.write_suite, draft, session, channel, of_platform),
                )
                continue
            for target in of_platform:
                changed = changes.advisories or changes.touch(channel, [target])
                for path in _repositories(draft, session, channel, target):
                    folder(
                        f"{path}/repodata",
                        changed,
                        partial(rpms.write_repodata, draft, session, path, channel, target),
                    )
                    draft.share(f"{path}/{PACKAGES[Family.RPM]}")
        if any(target.family is Family.DEB for target in targets):
            draft.share(f"{tree_path(Family.DEB, channel, '')}/{PACKAGES[Family.DEB]}")
        sources = {target.name: opds.source(channel, target) for target in targets}
        known = all(
            (draft.before / tree_path(target.family, channel, target.name)).is_dir()
            for target in targets
        )
        folder(
            f"opd/{channel}",
            channel in changes.indexes or not known,
            partial(opds.write_channel, draft, session, channel, sources),
        )


def _repositories(draft: Draft, session: Session, channel: str, target: Target) -> Iterator[str]:
    """The folders of a target's repositories: that of source packages once there was one."""
    yield rpms.group(channel, target.name, target.independent)
    sources = rpms.group(channel, target.name, SOURCE[Family.RPM])
    if chunks.count(session, [sources]) or (draft.before / sources).is_dir():
        yield sources


def _carry_over(draft: Draft, session: Session) -> None:
    """Keep what clients that hold the metadata of a kept generation may still ask for."""
    oldest = history.oldest_kept(session, draft.number, draft.date)
    for path in history.files(session, since=oldest):
        with contextlib.suppress(FileNotFoundError):
            draft.link(path, f"{draft.before}/{path}")


def _record(draft: Draft, session: Session, renewed: datetime) -> None:
    """Note the generation in the catalog."""
    row = Generation(
        number=draft.number,
        published=draft.date.isoformat(),
        renewed=renewed.isoformat(),
        files="\n".join(sorted(draft.lasting)),
    )
    session.add(row)
    session.commit()


def _show(draft: Draft) -> None:
    """Let clients see the generation."""
    live = draft.repository.live
    for top in TOPS:
        if not (live / top).is_symlink():
            point(live / top, f"{CURRENT}/{top}")
    point(draft.repository.current, os.path.relpath(draft.root, live))
    flush_all([live])
