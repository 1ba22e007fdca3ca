# SPDX-License-Identifier: GPL-2.0-or-later
"""What all commands share: their options, whom they act on, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from c3 import __version__
from c3.config import (
    Cluster,
    Config,
    MachineSpec,
    Selection,
    is_spec,
    parse_config,
    parse_spec,
    select,
)
from c3.errors import C3Error, UsageError
from c3.remote import Remote
from c3.runner import Job, Style, run

DEFAULT_CONF = "/etc/c3.conf"

_SPECS = """\
SPEC is [user@][cluster]:[positions], and may be repeated; without one, all
nodes of the first cluster are meant. Positions count compute nodes from 0:
  :        the first cluster        :0-3,5   five of its nodes
  other:   the cluster “other”      root@:   as the user root
The clusters are those of /etc/c3.conf; see c3.conf(5)."""


def parser(prog: str, summary: str, usage: str, *, acts: bool = True) -> argparse.ArgumentParser:
    """A command's parser. Its words come as `words`, the specifications first; with `acts`, it
    takes the options of the commands that do something on nodes."""
    made = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} [options] {usage}",
        description=summary,
        epilog=_SPECS if "SPEC" in usage else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"{prog} (C3) {__version__}")
    made.add_argument(
        "-f", "--file", metavar="FILE", help="read FILE instead of $C3_CONF or /etc/c3.conf"
    )
    if acts:
        made.add_argument("--head", action="store_true", help="act on the head nodes only")
        made.add_argument("--all", action="store_true", help="act on all nodes of all clusters")
    made.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return made


def split_specs(words: Sequence[str]) -> tuple[list[MachineSpec], list[str]]:
    """The machine specifications that words start with, and the rest. Raises UsageError."""
    count = 0
    while count < len(words) and is_spec(words[count]):
        count += 1
    return [parse_spec(word) for word in words[:count]], list(words[count:])


def read_config(options: argparse.Namespace) -> Config:
    """The c3.conf that the command line or the environment names. Raises C3Error."""
    where = options.file or os.environ.get("C3_CONF") or DEFAULT_CONF
    try:
        return parse_config(Path(where).read_text(encoding="utf-8"), where)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise C3Error(
            f"cannot read it: {reason}",
            where=where,
            hint="c3.conf(5) says how to write it; -f FILE or C3_CONF names another",
        ) from error


def selections(options: argparse.Namespace, specs: Sequence[MachineSpec]) -> list[Selection]:
    """Whom the command line means. Raises C3Error, also where nobody is left."""
    config = read_config(options)
    if getattr(options, "all", False):
        if specs:
            raise UsageError("--all and machine specifications exclude each other")
        specs = [MachineSpec(cluster=cluster.name) for cluster in config.clusters]
    chosen = [select(config, spec) for spec in specs or [MachineSpec()]]
    if not getattr(options, "head", False) and not any(
        one.cluster.indirect or in_use(one) for one in chosen
    ):
        names = ", ".join(dict.fromkeys(one.cluster.name for one in chosen))
        raise C3Error(
            f"no node is chosen that is in use, in {names}",
            where=config.where,
            hint="clist and cname show what there is; --head acts on the head node",
        )
    return chosen


def in_use(selection: Selection) -> list[str]:
    """The hosts of a selection, without those that are dead or excluded."""
    return [node.name for _, node in selection.slots if not node.state]


def make_jobs(
    chosen: Sequence[Selection],
    options: argparse.Namespace,
    on_host: Callable[[Cluster, str, str], str],
    on_cluster: Callable[[Selection], str],
) -> list[Job]:
    """A job for each host: `on_host(cluster, host, user)` gives its command line, and
    `on_cluster(selection)` that for an indirect cluster. Who is chosen twice is in it once."""
    jobs = []
    for one in dict.fromkeys(chosen):
        cluster, user = one.cluster, one.spec.user
        if options.head:
            hosts = [cluster.external]
        elif cluster.indirect:
            jobs.append(Job(cluster.name, "", on_cluster(one)))
            continue
        else:
            hosts = in_use(one)
        jobs += [Job(cluster.name, host, on_host(cluster, host, user)) for host in hosts]
    return list(dict.fromkeys(jobs))


def execution_jobs(
    chosen: Sequence[Selection],
    options: argparse.Namespace,
    remote: Remote,
    command: str,
    relayed: Sequence[str] = (),
) -> list[Job]:
    """Jobs that run `command`, text for a shell, on each host. The head of an indirect cluster
    runs cexec with the options `relayed`."""

    def on_cluster(one: Selection) -> str:
        words = ["cexec", *relayed, f":{one.spec.positions}", command]
        return remote.shell(one.cluster.external, one.spec.user, remote.tool(words))

    return make_jobs(
        chosen, options, lambda _, host, user: remote.shell(host, user, command), on_cluster
    )


def execute(options: argparse.Namespace, specs: Sequence[MachineSpec], command: str) -> int:
    """Run a command on all that are meant; those that say nothing are not shown."""
    remote = Remote.from_environment(os.environ)
    jobs = execution_jobs(selections(options, specs), options, remote, command)
    return run(jobs, Style())


def guarded(
    made: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace, list[MachineSpec], list[str]], int],
    argv: Sequence[str] | None,
) -> int:
    """Parse the command line and do the work. Returns the exit status: 0 done, 1 something
    failed, 2 wrong usage; an expected error becomes a message."""
    options = made.parse_args(argv)
    try:
        return work(options, *split_specs(options.words))
    except C3Error as error:
        print(f"{made.prog}: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who read our output has seen enough; nothing is left to be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def wrong_words(made: argparse.ArgumentParser, message: str) -> UsageError:
    """The error for words that do not fit the command's usage."""
    return UsageError(message, hint=f"usage: {made.usage}")
