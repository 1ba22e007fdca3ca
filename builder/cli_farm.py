# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc worker."""

from __future__ import annotations

from collections.abc import Sequence

import click

from builder.options import targets_named
from opkg.target import known_targets


@click.command()
@click.argument("scheduler", metavar="tcp://HOST:PORT")
@click.option(
    "-t", "--target", "targets", metavar="TARGET", multiple=True,
    help="Build for this target alone; may be given again. Without it, for all targets of this "
    "machine's architecture.",
)  # fmt: skip
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True,
    help="How many OPKGs to build at a time.",
)  # fmt: skip
def worker(scheduler: str, targets: Sequence[str], jobs: int) -> None:
    """Build for others, as a worker of a Dask scheduler.

    Who runs opkgc build with --executor dask:tcp://HOST:PORT has recipes followed here. The worker
    ends with its scheduler, or by a signal (Ctrl-C): others do then what it was doing. Whoever
    reaches the scheduler can run programs here as the worker's user.
    """
    # Only here: Dask is an extra.
    from builder.serving import serve

    names = targets or list(known_targets().distributions)
    serve(scheduler, targets_named(names), jobs)


COMMANDS = (worker,)
