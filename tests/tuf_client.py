# SPDX-License-Identifier: GPL-2.0-or-later
"""The TUF client that OPD uses, as the command that tuf-conformance drives.

    python -m tests.tuf_client --metadata-dir DIR init ROOT
    python -m tests.tuf_client --metadata-dir DIR --metadata-url URL refresh
    python -m tests.tuf_client --metadata-dir DIR --metadata-url URL --target-name NAME
        --target-base-url URL --target-dir DIR download

Exit status 0 when done, 1 when something was refused.
"""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from opd import trust
from opkg.errors import OpkgError


def _arguments(words: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(prog="tuf_client")
    parser.add_argument("--metadata-dir", type=Path, required=True)
    for option in ("metadata-url", "target-name", "target-base-url"):
        parser.add_argument(f"--{option}")
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser.parse_args(words)


def _do(given: Namespace) -> None:
    # As OPD does: always from the root that was pinned.
    pinned = given.metadata_dir / trust.PINNED
    if given.command == "init":
        given.metadata_dir.mkdir(parents=True, exist_ok=True)
        for path in (pinned, given.metadata_dir / "root.json"):
            shutil.copyfile(given.root, path)
        return
    root, url = pinned.read_bytes(), given.metadata_url
    with trust.verified(given.metadata_dir, root, url, where=url, hint="") as known:
        if given.command == "download":
            path = given.target_dir / quote(given.target_name, safe="")
            trust.target(known, given.target_name, path, given.target_base_url)


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says, or these words; the exit status."""
    try:
        _do(_arguments(words))
    except OpkgError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
