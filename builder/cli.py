# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc, the OPKG compiler, on the command line."""

from __future__ import annotations

import os
import signal

import click

from builder import cli_build, cli_farm, cli_plan, cli_specs, cli_trust
from opkg.console import run_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oscar-opkg")
def cli() -> None:
    """Compile OPKGs, descriptions of cluster software, into native packages.

    An OPKG is a folder with a config.xml. For each target it becomes three packages: opkg-NAME,
    opkg-NAME-server and opkg-NAME-client; a build.toml beside it can add further ones.
    """


for _command in (
    *cli_specs.COMMANDS,
    *cli_plan.COMMANDS,
    *cli_build.COMMANDS,
    *cli_trust.COMMANDS,
    *cli_farm.COMMANDS,
):
    cli.add_command(_command)


def main() -> None:
    """Run opkgc and exit."""
    # What steps make must not depend on who runs them.
    os.umask(0o022)
    # Whoever ends us, what we have started ends first.
    for word in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(word) is signal.SIG_DFL:  # and not ignored, as by nohup
            signal.signal(word, signal.default_int_handler)
    run_command(cli, name="opkgc", settings="opkgc.toml", env_prefix="OPKG")
