# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of opkg-repo that change what is published, and look after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from opkg.console import print_json, print_table, say
from opkg.target import Target, known_targets
from repo_server import channels, garbage, past, upkeep
from repo_server.cli_options import DIRECTORY, JSON
from repo_server.publish import Published
from repo_server.publish import renew as renew_repository
from repo_server.repository import open_repository

_NAMES = "NAME[=VERSION]..."


@click.command()
@DIRECTORY
@click.argument("names", metavar=_NAMES, nargs=-1, required=True)
@click.option("--channel", required=True, metavar="C", help="The channel that loses them.")
@click.option("--target", metavar="T", help="Only for this target.")
@JSON
def remove(
    directory: Path, names: tuple[str, ...], channel: str, target: str | None, as_json: bool
) -> None:
    """Take OPKGs with their packages, or single packages, out of a channel.

    Clients see that after `opkg-repo publish`; earlier generations keep them for a roll-back.
    """
    chosen: Target | None = known_targets().find(target) if target else None
    _show(directory, channels.remove(open_repository(directory), channel, names, chosen, say),
          as_json)  # fmt: skip


@click.command()
@DIRECTORY
@click.argument("origin", metavar="FROM")
@click.argument("channel", metavar="TO")
@click.argument("names", metavar=f"[{_NAMES}]", nargs=-1)
@JSON
def promote(
    directory: Path, origin: str, channel: str, names: tuple[str, ...], as_json: bool
) -> None:
    """Put what one channel shows into another one too: all, or what is named.

    Clients see that after `opkg-repo publish`.
    """
    moved = channels.promote(open_repository(directory), origin, channel, names, say)
    _show(directory, moved, as_json)


@click.command()
@DIRECTORY
@JSON
def generations(directory: Path, as_json: bool) -> None:
    """List what was published, and what each publication changed."""
    rows = upkeep.generations(open_repository(directory))
    if as_json:
        print_json(rows)
        return
    print_table(
        ["GENERATION", "PUBLISHED", "STATE", "PACKAGES"],
        [
            [
                str(row.number),
                row.published,
                row.state,
                ", ".join(f"{name} +{new} -{old}" for name, (new, old) in row.channels.items()),
            ]
            for row in rows
        ],
    )


@click.command()
@DIRECTORY
@click.argument("old", metavar="GENERATION", type=int)
@click.argument("new", metavar="[GENERATION]", type=int, required=False)
@JSON
def diff(directory: Path, old: int, new: int | None, as_json: bool) -> None:
    """Tell which packages differ between two generations; without the second, the live one.

    + is a package that comes, - one that goes, ~ one in another version.
    """
    repository = open_repository(directory)
    changes = past.between(repository, old, repository.live_number() if new is None else new)
    if as_json:
        print_json(changes)
        return
    print_table(
        ["", "PACKAGE", "OLD", "NEW", "CHANNEL", "TARGET", "ARCHITECTURE"],
        [
            [row.sign, row.name, row.old, row.new, row.channel, row.target, row.architecture]
            for row in changes
        ],
    )


@click.command()
@DIRECTORY
@click.argument("channel", metavar="CHANNEL")
@click.argument("generation", metavar="[GENERATION]", required=False, type=click.IntRange(1))
@JSON
def rollback(directory: Path, channel: str, generation: int | None, as_json: bool) -> None:
    """Publish a channel as it was in an earlier generation, else before its last change.

    That becomes a new generation with new dates. Other channels stay as they are.
    """
    done = channels.roll_back(open_repository(directory), channel, generation, say)
    _show_published(done, as_json)


@click.command()
@DIRECTORY
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Publish only the newest N "
              "versions of each OPKG and package.")  # fmt: skip
@JSON
def gc(directory: Path, keep: int | None, as_json: bool) -> None:
    """Remove from the disk what no kept generation shows any more.

    Then no roll-back goes behind the oldest of these.
    """
    done = garbage.collect(open_repository(directory), keep, say)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done.removed} old packages are published no more")
    click.echo(f"{done.files} files removed, {done.freed / 1e6:.1f} MB")
    if done.waiting:
        say(f"{done.waiting} packages stay while a kept generation shows them")


@click.command()
@DIRECTORY
@click.option("--older-than", type=click.IntRange(0), default=0, metavar="DAYS",
              help="Only if some of its dates are as old.")  # fmt: skip
@JSON
def renew(directory: Path, older_than: int, as_json: bool) -> None:
    """Give what is live new dates, and show nothing else.

    `opkg-repo serve` does so by itself.
    """
    age = timedelta(days=older_than)
    done = renew_repository(open_repository(directory), say, age=age)
    if done is None:
        say("not that old yet")
    else:
        _show_published(done, as_json)


@click.group()
def key() -> None:
    """Look after the keys."""


@key.command()
@DIRECTORY
@click.argument("kind", type=click.Choice(["tuf", "openpgp"]))
@JSON
def rotate(directory: Path, kind: str, as_json: bool) -> None:
    """Replace the keys that OPD checks (tuf), or add a newer one for apt, dnf and zypper (openpgp).

    Clients of the old keys go on. Of OpenPGP keys, the old one stays in use beside the new one
    until its secret half is taken out of private/openpgp/.
    """
    repository = open_repository(directory)
    if kind == "tuf":
        version, done = upkeep.rotate_tuf(repository, say)
        result: dict[str, object] = {"root": version, "generation": done.generation}
    else:
        name, done = upkeep.rotate_openpgp(repository, say)
        result = {"openpgp": name, "generation": done.generation}
    if as_json:
        print_json(result)
        return
    for word, value in result.items():
        click.echo(f"{word} {value}")


COMMANDS: Sequence[click.Command] = (
    remove,
    promote,
    generations,
    diff,
    rollback,
    gc,
    renew,
    key,
)


def _show(directory: Path, moved: Sequence[channels.Moved], as_json: bool) -> None:
    if as_json:
        print_json(moved)
        return
    print_table(
        ["CHANNEL", "TARGET", "PACKAGE", "VERSION", "ARCHITECTURE"],
        [[row.channel, row.target, row.name, row.version, row.architecture] for row in moved],
    )
    if moved:
        say(f"to show that to clients: opkg-repo publish {directory}")


def _show_published(done: Published, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        say(f"generation {done.generation} is live, valid until {done.valid_until}")
