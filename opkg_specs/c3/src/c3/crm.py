# SPDX-License-Identifier: GPL-2.0-or-later
"""crm: remove files on nodes."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from c3 import cli
from c3.config import MachineSpec
from c3.remote import quote_glob


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.parser(
        "crm",
        "Remove files on nodes. Quoted wildcards are expanded on each node.",
        "[SPEC...] FILE...",
    )
    parser.add_argument("-r", action="store_true", help="remove folders with all that is in them")
    parser.add_argument("-o", action="store_true", help="force: what is not there is no error")
    parser.add_argument("-v", action="store_true", help="say what is removed")

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if not words:
            raise cli.wrong_words(parser, "name what is to be removed")
        flags = {"-r": options.r, "-f": options.o, "-v": options.v}
        given = [flag for flag, wanted in flags.items() if wanted]
        return cli.execute(options, specs, " ".join(["rm", *given, "--", *map(quote_glob, words)]))

    return cli.guarded(parser, work, argv)


if __name__ == "__main__":
    sys.exit(main())
