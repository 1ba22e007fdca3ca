# SPDX-License-Identifier: GPL-2.0-or-later
"""opd, the OSCAR Package Downloader, on the command line."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from opd import image as images
from opd import repository, show
from opd.choose import choose
from opd.download import Wish, fetch_all
from opd.install import Cluster, Work, transaction
from opd.install import install as install_into
from opd.install import remove as remove_from
from opd.native import installer
from opd.place import headnode
from opd.state import DEFAULT, State
from opkg.console import print_json, print_table, run_command, say, stderr
from opkg.errors import OpkgError
from opkg.target import known_targets


@dataclass(frozen=True)
class Settings:
    """What the global options say."""

    state_dir: Path
    headnode_root: Path
    verbose: bool

    def open(self) -> State:
        """The state; opened only by commands that need it."""
        try:
            return State.open(self.state_dir)
        except PermissionError as error:
            raise OpkgError(
                "you may not write here", where=str(self.state_dir), hint="be root, or use --state"
            ) from error


_pass = click.make_pass_decorator(Settings)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_NAMES = click.argument("names", metavar="NAME…", nargs=-1, required=True)
_HEADNODE = click.option("--headnode", "on_headnode", is_flag=True, help="In the headnode.")
_IMAGE = click.option(
    "--image", "image_names", metavar="NAME|DIR", multiple=True,
    help="In this image; may be given again. Without --headnode and --image: everywhere.",
)  # fmt: skip


@click.group()
@click.option(
    "--state", type=click.Path(path_type=Path), default=DEFAULT, show_default=True,
    help="Where OPD keeps all it knows.",
)  # fmt: skip
@click.option(
    "--headnode-root", type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/"), show_default=True, help="The headnode's root file system.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show all that the tools print.")
@click.version_option(package_name="oscar-opkg")
@click.pass_context
def cli(context: click.Context, state: Path, headnode_root: Path, *, verbose: bool) -> None:
    """Find OPKGs in repositories and install them into a cluster.

    The headnode gets an OPKG's API and server part, the node images get its client part, each
    through its own package manager, with signatures checked.
    """
    context.obj = Settings(state, headnode_root.resolve(), verbose)


# Repositories


@cli.group("repo")
def repo() -> None:
    """Say which repositories are trusted."""


@repo.command("add")
@click.argument("url")
@click.option(
    "--root-key", metavar="FILE|FINGERPRINT", required=True,
    help="The repository's TUF root metadata, or its SHA-256 as opkg-repo init prints it.",
)  # fmt: skip
@click.option("--channel", default="stable", show_default=True, help="Which line of releases.")
@click.option("--name", help="What to call it here; otherwise its host and channel.")
@_pass
def repo_add(settings: Settings, url: str, root_key: str, channel: str, name: str | None) -> None:
    """Trust a repository, from its pinned key on."""
    state = settings.open()
    host = urlsplit(url).hostname or "repository"
    known = repository.add(
        state, url, channel=channel, root_key=root_key, name=name or f"{host}-{channel}"
    )
    say(f"{known.repository.name}: verified, generation {known.index.generation}")


@repo.command("list")
@_JSON
@_pass
def repo_list(settings: Settings, *, as_json: bool) -> None:
    """List the trusted repositories."""
    rows = settings.open().oda.repositories()
    if as_json:
        fields = ("name", "url", "channel", "root_sha256")
        print_json([{field: getattr(row, field) for field in fields} for row in rows])
        return
    print_table(["NAME", "CHANNEL", "URL"], [[row.name, row.channel, row.url] for row in rows])


@repo.command("remove")
@click.argument("name")
@_pass
def repo_remove(settings: Settings, name: str) -> None:
    """Trust a repository no longer. What was installed from it stays."""
    repository.remove(settings.open(), name)


@cli.command()
@_pass
def update(settings: Settings) -> None:
    """Ask all repositories what they offer now, and verify it."""
    state = settings.open()
    rows = state.oda.repositories()
    if not rows:
        repository.load_all(state)
    for row in rows:
        known = repository.refresh(state, row)
        names = {offer.opkg.name for offer in known.index.offers}
        say(f"{row.name}: {len(names)} OPKGs, generation {known.index.generation}")


# What there is


@cli.command("list")
@_JSON
@_pass
def list_(settings: Settings, *, as_json: bool) -> None:
    """List the OPKGs that the repositories offer."""
    _print_offers(settings, (), as_json=as_json)


@cli.command()
@click.argument("words", metavar="WORD…", nargs=-1, required=True)
@_JSON
@_pass
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
        return
    print_table(
        ["NAME", "VERSION", "CLASS", "SUMMARY"],
        [
            [name, offers[0].opkg.version, offers[0].opkg.category, offers[0].opkg.summary]
            for name, (_, offers) in shown.items()
        ],
    )
    if words and not shown:
        say("nothing matches; opd list shows all there is")


@cli.command()
@click.argument("name")
@_JSON
@_pass
def info(settings: Settings, name: str, *, as_json: bool) -> None:
    """Tell all about an OPKG."""
    found = show.newest(repository.load_all(settings.open()))
    if name not in found:
        raise OpkgError(f"there is no OPKG {name}", hint="opd list shows what there is")
    known, offers = found[name]
    if as_json:
        print_json(offers)
        return
    opkg = offers[0].opkg
    click.echo(f"{opkg.name} {opkg.version} ({opkg.category}), from {known.repository.name}")
    click.echo(f"{opkg.summary}\n")
    click.echo(f"{opkg.description}\n")
    click.echo(f"Licence     {opkg.licence}\nHome        {opkg.uri}")
    click.echo(f"Maintainer  {opkg.maintainer}\nChanged     {opkg.changed}")
    click.echo(f"Scripts     {', '.join(opkg.scripts) or 'none'}")
    for offer in offers:
        click.echo(f"\n{offer.target}")
        for artifact in offer.artifacts:
            click.echo(f"  {artifact.name} {artifact.version}  {artifact.size} bytes")


@cli.command()
@_NAMES
@click.option("-t", "--target", help="For this target; otherwise the headnode's.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path(), help="Into this folder."
)
@_pass
def download(settings: Settings, names: Sequence[str], target: str | None, out: Path) -> None:
    """Fetch OPKGs' packages as files, and install nothing."""
    known = repository.load_all(settings.open())
    chosen = known_targets().find(target) if target else headnode(settings.headnode_root).target
    wishes = [wish for name in names for wish in _wishes(known, name, chosen.name)]
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
               TransferSpeedColumn())  # fmt: skip
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("downloading", total=sum(wish.size for wish in wishes))
        for path in fetch_all(wishes, out, lambda count: bar.advance(task, count)):
            click.echo(str(path))


