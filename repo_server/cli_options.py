# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of opkg-repo have in common."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
DIRECTORY = click.argument("directory", metavar="DIR", type=FOLDER)
