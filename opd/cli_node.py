# SPDX-License-Identifier: GPL-2.0-or-later
"""opd node: the machines of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from opd import nodes
from opd.oda import Node
from opd.settings import JSON, Settings, pass_settings
from opkg.console import print_json, print_table, say
from opkg.errors import OpkgError

_RANGES = click.argument("ranges", metavar="NODES…", nargs=-1, required=True)


@click.group("node")
def node() -> None:
    """Say which machines there are, and what they run."""


@node.command("add")
@_RANGES
@click.option("--image", default="", metavar="NAME", help="They run this image.")
@click.option("--ip", default="", metavar="ADDRESS", help="Of the first; the next ones count up.")
@click.option("--mac", default="", metavar="ADDRESS", help="Of a single node.")
@JSON
@pass_settings
def node_add(
    settings: Settings, ranges: Sequence[str], image: str, ip: str, mac: str, *, as_json: bool
) -> None:
    """Define nodes, or change what is known of them.

    NODES are names and ranges of names, as node[01-64].
    """
    state = settings.open()
    with state.changing(say):
        known = {each.name: each for each in state.oda.nodes()}
        names = nodes.names_of(ranges)
        new = nodes.changed(known, names, mac=mac, first_ip=ip, image=image)
        nodes.check(new, known.values(), _image_names(settings))
        state.oda.save(*new)
    _tell(new, "known", as_json=as_json)


@node.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@JSON
@pass_settings
def node_import(settings: Settings, file: Path, *, as_json: bool) -> None:
    """Define the nodes of a CSV file, all or none.

    Its first line names its columns: name, and any of mac, ip, image. What the file does not say of
    a node is forgotten.
    """
    state = settings.open()
    with state.changing(say):
        new = nodes.read_list(file, state.oda.nodes(), _image_names(settings))
        state.oda.save(*new)
    _tell(new, "known", as_json=as_json)


@node.command("list")
@click.argument("ranges", metavar="[NODES]…", nargs=-1)
@JSON
@pass_settings
def node_list(settings: Settings, ranges: Sequence[str], *, as_json: bool) -> None:
    """List the nodes, or some of them."""
    rows = _named(settings, ranges)
    if as_json:
        print_json([_record(row) for row in rows])
    elif rows:
        columns = [column.upper() for column in nodes.COLUMNS]
        print_table(columns, [[value or "–" for value in _record(row).values()] for row in rows])
    else:
        say("no node is defined yet; define some: opd node add node[01-16] --image NAME")


@node.command("remove")
@_RANGES
@JSON
@pass_settings
def node_remove(settings: Settings, ranges: Sequence[str], *, as_json: bool) -> None:
    """Forget nodes. Nothing is done to the machines."""
    state = settings.open()
    with state.changing(say):
        rows = _named(settings, ranges)
        state.oda.delete(*rows)
    _tell(rows, "forgotten", as_json=as_json)


def _image_names(settings: Settings) -> list[str]:
    return [row.name for row in settings.open().oda.images()]


def _named(settings: Settings, ranges: Sequence[str]) -> list[Node]:
    """The nodes of these names, or all. Raises OpkgError."""
    known = {each.name: each for each in settings.open().oda.nodes()}
    if not ranges:
        return nodes.in_order(known.values())
    names = nodes.names_of(ranges)
    if missing := [name for name in names if name not in known]:
        there = nodes.folded(known) or "none"
        raise OpkgError(f"not defined: {nodes.folded(missing)}", hint=f"there is {there}")
    return [known[name] for name in names]


def _record(row: Node) -> dict[str, str]:
    return {column: getattr(row, column) for column in nodes.COLUMNS}


def _tell(rows: Sequence[Node], what: str, *, as_json: bool) -> None:
    if as_json:
        print_json([_record(row) for row in rows])
    else:
        count = f"{len(rows)} node{'' if len(rows) == 1 else 's'}"
        say(f"{count} {what}: {nodes.folded(row.name for row in rows)}")


COMMANDS = (node,)
