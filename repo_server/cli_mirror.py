# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of opkg-repo about copies of other repositories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from opkg.console import print_json, print_table, say
from opkg.errors import OpkgError
from repo_server import upkeep
from repo_server.cli_options import DIRECTORY, FOLDER, JSON
from repo_server.mirrors import mirror as known
from repo_server.mirrors.export import export as export_mirror
from repo_server.mirrors.fetch import Upstream, check_address
from repo_server.mirrors.mirror import Health, Kind, Settings
from repo_server.mirrors.own import pinned_root
from repo_server.mirrors.sync import sync as sync_mirror
from repo_server.openpgp import armored
from repo_server.repository import Repository, open_repository

_NAME = click.argument("name", metavar="NAME")


@click.group()
def mirror() -> None:
    """Copy other repositories, whole or in part, and keep the copies up to date."""


@mirror.command("add")
@DIRECTORY
@_NAME
@click.argument("url", metavar="URL")
@click.option("--key", metavar="FILE", type=FOLDER,
              help="The OpenPGP keys that sign it (apt, rpm-md).")  # fmt: skip
@click.option("--root-key", metavar="FILE|FINGERPRINT",
              help="The TUF root of an opkg-repo, or its SHA-256.")  # fmt: skip
@click.option("--channel", "channels", metavar="C", multiple=True,
              help="A channel of an opkg-repo; may be given again.")  # fmt: skip
@click.option("--suite", "suites", metavar="S", multiple=True,
              help="A suite of an apt repository, e.g. stable, or the path of a flat one, e.g. ./; "
              "may be given again.")  # fmt: skip
@click.option("--component", "components", metavar="C", multiple=True,
              help="Only this component of the suites.")  # fmt: skip
@click.option("--architecture", "architectures", metavar="A", multiple=True,
              help="Only this architecture of the suites, e.g. amd64.")  # fmt: skip
@click.option("--sources", is_flag=True, help="The source packages of the suites too.")
@click.option("--filter", "patterns", metavar="PATTERN", multiple=True,
              help="Only names like this (as of files), and what they need.")  # fmt: skip
@click.option("--newest", type=click.IntRange(1), metavar="N", default=None,
              help="Only the newest N versions of each.")  # fmt: skip
@click.option("--into", metavar="CHANNEL", default="",
              help="Publish the packages in this channel, under its key.")  # fmt: skip
@click.option("--target", metavar="T", default="", help="With --into: what they are for.")
@JSON
def add(
    directory: Path,
    name: str,
    url: str,
    key: Path | None,
    root_key: str | None,
    newest: int | None,
    as_json: bool,
    **words: str | bool | Sequence[str],
) -> None:
    """Note what is to be copied, and which keys vouch for it.

    URL is of an opkg-repo (with --root-key and --channel), of an apt repository (with --key and
    --suite) or of an rpm-md repository (with --key). Fetches nothing: that is `mirror sync`.
    """
    repository = open_repository(directory)
    check_address(url)
    kind = Kind.OPKG if words["channels"] else Kind.APT if words["suites"] else Kind.RPM
    settings = Settings(url=url.rstrip("/"), kind=kind, newest=newest or 0, **words)  # type: ignore[arg-type]  # click gives them by name
    keys = _keys(settings, key, root_key)
    known.add(repository, name, settings, keys)
    if as_json:
        print_json(settings)
    else:
        say(f"to fetch it: opkg-repo mirror sync {directory} {name}")


def _keys(settings: Settings, key: Path | None, root_key: str | None) -> bytes:
    """What vouches for the upstream. Raises OpkgError where it was not given."""
    if settings.kind is not Kind.OPKG:
        if key is None:
            raise OpkgError(
                "a repository without a key cannot be trusted",
                hint="--key FILE: its OpenPGP keys; of an opkg-repo, --root-key and --channel",
            )
        return armored(key)
    if root_key is None:
        raise OpkgError(
            "which key vouches for it?",
            hint="--root-key: the fingerprint that opkg-repo init printed there",
        )
    if Path(root_key).is_file():
        return Path(root_key).read_bytes()
    fingerprint = root_key.lower()
    if not re.fullmatch("[0-9a-f]{64}", fingerprint):
        raise OpkgError(f"“{root_key}” is neither a file nor a SHA-256 fingerprint")
    return pinned_root(Upstream(settings.url), fingerprint)


