# SPDX-License-Identifier: GPL-2.0-or-later
"""opd, the OSCAR Package Downloader, on the command line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click
from sqlalchemy.exc import DBAPIError

from opd.oda import database_url
from opd.settings import Settings
from opd.state import DEFAULT
from opkg.console import LazyGroup, run_command
from opkg.errors import OpkgError

# What is wrong with the machine, not with us; every other OSError is a bug.
_MACHINE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO,
    errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip


_MODULES = {
    "browse": "opd.cli_screens",
    "configure": "opd.cli_phases",
    "deploy": "opd.cli_phases",
    "download": "opd.cli_offers",
    "history": "opd.cli_cluster",
    "image": "opd.cli_image",
    "info": "opd.cli_offers",
    "install": "opd.cli_change",
    "list": "opd.cli_offers",
    "node": "opd.cli_node",
    "oda": "opd.cli_cluster",
    "remove": "opd.cli_change",
    "repo": "opd.cli_repo",
    "search": "opd.cli_offers",
    "status": "opd.cli_cluster",
    "test": "opd.cli_phases",
    "undo": "opd.cli_change",
    "update": "opd.cli_repo",
    "upgrade": "opd.cli_change",
    "wizard": "opd.cli_screens",
}


class _Opd(LazyGroup):
    """Turns what the machine refuses into errors that a person can read."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno not in _MACHINE:
                raise
            where = os.fsdecode(error.filename or "")
            raise OpkgError(error.strerror or str(error), where=where) from error
        except DBAPIError as error:
            server = ctx.obj.database
            raise OpkgError(
                f"the cluster database cannot be used: {error.orig}",
                where=str(server or ctx.params["state"]),
                hint="is it running, is the user let in, and has it room?"
                if server
                else "is the disk full, or the folder read-only?",
            ) from error


@click.group(cls=_Opd, modules=_MODULES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--state", metavar="DIR", type=click.Path(path_type=Path), default=DEFAULT,
    show_default=True, help="Where OPD keeps all it knows.",
)  # fmt: skip
@click.option(
    "--headnode-root", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/"), show_default=True, help="The headnode's root file system.",
)  # fmt: skip
@click.option(
    "--db", metavar="URL",
    help="The cluster database, if on a server: mysql://, mariadb:// or postgresql://…",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show all that the tools print.")
@click.version_option(package_name="oscar-opkg")
@click.pass_context
def cli(
    context: click.Context,
    state: Path,
    headnode_root: Path,
    db: str | None,
    *,
    verbose: bool,
) -> None:
    """Find OPKGs in repositories and install them into a cluster.

    The headnode gets an OPKG's API and server part, the node images get its client part, each
    through its own package manager, with signatures checked.

    \b
    To begin:
      opd repo add URL --root-key FINGERPRINT
      opd image create compute -t debian-12
      opd list
      opd install NAME
    """
    url = database_url(db) if db else None
    context.obj = Settings(state, headnode_root.resolve(), verbose, url)


def main() -> None:
    """Run opd and exit."""
    run_command(cli, name="opd", settings="opd.toml", env_prefix="OPD")
