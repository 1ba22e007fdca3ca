# SPDX-License-Identifier: GPL-2.0-or-later
"""The nodes of the cluster: what may be said of them, and the file that lists them."""

from __future__ import annotations

import csv
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from opd.oda import Node
from opkg.errors import OpkgError
from opkg.findings import Findings

COLUMNS = ("name", "mac", "ip", "image")

# Host names (RFC 1123, 2.1), with or without their domain. Case means nothing in them (RFC 4343).
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MOST = 65536
# From where to where a range in brackets goes.
_SPAN = re.compile(r"[\[,]([0-9]+)-([0-9]+)(?=[^\[]*\])")


def names_of(ranges: Iterable[str]) -> list[str]:
    """The names that ranges such as `node[01-64]` stand for, each once, in their order. Raises
    OpkgError."""
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetParseError

    hint = "write a range as node[01-64]"
    found = []
    try:
        for text in ranges:
            # A set holds each of its numbers: look before it is made.
            if any(int(last) - int(first) >= _MOST for first, last in _SPAN.findall(text)):
                raise OpkgError(f"these are more than {_MOST} nodes")
            # Groups (@name) are of ClusterShell's own settings, which may run programs.
            found.append(NodeSet(text, resolver=RESOLVER_NOGROUP))
            if not found[-1]:
                raise OpkgError(f"this names no nodes: “{text}”", hint=hint)
    except (NodeSetParseError, ValueError) as error:
        raise OpkgError(f"this names no nodes: {error}", hint=hint) from error
    if sum(map(len, found)) > _MOST:
        raise OpkgError(f"these are more than {_MOST} nodes")
    return list(dict.fromkeys(_lower(str(name)) for names in found for name in names))


def _lower(name: str) -> str:
    """A name in small letters. Some letters of other scripts would become those of ASCII, and a
    name that cannot be one that can."""
    return name.lower() if name.isascii() else name


def folded(names: Iterable[str]) -> str:
    """Names as short as they can be written: node[01-64]."""
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet

    return str(NodeSet.fromlist(list(names), resolver=RESOLVER_NOGROUP))


def in_order(nodes: Iterable[Node]) -> list[Node]:
    """Nodes in the order that a person expects: node2 before node10."""
    return sorted(
        nodes,
        key=lambda node: [
            (int(word), word) if word.isdigit() else (-1, word)
            for word in re.split("([0-9]+)", node.name)
        ],
    )


def changed(
    known: Mapping[str, Node], names: Sequence[str], *, mac: str, first_ip: str, image: str
) -> list[Node]:
    """What nodes become when this is said of them: addresses count up from the first; what is
    empty stays as it is known. Raises OpkgError."""
    if mac and len(names) != 1:
        raise OpkgError(
            "a MAC address is one node's", hint="list many in a file: opd node import FILE"
        )
    rows = []
    for number, name in enumerate(names):
        old = known.get(name) or _row(dict.fromkeys(COLUMNS, ""))
        ip = _counted(first_ip, number) if first_ip else old.ip
        rows.append(
            _row({"name": name, "mac": mac or old.mac, "ip": ip, "image": image or old.image})
        )
    return rows


def with_synced(new: Iterable[Node], known: Iterable[Node]) -> list[Node]:
    """Nodes with what was brought to them before, where they run the same image as then."""
    before = {(node.name, node.image): node for node in known}
    rows = []
    for node in new:
        if old := before.get((node.name, node.image)):
            node.generation, node.synced = old.generation, old.synced
        rows.append(node)
    return rows


def _counted(first: str, number: int) -> str:
    try:
        return str(ipaddress.ip_address(first) + number)
    except ValueError as error:
        raise OpkgError(f"“{first}” is no address to count {number + 1} nodes from") from error


def _row(fields: Mapping[str, str]) -> Node:
    """A node, with its addresses as they are written everywhere."""
    mac = fields["mac"].strip().lower().replace("-", ":")
    ip = fields["ip"].strip()
    with suppress(ValueError):  # told by faults()
        ip = str(ipaddress.ip_address(ip))
    name, image = _lower(fields["name"].strip()), fields["image"].strip()
    return Node(name=name, mac=mac, ip=ip, image=image, generation="", synced="")


def faults(
    new: Sequence[Node], known: Iterable[Node], images: Iterable[str]
) -> Iterator[tuple[int, str]]:
    """What is wrong with new nodes beside those that are known: the place in `new`, and a
    message."""
    images = set(images)
    names = {node.name for node in new}
    others = [node for node in known if node.name not in names]
    owners = {
        field: {value: node.name for node in others if (value := getattr(node, field))}
        for field in ("mac", "ip")
    }
    seen: set[str] = set()
    for place, node in enumerate(new):
        for message in _own_faults(node, images):
            yield place, message
        if node.name in seen:
            yield place, f"{node.name} is named twice"
        seen.add(node.name)
        for field, of in owners.items():
            value = getattr(node, field)
            owner = of.setdefault(value, node.name) if value else node.name
            if owner != node.name:
                yield place, f"{node.name} has the address {value}, which is {owner}'s"


def _own_faults(node: Node, images: set[str]) -> Iterator[str]:
    if not _NAME.fullmatch(node.name) or len(node.name) > 253:
        yield f"“{node.name}” cannot be the name of a node: letters, digits and dashes"
    if node.mac and not _MAC.fullmatch(node.mac):
        yield f"{node.name}: “{node.mac}” is no MAC address, such as 52:54:00:12:34:56"
    elif node.mac and int(node.mac[:2], 16) & 1:
        yield f"{node.name}: {node.mac} is an address of many machines, not of one"
    if node.ip and not _is_address(node.ip):
        yield f"{node.name}: “{node.ip}” is no IP address"
    if node.image and node.image not in images:
        yield f"{node.name}: there is no image {node.image}; there is " + (
            ", ".join(sorted(images)) or "none"
        )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check(new: Sequence[Node], known: Iterable[Node], images: Iterable[str]) -> None:
    """Raises OpkgError with all that is wrong with new nodes."""
    found = [message for _, message in faults(new, known, images)]
    if found:
        more = f"\n… and {len(found) - 10} more" if len(found) > 10 else ""
        raise OpkgError("\n".join(found[:10]) + more)


def read_list(path: Path, known: Iterable[Node], images: Iterable[str]) -> list[Node]:
    """The nodes of a CSV file (RFC 4180) whose first line names its columns, of COLUMNS, `name`
    among them. Raises InvalidInputError with every fault and its line."""
    findings = Findings(path)
    rows, lines = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="", strict=True)
            _check_columns(reader.fieldnames or (), findings)
            for row in reader:
                if None in row:
                    findings.error(reader.line_num, "this line has more columns than the first")
                    continue
                rows.append(_row({column: row.get(column, "") for column in COLUMNS}))
                lines.append(reader.line_num)
    except OSError as error:
        raise OpkgError(error.strerror or str(error), where=str(path)) from error
    except (csv.Error, UnicodeDecodeError) as error:
        findings.error(0, f"this is no CSV file: {error}")
    for place, message in faults(rows, known, images):
        findings.error(lines[place], message)
    if findings.failed:
        raise findings.refusal()
    return rows


def _check_columns(found: Sequence[str], findings: Findings) -> None:
    unknown = [column for column in found if column not in COLUMNS]
    if "name" not in found or unknown:
        findings.error(
            1,
            "the first line has to name the columns",
            f"name, and of {', '.join(COLUMNS[1:])} any",
        )
        raise findings.refusal()
