# SPDX-License-Identifier: GPL-2.0-or-later
"""cshutdown: switch nodes off, or start them again."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence

from c3 import cli
from c3.config import MachineSpec


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.parser(
        "cshutdown",
        "Switch nodes off, or start them again. TIME is now, +MINUTES or HH:MM.",
        "[SPEC...] TIME [MESSAGE]",
    )
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("-r", dest="way", action="store_const", const="-r", help="start them again")
    ways.add_argument(
        "-H", dest="way", action="store_const", const="-H", help="halt, but leave the power on"
    )
    ways.add_argument(
        "-k", dest="way", action="store_const", const="-k", help="only warn those who are logged in"
    )
    ways.add_argument(
        "-c", dest="way", action="store_const", const="-c", help="cancel a shutdown (without TIME)"
    )

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if not words and options.way != "-c":
            raise cli.wrong_words(parser, "TIME is missing; write “now” to do it at once")
        way = options.way or "-P"
        message = [" ".join(words[1:])] if len(words) > 1 else []
        # Not on the PATH of every remote shell.
        return cli.execute(
            options, specs, shlex.join(["/sbin/shutdown", way, *words[:1], *message])
        )

    return cli.guarded(parser, work, argv)


if __name__ == "__main__":
    sys.exit(main())
