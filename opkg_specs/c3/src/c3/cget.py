# SPDX-License-Identifier: GPL-2.0-or-later
"""cget: fetch a file from nodes, each under a name of its own."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from c3 import cli
from c3.config import Cluster, MachineSpec, Selection
from c3.errors import C3Error
from c3.remote import Remote, new_name, script
from c3.runner import Job, Style, run


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.parser(
        "cget",
        "Fetch a file or a folder from nodes into a folder here (default: the current\n"
        "one), under the name FILE_CLUSTER_NODE.",
        "[SPEC...] FILE [FOLDER]",
    )

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if len(words) not in (1, 2):
            raise cli.wrong_words(parser, "name one FILE and perhaps a FOLDER")
        source, folder = words[0], Path(words[1] if len(words) == 2 else ".").absolute()
        name = PurePosixPath(source).name
        if not name or set(name) & set("*?["):
            raise cli.wrong_words(parser, f"“{source}” is not one file or folder")
        if not folder.is_dir():
            raise C3Error("there is no such folder here", where=str(folder))
        remote = Remote.from_environment(os.environ)
        chosen = cli.selections(options, specs)
        return run(get_jobs(chosen, options, remote, PurePosixPath(source), folder), Style())

    return cli.guarded(parser, work, argv)


def get_jobs(
    chosen: Sequence[Selection],
    options: Namespace,
    remote: Remote,
    source: PurePosixPath,
    folder: Path,
) -> list[Job]:
    """Jobs that fetch a file or folder. From an indirect cluster it comes by way of its head."""

    def on_host(cluster: Cluster, host: str, user: str) -> str:
        # What was fetched takes its place when it is whole.
        aside = folder / new_name()
        copy = remote.rsync([], remote.at(host, user, str(source)), f"{aside}/")
        place = folder / f"{source.name}_{cluster.name}_{host}"
        moved = shlex.join(["mv", "-fT", str(aside / source.name), str(place)])
        removed = shlex.join(["rm", "-rf", str(aside)])
        return script(f"{copy} && {moved}; status=$?; {removed}; exit $status")

    def on_cluster(one: Selection) -> str:
        head, user = one.cluster.external, one.spec.user
        place = f"/tmp/{new_name()}"
        inner = remote.tool(["cget", f":{one.spec.positions}", str(source), place])
        copy = remote.rsync([], remote.at(head, user, f"{place}/{source.name}_*"), f"{folder}/")
        return remote.with_folder(
            head, user, place, f"{remote.shell(head, user, inner)}; got=$?; {copy} && (exit $got)"
        )

    return cli.make_jobs(chosen, options, on_host, on_cluster)


if __name__ == "__main__":
    sys.exit(main())
