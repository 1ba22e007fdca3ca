# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc's commands about trust in what was built."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.openpgp import PublicKeys
from builder.options import JSON, REPO, SOURCES, published, replaced
from opkg.console import print_json, say

if TYPE_CHECKING:
    from builder.verify import Verdict


@click.command()
@click.argument(
    "paths", metavar="MANIFEST… DIR…", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True,
    help="How many OPKGs to build at a time.",
)  # fmt: skip
@click.option(
    "--key", metavar="FILE", type=click.Path(path_type=Path),
    help="An OpenPGP public key that RPMs and provenance must be signed with.",
)  # fmt: skip
@SOURCES
@REPO
@JSON
def verify(
    paths: Sequence[Path],
    jobs: int,
    key: Path | None,
    sources: Sequence[str],
    repo: tuple[str, str, Path] | None,
    *,
    as_json: bool,
) -> None:
    """Build again what manifests say was built, and compare.

    Each DIR is an OPKG that was built; its packages are made again in a temporary folder, nothing
    of them is taken from a cache, and they must have the same bytes as those beside the manifest.
    What differs is said, and makes the exit status 1. Signatures of RPMs are left out.
    """
    manifests = [path for path in paths if path.suffix == ".json"]
    directories = [path for path in paths if path.suffix != ".json"]
    if not manifests or not directories:
        raise click.UsageError("name a manifest.json and the directories of its OPKGs")
    # Only here: what it needs would make all other commands slow to start.
    from builder.verify import verify as verify_manifest

    keys = PublicKeys(key) if key else None
    repository = published(repo)
    verdicts = [
        verdict
        for path in manifests
        for verdict in verify_manifest(
            path,
            directories,
            replaced(sources),
            keys=keys,
            repository=repository,
            workers=jobs,
            say=say,
        )
    ]
    if as_json:
        print_json(verdicts)
    else:
        for verdict in verdicts:
            _show(verdict)
    if any(verdict.differs for verdict in verdicts):
        sys.exit(1)


def _show(verdict: Verdict) -> None:
    word = "differs" if verdict.differs else "the same"
    click.echo(f"{word:<9}  {verdict.opkg}  {verdict.target}  {verdict.files} files")
    for file, found in groupby(verdict.differs, lambda difference: difference.file):
        if file:
            click.echo(f"  {file}")
        for difference in found:
            click.echo(f"  {'  ' if file else ''}{difference.what}")
    for line in verdict.notes:
        click.echo(f"  note: {line}")


COMMANDS = (verify,)
