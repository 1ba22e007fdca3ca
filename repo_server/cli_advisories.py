# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of opkg-repo about advisories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from opkg.console import print_json, print_table, say
from repo_server import advisories
from repo_server.cli_options import DIRECTORY, FOLDER, JSON
from repo_server.repository import open_repository


@click.group()
def advisory() -> None:
    """Say what a release mends: dnf and zypper show it."""


@advisory.command()
@DIRECTORY
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FOLDER)
@JSON
def add(directory: Path, files: tuple[Path, ...], as_json: bool) -> None:
    """Take advisories, all or none; one whose id is there takes its place.

    FILE is a TOML file with id, type (security, bugfix or enhancement), title, issued (a date) and
    fixes (a list of NAME=VERSION of OPKGs or packages); further with severity, description and
    references. Clients see it after `opkg-repo publish`.
    """
    changed = advisories.add(open_repository(directory), files, say)
    if as_json:
        print_json([one.id for one in changed])
    elif changed:
        say(f"to show them to clients: opkg-repo publish {directory}")


@advisory.command()
@DIRECTORY
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def remove(directory: Path, ids: tuple[str, ...]) -> None:
    """Take advisories back, with the next `opkg-repo publish`."""
    advisories.remove(open_repository(directory), ids, say)
    say(f"to show that to clients: opkg-repo publish {directory}")


@advisory.command("list")
@DIRECTORY
@JSON
def list_(directory: Path, as_json: bool) -> None:
    """List the advisories, published or waiting."""
    rows = advisories.listed(open_repository(directory))
    if as_json:
        print_json(rows)
        return
    print_table(
        ["ID", "TYPE", "SEVERITY", "FIXES", "STATE"],
        [
            [one.id, one.type, one.severity, ", ".join(one.fixes), row.state]
            for row in rows
            for one in [row.advisory]
        ],
    )


COMMANDS: Sequence[click.Command] = (advisory,)
