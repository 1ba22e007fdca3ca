# SPDX-License-Identifier: GPL-2.0-or-later
"""c3.conf and machine specifications, from text to data. Nothing here reads a file.

The grammar is that of c3.conf(5): blocks `cluster NAME { HEAD ENTRY… }`, where white space and line
ends only separate words. The source must run on Python 3.9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from c3.errors import C3Error, UsageError

# A slip of the finger in a range must not fill the memory.
MAX_RANGE = 65536

_WORD = re.compile(r"[{}]|[^\s{}]+")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_RANGE = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)\[([0-9]{1,9})-([0-9]{1,9})]")
_EXCLUDED = re.compile(r"([0-9]{1,9})|\[([0-9]{1,9})-([0-9]{1,9})]")
_SPEC = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_.-]+)@)?(?P<cluster>[A-Za-z0-9_.-]*):(?P<positions>[0-9,-]*)"
)
_POSITIONS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


@dataclass(frozen=True)
class Node:
    """A compute node; `state` is empty, or why it is left alone: "dead" or "excluded"."""

    name: str
    state: str = ""


@dataclass(frozen=True)
class Cluster:
    """One block of c3.conf. The nodes of an indirect cluster are known to its head alone."""

    name: str
    external: str
    internal: str
    indirect: bool = False
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Config:
    """All clusters, the default one first; `where` names the file, for messages."""

    clusters: tuple[Cluster, ...]
    where: str

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name; the default one for the empty name. Raises UsageError."""
        if not name:
            return self.clusters[0]
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        known = ", ".join(cluster.name for cluster in self.clusters)
        raise UsageError(
            f"there is no cluster “{name}”", where=self.where, hint=f"the clusters are: {known}"
        )


@dataclass(frozen=True)
class MachineSpec:
    """`[user@][cluster]:[positions]`; `ranges` are first and last positions, none means all."""

    user: str = ""
    cluster: str = ""
    ranges: tuple[tuple[int, int], ...] = ()

    @property
    def positions(self) -> str:
        """The positions as they are written."""
        return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in self.ranges)


@dataclass(frozen=True)
class Selection:
    """What a machine specification chooses: slots of a cluster, each a position and its node."""

    cluster: Cluster
    spec: MachineSpec
    slots: tuple[tuple[int, Node], ...]


def parse_config(text: str, where: str) -> Config:
    """Read the text of a c3.conf. Raises C3Error that names the file, the line and the remedy."""
    words = _Words(text, where)
    clusters: list[Cluster] = []
    while words.more():
        words.expect("cluster", "every block starts with: cluster NAME {")
        name = words.name("the cluster's name")
        if any(cluster.name == name for cluster in clusters):
            raise words.error(f"a second cluster “{name}”", "give every cluster a name of its own")
        words.expect("{", f"write: cluster {name} {{")
        clusters.append(_cluster(name, words))
    if not clusters:
        raise C3Error(
            "no cluster is defined", where=where, hint="write a block: cluster NAME { HEAD NODE… }"
        )
    return Config(clusters=tuple(clusters), where=where)


def parse_spec(text: str) -> MachineSpec:
    """Read a machine specification. Raises UsageError."""
    match = _SPEC.fullmatch(text)
    ranges = []
    for item in match["positions"].split(",") if match and match["positions"] else ():
        bounds = _POSITIONS.fullmatch(item)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (1, 0)
        if first > last:
            match = None
            break
        ranges.append((first, last))
    if match is None:
        raise UsageError(
            f"“{text}” is not a machine specification",
            hint="write [user@][cluster]:[positions], for example :0-3,5 or other: or root@:",
        )
    return MachineSpec(match["user"] or "", match["cluster"], tuple(ranges))


def is_spec(word: str) -> bool:
    """Whether a word of a command line is meant as a machine specification."""
    return word.startswith(":") or _SPEC.fullmatch(word) is not None


def select(config: Config, spec: MachineSpec) -> Selection:
    """The slots that a specification chooses, in its order, each once.

    Positions count compute nodes from 0; a dead or excluded node keeps its position. Raises
    UsageError for a cluster or a position that is not there. The slots of an indirect cluster
    are empty: its own head looks them up.
    """
    cluster = config.cluster(spec.cluster)
    if cluster.indirect:
        return Selection(cluster, spec, ())
    size = len(cluster.nodes)
    for _, last in spec.ranges:
        if last >= size:
            known = f"its positions are 0-{size - 1}" if size else "it has no nodes yet"
            raise UsageError(
                f"the cluster {cluster.name} has no position {last}", where=config.where, hint=known
            )
    ranges = spec.ranges or ((0, size - 1),)
    chosen = dict.fromkeys(at for first, last in ranges for at in range(first, last + 1))
    return Selection(cluster, spec, tuple((at, cluster.nodes[at]) for at in chosen))


