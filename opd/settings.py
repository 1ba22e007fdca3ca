# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of opd have in common: the global options, arguments that recur, and how a
change of the cluster is shown."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.markup import escape
from sqlalchemy import URL

from opd import image as images
from opd import repository
from opd.place import headnode
from opd.state import State
from opd.work import Cluster, Work, transaction
from opkg.console import say, stderr
from opkg.errors import OpkgError


@dataclass(frozen=True)
class Settings:
    """What the global options say."""

    state_dir: Path
    headnode_root: Path
    verbose: bool
    database: URL | None = None

    def open(self) -> State:
        """The state; opened only by commands that need it."""
        try:
            return State.open(self.state_dir, self.database)
        except PermissionError as error:
            raise OpkgError(
                "you may not write here", where=str(self.state_dir), hint="be root, or use --state"
            ) from error
        except FileExistsError as error:
            raise OpkgError(
                "this is a file, not a folder", where=str(self.state_dir), hint="use --state"
            ) from error


pass_settings = click.make_pass_decorator(Settings)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
PARSABLE = click.option(
    "--parsable", is_flag=True, help="Print it as the first OPD did, for scripts that read that."
)
NAMES = click.argument("names", metavar="NAME…", nargs=-1, required=True)
IN_HEADNODE = click.option("--headnode", "on_headnode", is_flag=True, help="In the headnode.")
IN_IMAGE = click.option(
    "--image", "image_names", metavar="NAME|DIR", multiple=True,
    help="In this image; may be given again. Without --headnode and --image: everywhere.",
)  # fmt: skip


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
