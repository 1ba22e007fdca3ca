# SPDX-License-Identifier: GPL-2.0-or-later
"""From uploads to what clients install: completions that come at once are published together.

Each leaves a ticket, then waits for its turn. Whoever gets the turn first publishes all tickets
that are there, in whichever process they were made, and writes an answer to each; the others find
theirs. A ticket that is refused is left out, and does the others no harm.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from opkg.document import decode, encode
from opkg.errors import OpkgError
from opkg.files import write_atomic
from opkg.target import known_targets
from repo_server import deb_changes, garbage, intake, uploads
from repo_server.batch import read_batch
from repo_server.intake import Added, Staged
from repo_server.package import Package
from repo_server.problems import RefusedError, problem, problem_of
from repo_server.publish import publish_within
from repo_server.repository import FullDiskError, Progress, Repository, changing, is_full, room
from repo_server.uploads import Upload

_TICKET, _ANSWER = "ticket.json", "answer.json"
_log = logging.getLogger(__name__)


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Packages that were read and wait to be published: the paths of what was given, and what was
    read, and who vouched for it, by paths."""

    channel: str
    target: str
    files: tuple[str, ...]
    packages: dict[str, Package]
    vouchers: dict[str, str]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a ticket: the generation that shows it, or a problem."""

    generation: int = 0
    added: tuple[Added, ...] = ()
    problem: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A ticket and the folder that it is in."""

    folder: Path
    ticket: Ticket

    def answer(self, answer: Answer) -> None:
        try:
            write_atomic(self.folder / _ANSWER, encode(answer), mode=0o600)
        except OSError as error:
            if not is_full(error):
                raise
            # Whoever waits for it finds none, and says so.
            _log.error("an answer found no room on the disk")


def complete(repository: Repository, found: Sequence[Upload], progress: Progress) -> Answer:
    """Take uploads of one owner in, all or none, and publish them: when this returns, clients can
    install them, or the answer says why not, and nothing is kept. Raises RefusedError where they
    do not belong together, or are not whole."""
    first = found[0]
    if any((one.channel, one.target) != (first.channel, first.target) for one in found):
        raise RefusedError(422, "uploads are completed together for one channel and one target")
    if len({one.name for one in found}) != len(found):
        raise RefusedError(422, "two of these uploads have the same name")
    for upload in found:
        uploads.verify(repository, upload)
    files = {upload.name: uploads.data(repository, upload) for upload in found}
    try:
        answer = take(repository, first.channel, first.target, files, progress)
    except FullDiskError:
        for upload in found:
            uploads.remove(repository, upload)
        raise
    if not answer.problem:
        memory = _memory(repository, first.owner, [upload.id for upload in found])
        # Without it, one whose answer is lost is told to send all of it again, which is harmless.
        with suppress(OSError):
            write_atomic(memory, encode(answer), mode=0o600)
    for upload in found:
        uploads.remove(repository, upload)
    return answer


def remembered(repository: Repository, owner: str, numbers: Sequence[str]) -> Answer | None:
    """What became of these uploads, if they were completed together not long ago."""
    memory = _memory(repository, owner, numbers)
    if not memory.exists():
        return None
    for number in numbers:
        # A killed process may have left some.
        shutil.rmtree(uploads.folder(repository) / number, ignore_errors=True)
    return decode(memory.read_bytes(), Answer, where="answer")


def _memory(repository: Repository, owner: str, numbers: Sequence[str]) -> Path:
    words = "\0".join([owner, *sorted(numbers)])
    return uploads.folder(repository) / f"done-{hashlib.sha256(words.encode()).hexdigest()}"


def take(
    repository: Repository,
    channel: str,
    target: str,
    files: Mapping[str, Path],
    progress: Progress,
) -> Answer:
    """Publish files, by their names, in a channel. Raises FullDiskError."""
    with room(repository), uploads.workplace(repository) as folder:
        inbox = folder / "in"
        try:
            ticket = _prepare(repository, channel, target, files, folder)
            write_atomic(folder / _TICKET, encode(ticket), mode=0o600)
        except OpkgError as error:
            return Answer(problem=problem_of(error, repository, str(inbox)))
        with uploads.turn(repository):
            if not (folder / _ANSWER).exists():
                _publish(repository, list(_turns(repository)), progress)
        if not (folder / _ANSWER).exists():
            raise FullDiskError(
                "the disk is full: there is no room for what became of this",
                hint="make room, and send it again: what was published is told to have been there",
            )
        return decode((folder / _ANSWER).read_bytes(), Answer, where="answer")


