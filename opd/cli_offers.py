# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands about what the repositories offer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from opd import older, repository, show
from opd.download import Progress as ProgressCall
from opd.download import Wish, fetch_all
from opd.offered import find, wishes_for
from opd.place import headnode
from opd.settings import JSON, NAMES, PARSABLE, Settings, pass_settings
from opkg.console import print_json, print_table, say, stderr
from opkg.target import known_targets


@click.command("list")
@PARSABLE
@JSON
@pass_settings
def list_(settings: Settings, *, parsable: bool, as_json: bool) -> None:
    """List the OPKGs that the repositories offer."""
    if parsable:
        for known, offers in show.newest(repository.load_all(settings.open())).values():
            click.echo(older.package_line(known, offers))
    else:
        _print_offers(settings, (), as_json=as_json)


@click.command()
@click.argument("words", metavar="WORD…", nargs=-1, required=True)
@JSON
@pass_settings
def search(settings: Settings, words: Sequence[str], *, as_json: bool) -> None:
    """Find OPKGs by words in name, summary or description."""
    _print_offers(settings, words, as_json=as_json)


def _print_offers(settings: Settings, words: Sequence[str], *, as_json: bool) -> None:
    found = show.newest(repository.load_all(settings.open()))
    shown = {name: pair for name, pair in found.items() if show.matches(pair[1][0], words)}
    if as_json:
        print_json(
            [
                {
                    "name": name,
                    "version": offers[0].opkg.version,
                    "class": offers[0].opkg.category,
                    "summary": offers[0].opkg.summary,
                    "repository": known.repository.name,
                    "targets": [offer.target for offer in offers],
                }
                for name, (known, offers) in shown.items()
            ]
        )
    elif shown:
        opkgs = [offers[0].opkg for _, offers in shown.values()]
        print_table(
            ["NAME", "VERSION", "CLASS", "SUMMARY"],
            [[opkg.name, opkg.version, opkg.category, opkg.summary] for opkg in opkgs],
        )
    else:
        say("nothing matches; opd list shows all there is" if words else "nothing is on offer yet")


@click.command()
@click.argument("name")
@JSON
@pass_settings
def info(settings: Settings, name: str, *, as_json: bool) -> None:
    """Tell all about an OPKG."""
    known, offers = find(repository.load_all(settings.open()), name)
    if as_json:
        print_json(offers)
    else:
        click.echo(show.details(known, offers))


@click.command()
@NAMES
@click.option("-t", "--target", metavar="TARGET", help="For this target; otherwise the headnode's.")
@click.option(
    "-o", "--out", metavar="DIR", type=click.Path(path_type=Path), default=Path(),
    help="Into this folder; otherwise into the current one.",
)  # fmt: skip
@click.option("--offline", is_flag=True, help="From the cache alone.")
@JSON
@pass_settings
def download(
    settings: Settings,
    names: Sequence[str],
    target: str | None,
    out: Path,
    *,
    offline: bool,
    as_json: bool,
) -> None:
    """Fetch OPKGs' packages as files, and install nothing.

    What broke off is gone on from the next time; what was fetched once comes from the cache.
    """
    state = settings.open()
    known = repository.load_all(state)
    chosen = known_targets().find(target) if target else headnode(settings.headnode_root).target
    wishes = [
        wish for name in dict.fromkeys(names) for wish in wishes_for(known, name, chosen.name)
    ]
    with _bars(wishes) as progress:
        paths = fetch_all(wishes, out, state.downloads, progress, offline=offline)
    if as_json:
        print_json(
            [
                {"path": path, "size": wish.size, "sha256": wish.sha256}
                for path, wish in zip(paths, wishes, strict=True)
            ]
        )
    else:
        click.echo("".join(f"{path}\n" for path in paths), nl=False)


@contextmanager
def _bars(wishes: Sequence[Wish]) -> Iterator[ProgressCall]:
    """A bar for each file that is under way, and one for all, on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(None, table_column=Column(ratio=1)),
               DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())  # fmt: skip
    # A name as wide as a third of the terminal leaves room for the rest.
    width = max(10, stderr.width // 3)
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal, expand=True) as bar:
        total = bar.add_task("all", total=sum(wish.size for wish in wishes))
        tasks = {
            wish.name: bar.add_task(escape(wish.name[:width]), total=wish.size, visible=False)
            for wish in wishes
        }

        def advance(name: str, count: int) -> None:
            bar.update(tasks[name], advance=count, visible=True)
            if bar.tasks[tasks[name]].finished:
                bar.update(tasks[name], visible=False)
            bar.advance(total, count)

        yield advance


COMMANDS = (list_, search, info, download)
