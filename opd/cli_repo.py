# SPDX-License-Identifier: GPL-2.0-or-later
"""opd repo: the repositories that are trusted; and asking them what they offer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click
from rich.markup import escape

from opd import older, repository, show
from opd.settings import JSON, PARSABLE, Settings, pass_settings
from opkg.console import print_json, print_table, say, stderr
from opkg.errors import OpkgError


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
@JSON
@pass_settings
def repo_add(
    settings: Settings,
    url: str,
    root_key: str,
    channel: str,
    name: str | None,
    mirrors: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Trust a repository, from its pinned key on."""
    chosen = repository.default_name(url, channel) if name is None else name
    with _asking(chosen):
        known = repository.add(
            settings.open(), url, channel=channel, root_key=root_key, name=chosen, mirrors=mirrors
        )
    if as_json:
        print_json(_verified(known))
    else:
        _say_verified(known)


@repo.command("list")
@PARSABLE
@JSON
@pass_settings
def repo_list(settings: Settings, *, parsable: bool, as_json: bool) -> None:
    """List the trusted repositories."""
    rows = settings.open().oda.repositories()
    if parsable:
        for row in rows:
            click.echo(older.repository_line(row))
    elif as_json:
        print_json([show.repository(row) for row in rows])
    elif rows:
        print_table(["NAME", "CHANNEL", "URL"], [[row.name, row.channel, row.url] for row in rows])
    else:
        say("no repository is trusted yet; trust one: opd repo add URL --root-key FINGERPRINT")


@repo.command("remove")
@click.argument("name")
@JSON
@pass_settings
def repo_remove(settings: Settings, name: str, *, as_json: bool) -> None:
    """Trust a repository no longer. What was installed from it stays."""
    gone = repository.remove(settings.open(), name)
    if as_json:
        print_json(show.repository(gone))
    else:
        say(f"{name}: trusted no longer")


@repo.command("import")
@click.argument("master", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--root-key", "root_keys", metavar="NAME=FILE|FINGERPRINT", multiple=True,
    help="Trust this repository of the list, from this key on; may be given again.",
)  # fmt: skip
@JSON
@pass_settings
def repo_import(
    settings: Settings, master: Path, root_keys: Sequence[str], *, as_json: bool
) -> None:
    """Read a master list (oscar_repositories.xml), and trust those whose key you name.

    Such a list says where repositories are, but nothing vouches for it: those without a key are
    only shown.
    """
    keys = dict(_named_key(text) for text in root_keys)
    sites = older.read_master(master)
    if unknown := [name for name in keys if name not in {site.name for site in sites}]:
        names = ", ".join(site.name for site in sites) or "none"
        raise OpkgError(f"the list has no repository {unknown[0]}", hint=f"it has: {names}")
    state = settings.open()
    added = [
        repository.add(
            state, site.url, channel=site.channel, root_key=keys[site.name], name=site.name,
            mirrors=site.mirrors,
        )
        for site in sites if site.name in keys
    ]  # fmt: skip
    if as_json:
        print_json([_verified(known) for known in added])
        return
    for known in added:
        _say_verified(known)
    for site in sites:
        if site.name not in keys:
            say(f"{site.title}: not trusted, for want of its root key")


def _named_key(text: str) -> tuple[str, str]:
    name, _, key = text.partition("=")
    if not name or not key:
        raise click.BadParameter(f"“{text}” is not NAME=FILE or NAME=FINGERPRINT")
    return name, key


@click.command()
@JSON
@pass_settings
def update(settings: Settings, *, as_json: bool) -> None:
    """Ask all repositories what they offer now, and verify it."""
    state = settings.open()
    found = []
    for row in repository.trusted(state):
        with _asking(row.name):
            found.append(repository.refresh(state, row))
        if not as_json:
            _say_verified(found[-1])
    if as_json:
        print_json([_verified(known) for known in found])


def _asking(name: str) -> AbstractContextManager[object]:
    """Tell on a terminal who is waited for."""
    return stderr.status(f"asking {escape(name)} …") if stderr.is_terminal else nullcontext()


def _say_verified(known: repository.Known) -> None:
    count = len(show.opkg_names(known))
    things = f"{count} OPKG{'' if count == 1 else 's'}"
    say(f"{known.repository.name}: verified, generation {known.index.generation}, {things}")


def _verified(known: repository.Known) -> dict[str, object]:
    return {
        **show.repository(known.repository),
        "generation": known.index.generation,
        "published": known.index.published,
        "opkgs": show.opkg_names(known),
    }


COMMANDS = (repo, update)
