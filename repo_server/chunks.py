# SPDX-License-Identifier: GPL-2.0-or-later
"""The entries of lists, kept in chunks that are compressed one by one.

A group is a set of entries that always go into the same lists. A new entry goes into its group's
last chunk until that is full; one that leaves makes its chunk smaller. So a change renders and
compresses a chunk or two, whatever the size of the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy import update as change
from sqlalchemy.orm import Session

from repo_server.forms import PLAIN, member
from repo_server.tables import Chunk, Entry, Piece

# Small enough to be compressed in some milliseconds, large enough to be compressed well.
SIZE = 256

# Gives what the entries with these keys say in each list.
Render = Callable[[Sequence[str]], Mapping[str, bytes]]


def update(
    session: Session,
    group: str,
    *,
    come: Sequence[str],
    gone: Sequence[str],
    forms: Sequence[str],
    render: Render,
) -> None:
    """Let the entries with the keys `come` be in a group, those of `gone` not, and make the pieces
    of all chunks that this changes. Does nothing where it is so already."""
    dirty = _take_out(session, group, gone) | _put_in(session, group, come)
    for chunk in sorted(dirty):
        keys = session.scalars(select(Entry.key).where(Entry.chunk == chunk)).all()
        session.execute(delete(Piece).where(Piece.chunk == chunk))
        if not keys:
            session.execute(delete(Chunk).where(Chunk.id == chunk))
            continue
        session.execute(change(Chunk).where(Chunk.id == chunk).values(entries=len(keys)))
        rows = [
            {"chunk": chunk, "kind": kind, "form": form, "data": data and member(form, data)}
            for kind, data in render(keys).items()
            for form in (PLAIN, *forms)
        ]
        session.execute(insert(Piece), rows)


def count(session: Session, groups: Sequence[str]) -> int:
    """How many entries the groups have."""
    query = select(func.sum(Chunk.entries)).where(Chunk.group.in_(groups))
    return session.scalar(query) or 0


# In the order of the primary key, which a join would sort for; made once, since that takes longer
# than to run it on a small list.
_OF_GROUPS = select(Chunk.id).where(Chunk.group.in_(bindparam("groups", expanding=True)))
_PIECES = (
    select(Piece.data)
    .where(
        Piece.chunk.in_(_OF_GROUPS),
        Piece.kind == bindparam("kind"),
        Piece.form == bindparam("form"),
    )
    .order_by(Piece.chunk)
    .execution_options(yield_per=8)
)


def pieces(session: Session, groups: Sequence[str], kind: str, form: str) -> Iterator[bytes]:
    """What the groups' chunks give to a list in one form, in a lasting order."""
    yield from session.scalars(_PIECES, {"groups": groups, "kind": kind, "form": form})


def complete(session: Session, groups: Sequence[str], kind: str, forms: Sequence[str]) -> None:
    """Make the pieces of forms that were not asked for when their chunks were made."""
    for form in forms:
        has = select(Piece.chunk).where(Piece.kind == kind, Piece.form == form)
        query = (
            select(Piece.chunk, Piece.data)
            .join(Chunk)
            .where(Chunk.group.in_(groups), Piece.kind == kind, Piece.form == PLAIN)
            .where(Piece.chunk.not_in(has))
        )
        for chunk, data in session.execute(query).all():
            session.add(Piece(chunk=chunk, kind=kind, form=form, data=data and member(form, data)))
    session.flush()


def fill(session: Session, group: str, kind: str, render: Render) -> None:
    """Make the plain pieces of a list that there was not when the group's chunks were made."""
    has = select(Piece.chunk).where(Piece.kind == kind, Piece.form == PLAIN)
    lacking = select(Chunk.id).where(Chunk.group == group, Chunk.id.not_in(has))
    for chunk in session.scalars(lacking).all():
        keys = session.scalars(select(Entry.key).where(Entry.chunk == chunk)).all()
        session.add(Piece(chunk=chunk, kind=kind, form=PLAIN, data=render(keys)[kind]))
    session.flush()


def _take_out(session: Session, group: str, keys: Sequence[str]) -> set[int]:
    """Take entries out of a group and return the chunks that had them."""
    dirty: set[int] = set()
    for batch in _batches(keys):
        these = (Entry.group == group, Entry.key.in_(batch))
        dirty.update(session.scalars(select(Entry.chunk).where(*these)))
        session.execute(delete(Entry).where(*these))
    return dirty


def _put_in(session: Session, group: str, keys: Sequence[str]) -> set[int]:
    """Put the entries that a group lacks into its last chunk, and into new ones once that is full;
    return those chunks."""
    there: set[str] = set()
    for batch in _batches(keys):
        query = select(Entry.key).where(Entry.group == group, Entry.key.in_(batch))
        there.update(session.scalars(query))
    new = [key for key in keys if key not in there]
    last = session.scalar(
        select(Chunk).where(Chunk.group == group).order_by(Chunk.id.desc()).limit(1)
    )
    room = SIZE - last.entries if last else 0
    dirty: set[int] = set()
    while new:
        if last is None or room <= 0:
            last = Chunk(group=group, entries=0)
            session.add(last)
            session.flush()
            room = SIZE
        rows = [{"group": group, "key": key, "chunk": last.id} for key in new[:room]]
        session.execute(insert(Entry), rows)
        dirty.add(last.id)
        new, room = new[room:], 0
    return dirty


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), SIZE):
        yield keys[start : start + SIZE]