def _wishes(known: Sequence[repository.Known], name: str, target: str) -> list[Wish]:
    """The files of an OPKG's newest version for a target."""
    found = show.newest(known)
    if name not in found:
        raise OpkgError(f"there is no OPKG {name}", hint="opd list shows what there is")
    entry, offers = found[name]
    for offer in offers:
        if offer.target == target:
            return [
                Wish(
                    url=entry.url(artifact.file),
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


# The cluster


@cli.command()
@_NAMES
@_HEADNODE
@_IMAGE
@_pass
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
    choices = choose(known, names, cluster.places)
    with _working(settings, state, known) as work:
        install_into(work, choices, cluster)
    done = ", ".join(f"{choice.name} {choice.version}" for choice in choices)
    say(f"installed {done} in {', '.join(place.name for place in cluster.places)}")


@cli.command()
@_NAMES
@_HEADNODE
@_IMAGE
@_pass
def remove(
    settings: Settings, names: Sequence[str], image_names: Sequence[str], *, on_headnode: bool
) -> None:
    """Remove OPKGs and what only they needed."""
    state = settings.open()
    cluster = _cluster(settings, state, image_names, on_headnode=on_headnode)
    with _working(settings, state, []) as work:
        remove_from(work, names, cluster)


@cli.command()
@_JSON
@_pass
def status(settings: Settings, *, as_json: bool) -> None:
    """Show which OPKGs are where, as the package managers of all roots tell it."""
    state = settings.open()
    cluster = _cluster(settings, state, (), on_headnode=False)
    places = [
        (place, installer(place, [], state.sessions, _quiet).packages()) for place in cluster.places
    ]
    found = show.parts_by_opkg(places)
    if as_json:
        print_json(found)
        return
    rows = [
        [opkg, *(show.cell(records, place.name) for place, _ in places)]
        for opkg, records in found.items()
    ]
    print_table(["OPKG", *(place.name for place, _ in places)], rows)


@cli.command()
@click.argument("number", type=int, required=False)
@_JSON
@_pass
def history(settings: Settings, number: int | None, *, as_json: bool) -> None:
    """List what changed the cluster, or tell all about one change."""
    rows = settings.open().oda.history()
    if number is not None:
        rows = [row for row in rows if row.id == number]
        if not rows:
            raise OpkgError(f"there is no change {number}", hint="opd history lists them")
    if as_json:
        print_json([show.transaction_record(row) for row in rows])
        return
    print_table(
        ["ID", "STARTED", "OUTCOME", "PACKAGES", "SCRIPTS", "COMMAND"],
        [
            [str(row.id), row.started, row.outcome, str(len(row.changes)), str(len(row.runs)),
             row.command]
            for row in rows
        ],
    )  # fmt: skip
    for row in rows if number is not None else ():
        for change in row.changes:
            before, after = change.before or "–", change.after or "–"
            click.echo(f"{change.place}: {change.package} {before} → {after}")
        for run in row.runs:
            word = "undone" if run.undone else "done" if run.status == 0 else "failed"
            click.echo(f"{run.place}: {run.opkg}: {run.script} ({run.phase}): {word}")
            for line in run.output.splitlines():
                click.echo(f"  | {line}")
        if row.message:
            click.echo(row.message)


# Images


@cli.group("image")
def image_group() -> None:
    """Make and list the root file systems that nodes boot."""


@image_group.command("create")
@click.argument("name")
@click.option("-t", "--target", required=True, help="Of this distribution, e.g. debian-12.")
@click.option(
    "--packages", type=click.File(), help="A file that names further packages, one a line."
)
@_pass
def image_create(
    settings: Settings, name: str, target: str, packages: Iterator[str] | None
) -> None:
    """Make an image of a distribution, from its mirrors."""
    state = settings.open()
    lines = (line.partition("#")[0].strip() for line in packages or ())
    found = known_targets().find(target)
    with _working(settings, state, []) as work:
        work.say(f"{name}: making an image of {found.name}")
        place = images.create(state, name, found, [line for line in lines if line], work.log)
    click.echo(str(place.root))


@image_group.command("list")
@_JSON
@_pass
def image_list(settings: Settings, *, as_json: bool) -> None:
    """List the images."""
    rows = settings.open().oda.images()
    if as_json:
        fields = ("name", "target", "path", "created")
        print_json([{field: getattr(row, field) for field in fields} for row in rows])
        return
    print_table(["NAME", "TARGET", "PATH"], [[row.name, row.target, row.path] for row in rows])


def _cluster(
    settings: Settings, state: State, image_names: Sequence[str], *, on_headnode: bool
) -> Cluster:
    """The places that a command is about: those named, or all there are."""
    everywhere = not on_headnode and not image_names
    names = [row.name for row in state.oda.images()] if everywhere else image_names
    return Cluster(
        headnode=headnode(settings.headnode_root) if everywhere or on_headnode else None,
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


def main() -> None:
    """Run opd and exit."""
    run_command(cli, name="opd", settings="opd.toml", env_prefix="OPD")
