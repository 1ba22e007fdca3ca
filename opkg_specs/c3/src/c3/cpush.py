# SPDX-License-Identifier: GPL-2.0-or-later
"""cpush: copy files from here to nodes."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from c3 import cli
from c3.config import Cluster, MachineSpec, Selection
from c3.errors import C3Error
from c3.remote import Remote, new_name
from c3.runner import Job, Style, run


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.parser(
        "cpush",
        "Copy a file or a folder to nodes; without TARGET, to the same place there.",
        "[SPEC...] SOURCE [TARGET]",
    )
    parser.add_argument(
        "-l", metavar="LIST", help="copy what the lines of LIST say: SOURCE [TARGET]"
    )
    parser.add_argument("-b", action="store_true", help="send whole files, also for small changes")
    parser.add_argument(
        "--nolocal",
        action="store_true",
        help="for indirect clusters: SOURCE lies on their head nodes",
    )

    def work(options: Namespace, specs: list[MachineSpec], words: list[str]) -> int:
        if (options.l and words) or (not options.l and len(words) not in (1, 2)):
            raise cli.wrong_words(parser, "name SOURCE and perhaps TARGET, or a list with -l")
        pairs = _read_list(Path(options.l)) if options.l else [words]
        for source, *_ in pairs if not options.nolocal else ():
            if not Path(source).exists():
                raise C3Error("there is no such file here", where=source)
        remote = Remote.from_environment(os.environ)
        chosen = cli.selections(options, specs)
        jobs = [
            job
            for source, *target in pairs
            for job in push_jobs(chosen, options, remote, source, target)
        ]
        return run(jobs, Style())

    return cli.guarded(parser, work, argv)


def push_jobs(
    chosen: Sequence[Selection],
    options: Namespace,
    remote: Remote,
    source: str,
    target: Sequence[str],
) -> list[Job]:
    """Jobs that copy one source. To an indirect cluster it goes by way of its head node."""
    # Kept as it is written, for rsync: a slash at its end means what is in the folder.
    folder = target[0] if target else f"{Path(source).absolute().parent}/"
    flags = ["--whole-file"] if options.b else []

    def on_host(_: Cluster, host: str, user: str) -> str:
        return remote.rsync(flags, source, remote.at(host, user, folder))

    def on_cluster(one: Selection) -> str:
        head, user = one.cluster.external, one.spec.user
        spec = f":{one.spec.positions}"
        again = ["cpush", *(["-b"] if options.b else []), spec]
        if options.nolocal:
            return remote.shell(head, user, remote.tool([*again, source, *target]))
        place = f"/tmp/{new_name()}"
        copy = remote.rsync(flags, source, remote.at(head, user, f"{place}/"))
        inner = remote.tool([*again, f"./{_last_name(source)}", folder])
        onward = remote.shell(head, user, f"cd {place} && {inner}")
        return remote.with_folder(head, user, place, f"{copy} && {onward}")

    return cli.make_jobs(chosen, options, on_host, on_cluster)


def _last_name(source: str) -> str:
    """The name under which rsync puts the source into a folder; "" for the folder's content."""
    return "" if source.endswith("/") else Path(source).name


def _read_list(path: Path) -> list[list[str]]:
    """The pairs of a list: a source and perhaps a target on each line, # starts a comment."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise C3Error(f"cannot read it: {error.strerror}", where=str(path)) from error
    pairs = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if len(words) > 2:
            raise C3Error(
                f"{len(words)} names", where=f"{path}:{number}", hint="write SOURCE [TARGET]"
            )
        if words:
            pairs.append(words)
    if not pairs:
        raise C3Error("it names no file", where=str(path), hint="write SOURCE [TARGET] on a line")
    return pairs


if __name__ == "__main__":
    sys.exit(main())
