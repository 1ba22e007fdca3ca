# SPDX-License-Identifier: GPL-2.0-or-later
"""opd node: the machines of the cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from opd import image as images
from opd import nodes
from opd.cli_phases import tell_opkgs_of_nodes
from opd.oda import Node, now
from opd.settings import JSON, Settings, pass_settings
from opd.state import State
from opd.sync import Synced, Tree, Way, sync
from opkg.console import print_json, print_table, say, stderr
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
        state.oda.save(*nodes.with_synced(new, known.values()))
    _tell(new, "known", as_json=as_json)
    tell_opkgs_of_nodes(settings, state)


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
        known = state.oda.nodes()
        new = nodes.read_list(file, known, _image_names(settings))
        state.oda.save(*nodes.with_synced(new, known))
    _tell(new, "known", as_json=as_json)
    tell_opkgs_of_nodes(settings, state)


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
        print_table(
            ["NAME", "MAC", "IP", "IMAGE", "GENERATION"],
            [[value or "–" for value in _record(row).values()][:5] for row in rows],
        )
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
    tell_opkgs_of_nodes(settings, state)


@node.command("sync")
@click.argument("ranges", metavar="[NODES]…", nargs=-1)
@click.option(
    "--exclude", metavar="PATTERN", multiple=True,
    help="Leave this of the nodes as it is, as rsync understands it; may be given again.",
)  # fmt: skip
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=8, show_default=True,
    help="How many nodes at a time.",
)  # fmt: skip
@click.option(
    "--ssh", metavar="COMMAND", default="ssh -o BatchMode=yes -o ConnectTimeout=10",
    show_default=True, help="How nodes are reached.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would change on the nodes.")
@JSON
@pass_settings
def node_sync(
    settings: Settings,
    ranges: Sequence[str],
    exclude: Sequence[str],
    jobs: int,
    ssh: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring running nodes to what their image is now.

    Only what differs is sent. What is a node's own stays: its name, keys, logs and the like, what
    /etc/oscar/exclude in the image lists, and what --exclude names. Services are not restarted.
    """
    state = settings.open()
    way = Way(ssh=ssh, at_a_time=jobs, exclude=exclude, dry=dry_run)
    with state.changing(say):
        rows = _named(settings, ranges)
        trees = {name: _tree(state, name) for name in _images_of(rows)}
        with TemporaryDirectory() as scratch, _counting(len(rows)) as (count, sent):

            def ended(one: Synced) -> None:
                row = next(row for row in rows if row.name == one.node)
                if not way.dry and not one.fault:
                    row.generation, row.synced = trees[row.image].generation, now()
                    state.oda.save(row)
                count()

            done = sync(trees, rows, way, Path(scratch), ended, sent)
    _show_synced(done, way, verbose=settings.verbose, as_json=as_json)
    if any(one.fault for one in done):
        sys.exit(1)


def _images_of(rows: Sequence[Node]) -> set[str]:
    """The images that nodes run. Raises OpkgError where it is not known of one."""
    if not rows:
        raise OpkgError("no node is defined", hint="opd node add node[01-16] --image NAME")
    if without := [row.name for row in rows if not row.image]:
        names = nodes.folded(without)
        raise OpkgError(
            f"it is not known what {names} run", hint=f"opd node add {names} --image NAME"
        )
    return {row.image for row in rows}


def _tree(state: State, image: str) -> Tree:
    _, root = images.find(state, image)
    return Tree(path=root.live, generation=root.generation)


@contextmanager
def _counting(total: int) -> Iterator[tuple[Callable[[], None], Callable[[str, int], None]]]:
    """A bar that counts nodes, on a terminal, and the bytes that they were sent, since a node may
    take long. What tells it that a node has ended, and of a node's bytes so far."""
    columns = (
        TextColumn("nodes"), BarColumn(None, table_column=Column(ratio=1)), MofNCompleteColumn(),
        TextColumn("{task.fields[sent]}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal, expand=True) as bar:
        task = bar.add_task("nodes", total=total, sent="")
        sizes: dict[str, int] = {}

        def sent(node: str, size: int) -> None:
            sizes[node] = size
            bar.update(task, sent=decimal(sum(sizes.values())))

        yield lambda: bar.advance(task), sent


def _show_synced(done: Sequence[Synced], way: Way, *, verbose: bool, as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) for one in done])
        return
    word = "would change" if way.dry else "changed"
    print_table(
        ["NODE", "RESULT", "PATHS", "SENT", "REASON"],
        [
            [
                one.node,
                _result(one, word),
                str(len(one.paths)),
                decimal(one.size),
                escape(one.fault),
            ]
            for one in done
        ],
    )
    if verbose:
        click.echo("".join(f"{one.node}: {path}\n" for one in done for path in one.paths), nl=False)
    if failed := [one.node for one in done if one.fault]:
        say(f"{len(failed)} of {len(done)} nodes failed; once mended: "
            f"opd node sync {nodes.folded(failed)}")  # fmt: skip


def _result(one: Synced, word: str) -> str:
    if one.fault:
        return "failed"
    return word if one.paths else "as the image"


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
    return {column: getattr(row, column) for column in (*nodes.COLUMNS, "generation", "synced")}


def _tell(rows: Sequence[Node], what: str, *, as_json: bool) -> None:
    if as_json:
        print_json([_record(row) for row in rows])
    else:
        count = f"{len(rows)} node{'' if len(rows) == 1 else 's'}"
        say(f"{count} {what}: {nodes.folded(row.name for row in rows)}")


COMMANDS = (node,)