class _Words:
    """The words of a c3.conf, each with its line."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self._words: list[tuple[str, int]] = [
            (word, number)
            for number, line in enumerate(text.split("\n"), 1)
            for word in _WORD.findall(line.partition("#")[0])
        ]
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._words)

    def take(self, what: str) -> str:
        if not self.more():
            raise self.error(f"the file ends where {what} should be", "close every block with }")
        self._at += 1
        return self._words[self._at - 1][0]

    def expect(self, wanted: str, hint: str) -> None:
        word = self.take(f"“{wanted}”")
        if word != wanted:
            raise self.error(f"“{word}” stands where “{wanted}” should be", hint)

    def name(self, what: str) -> str:
        word = self.take(what)
        if not _NAME.fullmatch(word):
            raise self.error(f"“{word}” cannot be {what}", "letters, digits, _ . and - only")
        return word

    def error(self, message: str, hint: str) -> C3Error:
        """The error at the word taken last."""
        line = self._words[max(self._at - 1, 0)][1] if self._words else 1
        return C3Error(message, hint=hint, where=f"{self._where}:{line}")


def _cluster(name: str, words: _Words) -> Cluster:
    """The rest of a block, from its head on."""
    head = words.take("the head node")
    external, colon, internal = head.partition(":")
    indirect = not external and bool(colon)
    for host in (internal,) if indirect else (external, internal if colon else external):
        if not _NAME.fullmatch(host):
            raise words.error(
                f"“{head}” cannot be the head node",
                "write HOST, EXTERNAL:INTERNAL, or :HOST for a cluster that its own head knows",
            )
    nodes = _nodes(words)
    if indirect and nodes:
        raise words.error(
            f"the indirect cluster “{name}” lists nodes",
            f"list them in the c3.conf of {internal}, or take the colon before its name away",
        )
    if indirect:
        return Cluster(name, internal, internal, indirect=True)
    return Cluster(name, external, internal or external, nodes=nodes)


def _nodes(words: _Words) -> tuple[Node, ...]:
    """The compute nodes of a block, up to and with its closing brace."""
    nodes: dict[str, Node] = {}
    in_range: dict[int, str] = {}  # what `exclude` may name: the hosts of the range before it
    while True:
        word = words.take("“}”")
        if word == "}":
            return tuple(nodes.values())
        if word == "exclude":
            for number in _excluded(words):
                if number not in in_range:
                    raise words.error(
                        f"{number} is not in the range before it",
                        "put exclude behind its range; write dead HOST for a single host",
                    )
                nodes[in_range[number]] = Node(in_range[number], "excluded")
            continue
        in_range = _range(word, words)
        for node in [Node(host) for host in in_range.values()] or [_single(word, words)]:
            if node.name in nodes:
                raise words.error(f"“{node.name}” is listed twice", "list every node once")
            nodes[node.name] = node


def _range(word: str, words: _Words) -> dict[int, str]:
    """The hosts of a range by their numbers; none for any other word."""
    match = _RANGE.fullmatch(word)
    if match is None:
        return {}
    return {number: f"{match[1]}{number}" for number in _numbers(words, match[2], match[3])}


def _single(word: str, words: _Words) -> Node:
    if word == "dead":
        return Node(words.name("a node's name"), "dead")
    if not _NAME.fullmatch(word):
        raise words.error(f"“{word}” cannot be a node", "write a host, or a range like node[1-64]")
    return Node(word)


def _excluded(words: _Words) -> range:
    word = words.take("a number")
    match = _EXCLUDED.fullmatch(word)
    if match is None:
        raise words.error(f"“{word}” cannot be excluded", "write exclude 4 or exclude [5-9]")
    return _numbers(words, match[1] or match[2], match[1] or match[3])


def _numbers(words: _Words, first: str, last: str) -> range:
    """A range's numbers; leading zeros do not count."""
    numbers = range(int(first), int(last) + 1)
    if not 0 < len(numbers) <= MAX_RANGE:
        raise words.error(
            f"the range {first}-{last} has {len(numbers)} numbers",
            f"the smaller number comes first, and {MAX_RANGE} are the most",
        )
    return numbers
