# SPDX-License-Identifier: GPL-2.0-or-later
"""cname: the names of the nodes at positions."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from c3 import cli
from c3.config import MachineSpec, select
from c3.errors import C3Error


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.parser(
        "cname",
        "Print the nodes at positions, one a line: CLUSTER:POSITION NAME, and why it is\n"
        "left out where it is. Without SPEC, all nodes of the first cluster.",
        "[SPEC...]",
        acts=False,
    )

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if words:
            raise cli.wrong_words(parser, f"“{words[0]}” is not a machine specification")
        config = cli.read_config(options)
        for one in [select(config, spec) for spec in specs or [MachineSpec()]]:
            if one.cluster.indirect:
                raise C3Error(
                    f"only {one.cluster.external} knows the nodes of {one.cluster.name}",
                    where=config.where,
                    hint=f"run cname on {one.cluster.external}",
                )
            for position, node in one.slots:
                print(
                    " ".join(
                        filter(None, [f"{one.cluster.name}:{position}", node.name, node.state])
                    )
                )
        return 0

    return cli.guarded(parser, work, argv)


if __name__ == "__main__":
    sys.exit(main())
