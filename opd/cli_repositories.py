# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands about repositories and what they offer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from opd import repository, show
from opd.download import Progress as ProgressCall
from opd.download import Wish, fetch_all
from opd.place import headnode
from opd.settings import JSON, NAMES, Settings, pass_settings
from opkg.console import print_json, print_table, say, stderr
from opkg.errors import OpkgError
from opkg.index import Offer
from opkg.target import known_targets


@click.group("repo")
def repo() -> None:
    """Say which repositories are trusted."""


@repo.command("add")
@click.argument("url")
@click.option(
    "--root-key", metavar="FILE|FINGERPRINT", required=True,
    help="The repository's TUF root metadata, or its SHA-256 as opkg-repo init prints it.",
)  # fmt: skip
@click.option(
    "--channel", metavar="C", default="stable", show_default=True, help="Which line of releases."
)
@click.option("--name", help="What to call it here; otherwise its host and channel.")
@click.option(
    "--mirror", "mirrors", metavar="URL", multiple=True,
    help="A copy of it, for downloads; may be given again.",
)  # fmt: skip
@pass_settings
def repo_add(
    settings: Settings,
    url: str,
    root_key: str,
    channel: str,
    name: str | None,
    mirrors: Sequence[str],
) -> None:
    """Trust a repository, from its pinned key on."""
    known = repository.add(
        settings.open(),
        url,
        channel=channel,
        root_key=root_key,
        name=repository.default_name(url, channel) if name is None else name,
        mirrors=mirrors,
    )
    _say_what_it_has(known)


def _say_what_it_has(known: repository.Known) -> None:
    count = len({offer.opkg.name for offer in known.index.offers})
    things = f"{count} OPKG{'' if count == 1 else 's'}"
    say(f"{known.repository.name}: verified, generation {known.index.generation}, {things}")


@repo.command("list")
@JSON
@pass_settings
def repo_list(settings: Settings, *, as_json: bool) -> None:
    """List the trusted repositories."""
    rows = settings.open().oda.repositories()
    if as_json:
        fields = ("name", "url", "channel", "root_sha256", "mirrors")
        print_json([{field: getattr(row, field) for field in fields} for row in rows])
        return
    print_table(["NAME", "CHANNEL", "URL"], [[row.name, row.channel, row.url] for row in rows])


@repo.command("remove")
@click.argument("name")
@pass_settings
def repo_remove(settings: Settings, name: str) -> None:
    """Trust a repository no longer. What was installed from it stays."""
    repository.remove(settings.open(), name)
    say(f"{name}: trusted no longer")


@click.command()
@pass_settings
def update(settings: Settings) -> None:
    """Ask all repositories what they offer now, and verify it."""
    state = settings.open()
    for row in repository.trusted(state):
        _say_what_it_has(repository.refresh(state, row))


@click.command("list")
@JSON
@pass_settings
def list_(settings: Settings, *, as_json: bool) -> None:
    """List the OPKGs that the repositories offer."""
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
    known, offers = _find(repository.load_all(settings.open()), name)
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
@pass_settings
def download(
    settings: Settings, names: Sequence[str], target: str | None, out: Path, *, offline: bool
) -> None:
    """Fetch OPKGs' packages as files, and install nothing.

    What broke off is gone on from the next time; what was fetched once comes from the cache.
    """
    state = settings.open()
    known = repository.load_all(state)
    chosen = known_targets().find(target) if target else headnode(settings.headnode_root).target
    wishes = [wish for name in dict.fromkeys(names) for wish in _wishes(known, name, chosen.name)]
    with _bars(wishes) as progress:
        paths = fetch_all(wishes, out, state.downloads, progress, offline=offline)
    for path in paths:
        click.echo(str(path))


@contextmanager
def _bars(wishes: Sequence[Wish]) -> Iterator[ProgressCall]:
    """A bar for each file that is under way, and one for all, on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(None), DownloadColumn(),
               TransferSpeedColumn())  # fmt: skip
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


def _find(known: Sequence[repository.Known], name: str) -> tuple[repository.Known, list[Offer]]:
    """The newest version of an OPKG. Raises OpkgError."""
    found = show.newest(known)
    if name not in found:
        raise OpkgError(f"there is no OPKG {name}", hint="opd list shows what there is")
    return found[name]


def _wishes(known: Sequence[repository.Known], name: str, target: str) -> list[Wish]:
    """The files of an OPKG's newest version for a target."""
    entry, offers = _find(known, name)
    for offer in offers:
        if offer.target == target:
            return [
                Wish(
                    urls=entry.urls(artifact.file),
                    size=artifact.size,
                    sha256=artifact.sha256,
                    name=Path(artifact.file).name,
                )
                for artifact in offer.artifacts
            ]
    raise OpkgError(
        f"{name} is not offered for {target}",
        hint="it is for " + ", ".join(offer.target for offer in offers),
    )


COMMANDS = (repo, update, list_, search, info, download)
