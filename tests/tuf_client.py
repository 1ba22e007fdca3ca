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
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="tuf_client")
    parser.add_argument("--metadata-dir", type=Path, required=True)
    for option in ("metadata-url", "target-name", "target-base-url", "target-dir"):
        parser.add_argument(f"--{option}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser.parse_args()


def _do(given: Namespace) -> None:
    root = given.metadata_dir / "root.json"
    if given.command == "init":
        given.metadata_dir.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(given.root, root)
        return
    updater = Updater(
        metadata_dir=str(given.metadata_dir),
        metadata_base_url=given.metadata_url,
        target_dir=given.target_dir,
        target_base_url=given.target_base_url,
        # As OPD does: from the root that was pinned, not from what is in the folder.
        bootstrap=root.read_bytes(),
    )
    updater.refresh()
    if given.command == "download":
        info = updater.get_targetinfo(given.target_name)
        if info is None:
            raise RepositoryError(f"there is no target {given.target_name}")
        updater.download_target(info)


def main() -> int:
    try:
        _do(_arguments())
    except (DownloadError, RepositoryError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