@mirror.command("list")
@DIRECTORY
@JSON
def list_(directory: Path, as_json: bool) -> None:
    """Show all mirrors, and how they fare."""
    rows = known.health(open_repository(directory))
    if as_json:
        print_json(rows)
        return
    print_table(
        ["NAME", "KIND", "STATE", "SYNCED", "FILES", "SIZE", "URL"],
        [
            [row.name, row.kind, _state(row), row.synced or "never", str(row.files),
             f"{row.size / 1e6:.1f} MB", row.url]
            for row in rows
        ],
    )  # fmt: skip
    for row in rows:
        if row.error:
            say(f"{row.name}: {row.error}")


def _state(row: Health) -> str:
    if row.complete:
        return "complete"
    return f"incomplete, {row.lacking} lacking" if row.lacking else "incomplete"


@mirror.command("sync")
@DIRECTORY
@click.argument("name", metavar="[NAME]", required=False)
@JSON
def sync(directory: Path, name: str | None, as_json: bool) -> None:
    """Bring one mirror, or all, up to date.

    Clients see the new state once it is whole. One that broke off goes on where it was.
    """
    repository = open_repository(directory)
    names = [name] if name else [one.name for one in known.mirrors(repository)]
    failed = []
    for one in names:
        try:
            sync_mirror(repository, one, say)
        except OpkgError as error:
            if name:
                raise
            say(f"{one}: {error}")
            failed.append(one)
    _show(repository, names, as_json)
    if failed:
        raise OpkgError(
            f"not up to date: {', '.join(failed)}",
            hint=f"see opkg-repo mirror list {directory}",
        )


def _show(repository: Repository, names: Sequence[str], as_json: bool) -> None:
    rows = [row for row in known.health(repository) if row.name in names]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row.name}: {_state(row)}, {row.files} files, {row.size / 1e6:.1f} MB")


@mirror.command("remove")
@DIRECTORY
@_NAME
def remove(directory: Path, name: str) -> None:
    """Forget a mirror and its copy; what it brought into a channel stays there."""
    known.remove(open_repository(directory), name)


@mirror.command("export")
@DIRECTORY
@_NAME
@click.argument("folder", metavar="FOLDER", type=FOLDER)
def export(directory: Path, name: str, folder: Path) -> None:
    """Copy a mirror to a folder, e.g. on a disk that is carried to a site without network.

    What is there already is not copied again.
    """
    count = export_mirror(known.find(open_repository(directory), name), folder)
    say(f"{count} files copied to {folder}")


@mirror.command("import")
@DIRECTORY
@_NAME
@click.argument("folder", metavar="FOLDER", type=FOLDER)
@JSON
def import_(directory: Path, name: str, folder: Path, as_json: bool) -> None:
    """Bring a mirror up to date from a folder that holds a copy of its upstream.

    The folder is checked as the upstream would be, by the same keys.
    """
    repository = open_repository(directory)
    sync_mirror(repository, name, say, source=folder)
    _show(repository, [name], as_json)


@mirror.command("announce")
@DIRECTORY
@click.argument("urls", metavar="URL...", nargs=-1)
def announce(directory: Path, urls: tuple[str, ...]) -> None:
    """Tell OPD where copies of this repository are; without any URL, that there are none.

    OPD downloads from the fastest that works, and checks what comes by this repository's keys.
    """
    for url in urls:
        check_address(url)
    addresses = [url.rstrip("/") for url in urls]
    done = upkeep.announce(open_repository(directory), addresses, say)
    say(f"generation {done.generation} is live")


COMMANDS: Sequence[click.Command] = (mirror,)
