# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands about the cluster: its headnode, its images, and what is in them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.markup import escape

from opd import image as images
from opd import repository, show
from opd.choose import choose
from opd.install import Cluster, Work, transaction
from opd.install import install as install_into
from opd.install import remove as remove_from
from opd.place import headnode, opkgs_in
from opd.settings import JSON, NAMES, Settings, pass_settings
from opd.state import State
from opkg.console import print_json, print_table, say, stderr
from opkg.errors import OpkgError
from opkg.native.choose import packages
from opkg.target import known_targets

_HEADNODE = click.option("--headnode", "on_headnode", is_flag=True, help="In the headnode.")
_IMAGE = click.option(
    "--image", "image_names", metavar="NAME|DIR", multiple=True,
    help="In this image; may be given again. Without --headnode and --image: everywhere.",
)  # fmt: skip


@click.command()
@NAMES
@_HEADNODE
@_IMAGE
@pass_settings
def install(
    settings: Settings, names: Sequence[str], image_names: Sequence[str], *, on_headnode: bool
) -> None:
    """Install OPKGs, or upgrade to their newest version.

    The headnode gets the API and server parts, images the client part; then the scripts of the
    phases run. An image changes as a whole or not at all.
    """
    state = settings.open()
    known = repository.load_all(state)
    cluster = _cluster(settings, state, image_names, on_headnode=on_headnode)
    present = {place.name: opkgs_in(place, packages(place)) for place in cluster.places}
    choices = choose(known, names, cluster.places, present)
    with _working(settings, state, known) as work:
        install_into(work, choices, cluster)
    done = ", ".join(map(str, choices))
    say(f"in {', '.join(place.name for place in cluster.places)}: {done}")


@click.command()
@NAMES
@_HEADNODE
@_IMAGE
@pass_settings
def remove(
    settings: Settings, names: Sequence[str], image_names: Sequence[str], *, on_headnode: bool
) -> None:
    """Remove OPKGs and what only they needed."""
    state = settings.open()
    cluster = _cluster(settings, state, image_names, on_headnode=on_headnode)
    with _working(settings, state, []) as work:
        remove_from(work, names, cluster)
    say(f"removed {', '.join(names)} from {', '.join(place.name for place in cluster.places)}")


@click.command()
@_HEADNODE
@_IMAGE
@JSON
@pass_settings
def status(
    settings: Settings, image_names: Sequence[str], *, on_headnode: bool, as_json: bool
) -> None:
    """Show which OPKGs are in which roots, as dpkg and rpm tell it."""
    state = settings.open()
    cluster = _cluster(settings, state, image_names, on_headnode=on_headnode)
    places = [(place, packages(place)) for place in cluster.places]
    found = show.parts_by_opkg(places)
    if as_json:
        print_json(found)
    elif found:
        rows = [
            [opkg, *(show.cell(records, place.name) for place, _ in places)]
            for opkg, records in found.items()
        ]
        print_table(["OPKG", *(escape(place.name) for place, _ in places)], rows)
    else:
        say(f"no OPKG is in {', '.join(place.name for place, _ in places)}")


@click.command()
@click.argument("number", metavar="[ID]", type=int, required=False)
@JSON
@pass_settings
def history(settings: Settings, number: int | None, *, as_json: bool) -> None:
    """List what changed the cluster, or tell all about one change."""
    rows = settings.open().oda.history()
    if number is not None:
        rows = [row for row in rows if row.id == number]
        if not rows:
            raise OpkgError(f"there is no change {number}", hint="opd history lists them")
    if as_json:
        print_json([show.transaction_record(row) for row in rows])
    elif number is not None:
        click.echo(show.story(rows[0]))
    elif rows:
        print_table(
            ["ID", "STARTED", "OUTCOME", "PACKAGES", "SCRIPTS", "COMMAND"],
            [
                [str(row.id), show.local_time(row.started), row.outcome, str(len(row.changes)),
                 str(len(row.runs)), escape(row.command)]
                for row in rows
            ],
        )  # fmt: skip
    else:
        say("nothing was changed yet")


@click.group("image")
def image() -> None:
    """Make and list the root file systems that nodes boot."""


@image.command("create")
@click.argument("name")
@click.option(
    "-t", "--target", metavar="TARGET", required=True,
    help="Of this distribution, e.g. debian-12.",
)  # fmt: skip
@click.option(
    "--packages",
    "package_file",
    type=click.File(),
    help="A file that names further packages, one a line.",
)
@pass_settings
def image_create(
    settings: Settings, name: str, target: str, package_file: Iterator[str] | None
) -> None:
    """Make an image of a distribution, from its mirrors."""
    state = settings.open()
    lines = (line.partition("#")[0].strip() for line in package_file or ())
    found = known_targets().find(target)
    with _working(settings, state, []) as work:
        work.say(f"{name}: making an image of {found.name}")
        place = images.create(state, name, found, [line for line in lines if line], work.log)
    click.echo(str(place.root))


@image.command("list")
@JSON
@pass_settings
def image_list(settings: Settings, *, as_json: bool) -> None:
    """List the images."""
    rows = settings.open().oda.images()
    if as_json:
        fields = ("name", "target", "path", "created")
        print_json([{field: getattr(row, field) for field in fields} for row in rows])
    elif rows:
        print_table(["NAME", "TARGET", "PATH"], [[row.name, row.target, row.path] for row in rows])
    else:
        say("there is no image yet; make one: opd image create NAME -t TARGET")


def _cluster(
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
def _working(settings: Settings, state: State, known: Sequence[repository.Known]) -> Iterator[Work]:
    """A recorded transaction. On a terminal the newest line that the tools print is shown, with
    --verbose every line."""
    command = shlex.join(["opd", *sys.argv[1:]])
    if settings.verbose or not stderr.is_terminal:
        echo = say if settings.verbose else _quiet
        with transaction(state, known, command, say=say, echo=echo) as work:
            yield work
        return
    with stderr.status("starting …") as line:

        def show_last(text: str) -> None:
            line.update(escape(text.strip()[: stderr.width - 4]))

        with transaction(state, known, command, say=say, echo=show_last) as work:
            yield work


def _quiet(line: str) -> None:
    """Takes a line and drops it."""


COMMANDS = (install, remove, status, history, image)
