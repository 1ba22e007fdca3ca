# SPDX-License-Identifier: GPL-2.0-or-later
"""opd browse."""

from __future__ import annotations

from pathlib import Path

import click

from opd import repository
from opd.place import headnode
from opd.settings import Settings, pass_settings
from opkg.errors import OpkgError
from opkg.target import known_targets


@click.command()
@click.option("-t", "--target", metavar="TARGET", help="For this target; otherwise the headnode's.")
@click.option(
    "-o", "--out", metavar="DIR", type=click.Path(path_type=Path), default=Path(),
    help="Downloads go into this folder; otherwise into the current one.",
)  # fmt: skip
@pass_settings
def browse(settings: Settings, target: str | None, out: Path) -> None:
    """Look through all OPKGs on offer on a screen, and download some.

    Needs Textual: pip install 'oscar-opkg[screens]'.
    """
    try:
        from opd.browse import Browser
    except ModuleNotFoundError as error:
        raise OpkgError(
            f"this needs {error.name}, which is not here",
            hint="pip install 'oscar-opkg[screens]'; opd list, opd search, opd info and "
            "opd download do the same without it",
        ) from error
    state = settings.open()
    known = repository.load_all(state)
    chosen = known_targets().find(target) if target else headnode(settings.headnode_root).target
    Browser(known, chosen.name, state.downloads, out.absolute()).run()


COMMANDS = (browse,)
