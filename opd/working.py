# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands that change the cluster have in common: where they do it, and how it is
shown. Apart from the settings, since commands that only ask need none of it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.markup import escape

from opd import image as images
from opd import repository
from opd.place import headnode
from opd.settings import Settings
from opd.state import State
from opd.work import Cluster, Work, transaction
from opkg.console import say, stderr
from opkg.errors import OpkgError


def cluster_of(
    settings: Settings, state: State, image_names: Sequence[str], *, on_headnode: bool
) -> Cluster:
    """The places that a command is about: those named, or all there are."""
    everywhere = not on_headnode and not image_names
    names = [row.name for row in state.oda.images()] if everywhere else image_names
    own = None
    try:
        own = headnode(settings.headnode_root)
    except OpkgError:
        # Images can be worked on from a machine that could not be a headnode.
        if everywhere or on_headnode:
            raise
    return Cluster(
        headnode=own,
        on_headnode=everywhere or on_headnode,
        images=tuple(images.find(state, name) for name in dict.fromkeys(names)),
    )


@contextmanager
def working(
    settings: Settings,
    state: State,
    known: Sequence[repository.Known],
    undoes: int | None = None,
) -> Iterator[Work]:
    """A recorded transaction, which takes `undoes` back, if that is given. On a terminal the newest
    line that the tools print is shown, with --verbose every line."""
    command = shlex.join(["opd", *_told(sys.argv[1:])])
    if settings.verbose or not stderr.is_terminal:
        echo = say if settings.verbose else _quiet
        with transaction(state, known, command, say=say, echo=echo, undoes=undoes) as work:
            yield work
        return
    with stderr.status("starting …") as line:

        def show_last(text: str) -> None:
            # A command line is for the log: there, all of it can be read.
            if not text.startswith("$ "):
                line.update(escape(text.strip()[: stderr.width - 4]))

        with transaction(state, known, command, say=say, echo=show_last, undoes=undoes) as work:
            yield work


def _told(words: Sequence[str]) -> Iterator[str]:
    """A command line as it may be kept: an address of a database may have a password in it."""
    previous = ""
    for word in words:
        if previous == "--db":
            yield "…"
        else:
            yield "--db=…" if word.startswith("--db=") else word
        previous = word


def _quiet(line: str) -> None:
    """Takes a line and drops it."""
