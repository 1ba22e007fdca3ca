# SPDX-License-Identifier: GPL-2.0-or-later
"""cexec: run a command on nodes, on all at once. cexecs: on one after another."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from c3 import cli
from c3.config import MachineSpec
from c3.remote import Remote
from c3.runner import Style, run


def main(argv: Sequence[str] | None = None, *, serial: bool = False) -> int:
    parser = cli.parser(
        "cexecs" if serial else "cexec",
        f"Run a command on nodes, on {'one after another' if serial else 'all at once'}.",
        "[SPEC...] COMMAND...",
    )
    parser.add_argument("-i", action="store_true", help="ask before running it")
    parser.add_argument("-n", action="store_true", help="show what would be run, and run nothing")
    parser.add_argument("-p", action="store_true", help="print “cluster host: ” before every line")

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if not words:
            raise cli.wrong_words(parser, "there is no command to run")
        remote = Remote.from_environment(os.environ)
        relayed = ["-p"] if options.p else []
        chosen = cli.selections(options, specs)
        jobs = cli.execution_jobs(chosen, options, remote, " ".join(words), relayed)
        if options.n:
            for job in jobs:
                print(job.command)
            return 0
        if options.i and not _confirmed(" ".join(words), len(jobs)):
            return 1
        return run(jobs, Style(prefix=options.p, silent=True), serial=serial)

    return cli.guarded(parser, work, argv)


def _confirmed(command: str, count: int) -> bool:
    """Ask on the terminal; only a clear yes counts."""
    print(f"run “{command}” on {count} host{'' if count == 1 else 's'}? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


if __name__ == "__main__":
    sys.exit(main())
