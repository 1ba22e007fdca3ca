# SPDX-License-Identifier: GPL-2.0-or-later
"""ckill: send a signal to the processes of a name, on nodes."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence

from c3 import cli
from c3.config import MachineSpec


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.parser(
        "ckill", "Send a signal to the processes of a name, on nodes.", "[SPEC...] NAME"
    )
    parser.add_argument("-s", metavar="SIGNAL", default="TERM", help="the signal (default: TERM)")
    parser.add_argument(
        "-u", metavar="USER", help="those of USER, or of everybody with ALL (default: your own)"
    )

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if len(words) != 1:
            raise cli.wrong_words(parser, "name one program, by its name alone")
        user = ["-u", options.u] if options.u else []
        return cli.execute(
            options, specs, shlex.join(["ckillnode", "-s", options.s, *user, "--", words[0]])
        )

    return cli.guarded(parser, work, argv)


if __name__ == "__main__":
    sys.exit(main())
