# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of opkg-repo about who may do what over HTTP, and who did."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from opkg.console import print_json, print_table, say
from opkg.errors import OpkgError
from repo_server import audit, signers, tokens
from repo_server.cli_options import DIRECTORY, FOLDER, JSON
from repo_server.client import Client
from repo_server.repository import open_repository

_CHANNEL = click.option("--channel", required=True, metavar="C", help="The channel.")


@click.group()
def token() -> None:
    """Say who may change the repository over HTTP."""


@token.command("create")
@DIRECTORY
@click.argument("name")
@click.option("--channel", "channels", multiple=True, required=True, metavar="C",
              help="A channel that it is good for, or * for all.")  # fmt: skip
@click.option("--action", "actions", required=True, metavar="A,A...",
              help=f"What it is good for: {', '.join(tokens.Action)}.")  # fmt: skip
@click.option("--expires", metavar="TIME", help="How long it is good, e.g. 90d or 12h.")
@JSON
def create(
    directory: Path,
    name: str,
    channels: tuple[str, ...],
    actions: str,
    expires: str | None,
    as_json: bool,
) -> None:
    """Make a token and print it: it is shown this once.

    The repository keeps a hash of it.
    """
    repository = open_repository(directory)
    lifetime = tokens.duration(expires) if expires else None
    made, text = tokens.create(repository, name, channels, _actions(actions), lifetime)
    audit.note(repository, _user(), "token create", detail=f"{made.name} ({made.id})")
    if as_json:
        print_json({**_shown(made), "token": text})
        return
    click.echo(text)
    say(f"{made.name} ({made.id}), good until {made.expires or 'it is revoked'}")
    say("keep it in a file of your own: it is not shown again")


@token.command("list")
@DIRECTORY
@JSON
def list_(directory: Path, as_json: bool) -> None:
    """List all tokens, without their secrets."""
    rows = [_shown(one) for one in tokens.known(open_repository(directory))]
    if as_json:
        print_json(rows)
        return
    columns = ("id", "name", "state", "channels", "actions", "expires")
    print_table(
        [column.upper() for column in columns],
        [
            [
                ", ".join(value) if isinstance(value := row[column], list) else str(value)
                for column in columns
            ]
            for row in rows
        ],
    )


@token.command()
@DIRECTORY
@click.argument("name", metavar="NAME|ID")
def revoke(directory: Path, name: str) -> None:
    """Let a token be good for nothing from now on."""
    repository = open_repository(directory)
    gone = tokens.revoke(repository, name)
    audit.note(repository, _user(), "token revoke", detail=f"{gone.name} ({gone.id})")
    say(f"{gone.name} ({gone.id}) is revoked")


@click.command("audit")
@DIRECTORY
@JSON
def audit_(directory: Path, as_json: bool) -> None:
    """Print who changed what over HTTP, the newest last."""
    found = list(audit.entries(open_repository(directory)))
    if as_json:
        print_json(found)
        return
    print_table(
        ["TIME", "WHO", "FROM", "ACTION", "CHANNEL", "WHAT", "STATUS"],
        [
            [one.time, one.who, one.address, one.action, one.channel, one.detail,
             " ".join(filter(None, (str(one.status or ""), one.error)))]
            for one in found
        ],
    )  # fmt: skip


@click.command()
@click.argument("url")
@click.argument("files", metavar="FILE|MANIFEST...", nargs=-1, required=True, type=FOLDER)
@click.option("--channel", required=True, metavar="C", help="The line of releases, e.g. testing.")
@click.option("--target", default="", metavar="T", help="As of opkg-repo add.")
@click.option("--token-file", required=True, metavar="FILE", type=FOLDER,
              help="The file that holds your token.")  # fmt: skip
@JSON
def upload(
    url: str, files: tuple[Path, ...], channel: str, target: str, token_file: Path, as_json: bool
) -> None:
    """Send packages to the repository at URL and publish them there, all or none.

    Give the same command again after a break: it goes on where it stopped. When it ends with
    success, clients can install the packages.
    """
    try:
        text = token_file.read_text().strip()
    except OSError as error:
        raise OpkgError(f"cannot be read: {error.strerror}", where=str(token_file)) from error
    done = Client(url=url, token=text, progress=say).upload(files, channel, target)
    if as_json:
        print_json(done)
        return
    print_table(
        ["TARGET", "PACKAGE", "VERSION", "ARCHITECTURE", ""],
        [
            [one["target"], one["name"], one["version"], one["architecture"],
             "" if one["new"] else "was there"]
            for one in done["added"]
        ],
    )  # fmt: skip
    say(f"generation {done['generation']} shows them")


@click.group()
def signer() -> None:
    """Say whose packages a channel takes: a list of maintainers' keys.

    A channel without a list takes packages of everybody who may add some. Into one that has a list
    come only RPMs that one of its keys signed, and debs that a .changes names which one signed.
    """


@signer.command("add")
@DIRECTORY
@click.argument("files", metavar="KEY...", nargs=-1, required=True, type=FOLDER)
@_CHANNEL
@JSON
def add_signer(directory: Path, files: tuple[Path, ...], channel: str, as_json: bool) -> None:
    """Put OpenPGP keys on a channel's list.

    KEY is a file with public keys, as gpg --export writes it. What is in the channel stays there.
    """
    repository = open_repository(directory)
    added = [one for file in files for one in signers.add(repository, channel, file)]
    for one in added:
        audit.note(repository, _user(), "signer add", channel=channel, detail=one.key.fingerprint)
    _show_signers(added, as_json)


@signer.command("list")
@DIRECTORY
@JSON
def list_signers(directory: Path, as_json: bool) -> None:
    """List the keys of all channels."""
    _show_signers(signers.listed(open_repository(directory)), as_json)


@signer.command("remove")
@DIRECTORY
@click.argument("fingerprint")
@_CHANNEL
def remove_signer(directory: Path, fingerprint: str, channel: str) -> None:
    """Take a key off a channel's list.

    What it signed stays in the channel. Without any key the channel takes packages of everybody.
    """
    repository = open_repository(directory)
    left = signers.remove(repository, channel, fingerprint)
    audit.note(repository, _user(), "signer remove", channel=channel, detail=fingerprint)
    if not left:
        say(f"that was the last key: the channel {channel} takes packages of everybody now")


COMMANDS = (token, audit_, upload, signer)


def _show_signers(found: Sequence[signers.Signer], as_json: bool) -> None:
    if as_json:
        print_json([{"channel": one.channel, **asdict(one.key)} for one in found])
        return
    print_table(
        ["CHANNEL", "FINGERPRINT", "OF", "STATE"],
        [
            [
                one.channel,
                one.key.fingerprint,
                one.key.name,
                "" if one.key.good else "expired or revoked",
            ]
            for one in found
        ],
    )


def _actions(text: str) -> list[tokens.Action]:
    words = [word.strip() for word in text.split(",")]
    unknown = [word for word in words if word not in set(tokens.Action)]
    if unknown:
        raise OpkgError(
            f"there is no action “{unknown[0]}”", hint=f"choose of {', '.join(tokens.Action)}"
        )
    return [tokens.Action(word) for word in words]


def _shown(one: tokens.Token) -> dict[str, str | list[str]]:
    return {
        "id": one.id,
        "name": one.name,
        "state": one.state(datetime.now(UTC)),
        "channels": list(one.channels),
        "actions": list(one.actions),
        "created": one.created,
        "expires": one.expires,
        "revoked": one.revoked,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"
