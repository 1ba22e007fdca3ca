# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands about the cluster: its headnode, its images, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
from rich.markup import escape

from opd import image as images
from opd import show
from opd.oda import Base
from opd.settings import IN_HEADNODE, IN_IMAGE, JSON, Settings, cluster_of, pass_settings, working
from opkg.console import print_json, print_table, say
from opkg.errors import OpkgError
from opkg.native.choose import packages
from opkg.target import known_targets


@click.command()
@IN_HEADNODE
@IN_IMAGE
@JSON
@pass_settings
def status(
    settings: Settings, image_names: Sequence[str], *, on_headnode: bool, as_json: bool
) -> None:
    """Show which OPKGs are in which roots, as dpkg and rpm tell it."""
    state = settings.open()
    cluster = cluster_of(settings, state, image_names, on_headnode=on_headnode)
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
    with working(settings, state, []) as work:
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


@click.group("oda")
def oda() -> None:
    """Read the cluster database, for scripts in any language."""


@oda.command("tables")
@pass_settings
def oda_tables(settings: Settings) -> None:
    """List its tables with their columns."""
    settings.open()
    for table in Base.metadata.sorted_tables:
        click.echo(f"{table.name}: {', '.join(table.columns.keys())}")


@oda.command("get")
@click.argument("table")
@click.argument("conditions", metavar="[COLUMN=VALUE]…", nargs=-1)
@pass_settings
def oda_get(settings: Settings, table: str, conditions: Sequence[str]) -> None:
    """Print the rows of a table as JSON, those that meet all conditions."""
    print_json(settings.open().oda.rows(table, [each.partition("=")[::2] for each in conditions]))


COMMANDS = (status, history, image, oda)
