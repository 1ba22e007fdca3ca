# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands about the cluster: its headnode, its images, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.markup import escape

from opd import show_cluster
from opd.oda import Base
from opd.place import Place
from opd.settings import IN_HEADNODE, IN_IMAGE, JSON, Settings, pass_settings
from opd.shortcuts import SHORTCUTS, answer
from opd.working import cluster_of
from opkg.console import print_json, print_table, say
from opkg.errors import OpkgError
from opkg.native.choose import packages


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
    found = show_cluster.parts_by_opkg(places)
    if as_json:
        print_json(found)
    elif found:
        rows = [
            [opkg, *(show_cluster.cell(records, place.name) for place, _ in places)]
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
        print_json([show_cluster.transaction_record(row) for row in rows])
    elif number is not None:
        click.echo(show_cluster.story(rows[0]))
    elif rows:
        print_table(
            ["ID", "STARTED", "OUTCOME", "PACKAGES", "SCRIPTS", "COMMAND"],
            [
                [
                    str(row.id),
                    show_cluster.local_time(row.started),
                    row.outcome,
                    str(len(row.changes)),
                    str(len(row.runs)),
                    escape(row.command),
                ]
                for row in rows
            ],
        )
    else:
        say("nothing was changed yet")


@click.group("oda")
def oda() -> None:
    """Read the cluster database, for scripts in any language."""


@oda.command("tables")
@JSON
@pass_settings
def oda_tables(settings: Settings, *, as_json: bool) -> None:
    """List its tables with their columns."""
    settings.open()
    tables = {table.name: table.columns.keys() for table in Base.metadata.sorted_tables}
    if as_json:
        print_json(tables)
    else:
        click.echo("".join(f"{name}: {', '.join(tables[name])}\n" for name in tables), nl=False)


@oda.command("get")
@click.argument("table")
@click.argument("conditions", metavar="[COLUMN=VALUE]…", nargs=-1)
@pass_settings
def oda_get(settings: Settings, table: str, conditions: Sequence[str]) -> None:
    """Print the rows of a table as JSON, those that meet all conditions."""
    print_json(settings.open().oda.rows(table, [each.partition("=")[::2] for each in conditions]))


@oda.command("show")
@click.argument("shortcut", required=False)
@click.argument("node", required=False, default="")
@pass_settings
def oda_show(settings: Settings, shortcut: str | None, node: str) -> None:
    """Answer one of the shortcuts of the old oda, as JSON; without one, list them."""
    if shortcut is None:
        click.echo(
            "".join(f"{name:<30}{told}\n" for name, (told, _) in SHORTCUTS.items()), nl=False
        )
        return
    state = settings.open()

    def places() -> Sequence[Place]:
        return cluster_of(settings, state, (), on_headnode=False).places

    print_json(answer(state, places, shortcut, node))


COMMANDS = (status, history, oda)
