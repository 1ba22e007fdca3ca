# SPDX-License-Identifier: GPL-2.0-or-later
"""clist: say what clusters there are."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from c3 import cli
from c3.config import Cluster, MachineSpec


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.parser(
        "clist", "Say what clusters there are, the default one first.", "", acts=False
    )

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if specs or words:
            raise cli.wrong_words(parser, "clist takes no words")
        for cluster in cli.read_config(options).clusters:
            print(describe(cluster))
        return 0

    return cli.guarded(parser, work, argv)


def describe(cluster: Cluster) -> str:
    """One line on a cluster."""
    if cluster.indirect:
        return f"{cluster.name}: indirect, through {cluster.external}"
    head = cluster.external
    if cluster.internal != head:
        head += f" (inside: {cluster.internal})"
    count = len(cluster.nodes)
    left_out = sum(bool(node.state) for node in cluster.nodes)
    return f"{cluster.name}: head {head}, {count} node{'' if count == 1 else 's'}" + (
        f", {left_out} of them dead or excluded" if left_out else ""
    )


if __name__ == "__main__":
    sys.exit(main())
