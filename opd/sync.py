# SPDX-License-Identifier: GPL-2.0-or-later
"""Brings images to the nodes that run them: by rsync over ssh, only what differs, to several nodes
at a time."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from secrets import token_hex

from opd.oda import Node
from opkg.errors import OpkgError
from opkg.run import end_all, run

# Files that went away while they were looked at: nothing is wrong (rsync(1), exit values).
_VANISHED = 24
# What an image may have on it to be one.
_NEEDED = ("etc", "usr", "bin/sh")
# A line of --info=progress2.
_SO_FAR = re.compile(r" *([0-9,]+) +[0-9]+% .*")
_SENT = re.compile(r"^Total transferred file size: ([0-9,]+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """An image's live tree, and which of its generations that is."""

    path: Path
    generation: str


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What became of one node: the paths that changed (each with rsync's own mark for what), how
    many bytes came, or why it failed."""

    node: str
    paths: tuple[str, ...] = ()
    size: int = 0
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How nodes are reached: the `ssh` command with its options; how many at a time; further
    patterns of what stays; with `dry`, nothing is changed."""

    ssh: str
    at_a_time: int
    exclude: Sequence[str]
    dry: bool


def sync(
    trees: Mapping[str, Tree],
    nodes: Sequence[Node],
    way: Way,
    scratch: Path,
    ended: Callable[[Synced], None],
    sent: Callable[[str, int], None],
) -> list[Synced]:
    """Bring every node the tree of its image (`trees`, by name). A node that fails does not stop
    the others. `ended` is called with what became of each, as it ends, and `sent`, meanwhile, with
    a node's name and how many bytes it was sent so far; the list has them in the order of `nodes`.
    `scratch` is a folder for our own files. Raises OpkgError, before anything is changed, for a
    tree that is no root file system."""
    lists = {}
    for name, tree in trees.items():
        _check_tree(tree)
        lists[name] = scratch / f"exclude-{name}"
        lists[name].write_text(_excludes(tree, way))
    done: dict[str, Synced] = {}
    with _marked() as mark, ThreadPoolExecutor(way.at_a_time) as pool:
        jobs = [
            pool.submit(_sync, trees[node.image], node, way, lists[node.image], mark, sent)
            for node in nodes
        ]
        try:
            for job in as_completed(jobs):
                one = job.result()
                done[one.node] = one
                ended(one)
        except BaseException:
            # Interrupted: nothing further begins, and what other threads run is killed.
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
    return [done[node.name] for node in nodes]


def _check_tree(tree: Tree) -> None:
    """Refuse what would empty a node."""
    for name in _NEEDED:
        if not os.path.lexists(tree.path / name):
            raise OpkgError(
                f"this is no root file system: it has no /{name}",
                where=str(tree.path),
                hint="nothing was sent to any node",
            )


@contextmanager
def _marked() -> Iterator[Path]:
    """A file by which this machine can be told from all others."""
    mark = Path("/run", f"opd-{token_hex(8)}")
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


def _excludes(tree: Tree, way: Way) -> str:
    """The patterns of what stays. Raises OpkgError for one that would undo the others."""
    own = tree.path / "etc/oscar/exclude"
    lists = [
        files("opd").joinpath("sync_exclude").read_text(),
        own.read_text() if own.is_file() and not own.is_symlink() else "",
        *way.exclude,
    ]
    text = "\n".join(lists) + "\n"
    if any(line.strip() == "!" for line in text.splitlines()):
        # rsync(1), list-clearing: nothing of a node's own would stay.
        raise OpkgError(
            "“!” among what stays would forget all of it",
            where=str(own),
            hint="remove it there, or from --exclude; nothing was sent to any node",
        )
    return text


def _sync(
    tree: Tree, node: Node, way: Way, exclude: Path, mark: Path, sent: Callable[[str, int], None]
) -> Synced:
    address = node.ip or node.name
    # Only rsync wants the brackets of an IPv6 address.
    target = f"root@[{address}]" if ":" in address else f"root@{address}"

    def look(line: str) -> None:
        if told := _SO_FAR.fullmatch(line):
            sent(node.name, _number(told[1]))

    try:
        _check_is_another(f"root@{address}", way, mark)
        done = run(
            [
                "rsync", "--archive", "--hard-links", "--acls", "--xattrs", "--numeric-ids",
                "--one-file-system", "--omit-dir-times", "--delete", "--delete-delay",
                "--itemize-changes", "--stats", "--info=progress2", "--outbuf=N",
                f"--exclude-from={exclude}", f"--rsh={way.ssh}",
                *(["--dry-run"] if way.dry else []), f"{tree.path}/", f"{target}:/",
            ],
            check=False,
            on_line=look,
        )  # fmt: skip
        if done.status not in (0, _VANISHED):
            raise OpkgError(_last(done.stdout) or f"rsync ended with status {done.status}")
    except OpkgError as error:
        return Synced(node=node.name, fault=str(error))
    listing, _, numbers = done.stdout.partition("\nNumber of files:")
    size = _SENT.search(numbers)
    return Synced(
        node=node.name,
        paths=tuple(
            line for line in listing.splitlines() if line.strip() and not _SO_FAR.fullmatch(line)
        ),
        size=_number(size[1]) if size else 0,
    )


def _number(text: str) -> int:
    """A number as rsync writes it."""
    return int(text.replace(",", ""))


def _check_is_another(target: str, way: Way, mark: Path) -> None:
    """Raise OpkgError where a node cannot be reached, or is this machine."""
    asked = run([*shlex.split(way.ssh), target, "test", "-e", str(mark)], check=False)
    if asked.status == 0:
        raise OpkgError("this is the headnode itself: its address is wrong")
    if asked.status != 1:
        raise OpkgError(_last(asked.stderr) or f"ssh ended with status {asked.status}")


def _last(text: str) -> str:
    """The line that says most of what ssh and rsync print when they fail: ssh's own, else the
    first of rsync's."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("rsync: [")), lines[-1] if lines else "")
