# SPDX-License-Identifier: GPL-2.0-or-later
"""cnum: the positions of named nodes."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from c3 import cli
from c3.config import MachineSpec
from c3.errors import C3Error


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.parser(
        "cnum",
        "Print the positions of nodes, one a line: CLUSTER:POSITION NAME.",
        "[CLUSTER:] NAME...",
        acts=False,
    )

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if not words or len(specs) > 1 or any(spec.ranges for spec in specs):
            raise cli.wrong_words(parser, "name nodes of one cluster")
        config = cli.read_config(options)
        cluster = config.cluster(specs[0].cluster if specs else "")
        positions = {node.name: at for at, node in enumerate(cluster.nodes)}
        missing = [name for name in words if name not in positions]
        for name in words:
            if name in positions:
                print(f"{cluster.name}:{positions[name]} {name}")
        if missing:
            raise C3Error(
                f"not in the cluster {cluster.name}: {', '.join(missing)}",
                where=config.where,
                hint="cname : shows the nodes it has",
            )
        return 0

    return cli.guarded(parser, work, argv)


if __name__ == "__main__":
    sys.exit(main())