def _prepare(
    repository: Repository, channel: str, target: str, files: Mapping[str, Path], folder: Path
) -> Ticket:
    """Read files, by their names, in a folder of their own, and let them wait to be published."""
    inbox = folder / "in"
    for name, path in files.items():
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(path, inbox / name)
    chosen = known_targets().find(target) if target else None
    given = _given(inbox, list(files))
    staged = intake.stage(repository, channel, read_batch(given, chosen), folder / "staged")
    return Ticket(
        channel=channel,
        target=target,
        files=tuple(str(path) for path in given),
        packages={str(path): package for path, package in staged.packages.items()},
        vouchers={str(path): name for path, name in staged.vouchers.items()},
    )


def _given(inbox: Path, names: Sequence[str]) -> list[Path]:
    """What `add` would be given: manifests, .changes, and packages that none of them names."""
    paths = [inbox / name for name in names]
    manifests = [path for path in paths if path.suffix in (".json", deb_changes.SUFFIX)]
    brought = {item.path for item in read_batch(manifests, None).items}
    kinds = (".deb", ".rpm", ".dsc")
    packages = [path for path in paths if path.suffix in kinds and path not in brought]
    if not manifests and not packages:
        raise OpkgError(
            "there is no package and no manifest among these files",
            hint="names end in .deb, .rpm, .dsc, .changes or .json",
        )
    return manifests + packages


def _turns(repository: Repository) -> Iterator[Turn]:
    """All tickets without an answer."""
    for path in sorted(uploads.folder(repository).glob(f"{uploads.WORKPLACE}*/{_TICKET}")):
        if (path.parent / _ANSWER).exists():
            continue
        with suppress(FileNotFoundError):  # it was answered, and is taken away just now
            ticket = decode(path.read_bytes(), Ticket, where=_TICKET)
            yield Turn(folder=path.parent, ticket=ticket)


def _publish(repository: Repository, turns: Sequence[Turn], progress: Progress) -> None:
    """Publish tickets together; where one stands against that, without it."""
    waiting = list(turns)
    while waiting:
        # All, where the change cannot even begin.
        refused = waiting
        try:
            with changing(repository, progress) as session:
                added = {}
                for turn in waiting:
                    refused = [turn]
                    staged = _staged(turn)
                    channel = turn.ticket.channel
                    added[turn.folder] = intake.take_in(repository, session, channel, staged)
                refused = waiting
                channels = {turn.ticket.channel for turn in waiting}
                done = publish_within(repository, session, progress, channels=channels)
        except OpkgError as error:
            for turn in refused:
                answer = problem_of(error, repository, str(turn.folder / "in"))
                turn.answer(Answer(problem=answer))
        except Exception:
            # Nobody shall wait for a ticket that makes us stumble.
            _log.exception("a completion failed")
            for turn in refused:
                turn.answer(Answer(problem=problem(500, "the server failed; its log says how")))
        else:
            for turn in waiting:
                rows = tuple(added[turn.folder])
                turn.answer(Answer(generation=done.generation, added=rows))
            return
        waiting = [turn for turn in waiting if turn not in refused]
        if not waiting:
            # What had reached the pool.
            with suppress(OpkgError):
                garbage.sweep(repository, progress)


def _staged(turn: Turn) -> Staged:
    target = turn.ticket.target
    chosen = known_targets().find(target) if target else None
    return Staged(
        batch=read_batch([Path(file) for file in turn.ticket.files], chosen),
        folder=turn.folder / "staged",
        packages={Path(path): package for path, package in turn.ticket.packages.items()},
        vouchers={Path(path): name for path, name in turn.ticket.vouchers.items()},
    )
