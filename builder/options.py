# SPDX-License-Identifier: GPL-2.0-or-later
"""What several commands of opkgc have in common: arguments and options, and what they mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.job import Place
from builder.openpgp import LockedKeyError, PublicKeys, SigningKey
from opkg.target import Target, known_targets

if TYPE_CHECKING:
    from builder.published import Published

PASSPHRASE = "OPKG_PASSPHRASE"  # noqa: S105 (the name of the variable that holds it)

DIRECTORIES = click.argument(
    "directories", metavar="DIR…", nargs=-1, required=True, type=click.Path(path_type=Path)
)
SOURCES = click.option(
    "--source", "sources", metavar="NAME=PATH", multiple=True,
    help="Take this source from a folder or a file, whatever the recipe says.",
)  # fmt: skip
SIGN = click.option(
    "--sign", metavar="KEY", type=click.Path(path_type=Path),
    help="Sign RPMs, and statements of what was made from what, with the OpenPGP secret key in "
    "this file. Its passphrase is taken from $OPKG_PASSPHRASE, or asked for.",
)  # fmt: skip
OUT = click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True,
    help="Where packages go, in a folder for each target.",
)  # fmt: skip
TARGETS = click.option(
    "-t", "--target", "targets", metavar="TARGET", multiple=True, required=True,
    help="Build for this target, e.g. debian-12 or rocky-9-x86_64; may be given again.",
)  # fmt: skip
ROOT = click.option(
    "--root", "place", type=click.Choice([place.value for place in Place]),
    default=Place.AUTO.value, show_default=True,
    help="Where recipes are followed: in a build root of the target, on this machine's own file "
    "system, or, if run by root, the one for what is compiled or needs another OPKG's packages "
    "(where targets.toml knows mirrors) and the other for the rest.",
)  # fmt: skip
REPO = click.option(
    "--repo", metavar="URL CHANNEL KEY", type=(str, str, click.Path(path_type=Path)),
    help="Let what recipes require for building come from this channel of a published repository, "
    "too; KEY is the file of the OpenPGP key that signs it.",
)  # fmt: skip
STORE = click.option(
    "--store", metavar="FOLDER|s3://BUCKET/PREFIX", default="", envvar="OPKG_STORE",
    help="The artifact store: what was built from the same inputs before is taken from there. "
    "“none” is none; it is a folder of the cache otherwise.",
)  # fmt: skip
STORE_GB = click.option(
    "--store-gb", type=click.FloatRange(0), default=10, show_default=True, envvar="OPKG_STORE_GB",
    help="What was used least recently goes from a store in a folder that holds more gigabytes.",
)  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def targets_named(names: Sequence[str]) -> list[Target]:
    """The targets of these names, each once. Raises OpkgError where there is none."""
    table = known_targets()
    return [table.find(name) for name in dict.fromkeys(names)]


def replaced(sources: Sequence[str]) -> dict[str, Path]:
    """The paths that SOURCES names, by the sources' names. Raises BadParameter."""
    pairs = [source.partition("=") for source in sources]
    if bad := [text for text in sources if not all(text.partition("="))]:
        raise click.BadParameter(f"“{bad[0]}” is not NAME=PATH", param_hint="--source")
    return {name: Path(path) for name, _, path in pairs}


def published(repo: tuple[str, str, Path] | None) -> Published | None:
    """The repository that REPO names. Raises OpkgError where its key cannot be read."""
    if repo is None:
        return None
    # Only here: other builds need not wait for what it needs.
    from builder.published import Published

    url, channel, key = repo
    return Published(url=url.rstrip("/"), channel=channel, keys=PublicKeys(key))


def signing_key(path: Path) -> SigningKey:
    """The key that SIGN names. Asks for its passphrase where that is not in the environment.
    Raises OpkgError."""
    passphrase = os.environ.get(PASSPHRASE, "")
    try:
        return SigningKey(path, passphrase)
    except LockedKeyError as error:
        if not sys.stdin.isatty():
            error.hint = f"put the passphrase into the environment as {PASSPHRASE}"
            raise
    return SigningKey(path, click.prompt(f"Passphrase of {path}", hide_input=True, err=True))
