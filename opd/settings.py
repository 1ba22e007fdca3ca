# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of opd have in common: the global options, and arguments that recur."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
from sqlalchemy import URL

from opd.state import State
from opkg.errors import OpkgError


@dataclass(frozen=True)
class Settings:
    """What the global options say."""

    state_dir: Path
    headnode_root: Path
    verbose: bool
    database: URL | None = None

    def open(self) -> State:
        """The state; opened only by commands that need it."""
        try:
            return State.open(self.state_dir, self.database)
        except PermissionError as error:
            raise OpkgError(
                "you may not write here", where=str(self.state_dir), hint="be root, or use --state"
            ) from error
        except FileExistsError as error:
            raise OpkgError(
                "this is a file, not a folder", where=str(self.state_dir), hint="use --state"
            ) from error


pass_settings = click.make_pass_decorator(Settings)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
PARSABLE = click.option(
    "--parsable", is_flag=True, help="Print it as the first OPD did, for scripts that read that."
)
NAMES = click.argument("names", metavar="NAME…", nargs=-1, required=True)
IN_HEADNODE = click.option("--headnode", "on_headnode", is_flag=True, help="In the headnode.")
IN_IMAGE = click.option(
    "--image", "image_names", metavar="NAME|DIR", multiple=True,
    help="In this image; may be given again. Without --headnode and --image: everywhere.",
)  # fmt: skip
