# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts of old asked the cluster database by a word: the shortcuts of `oda`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from opd.oda import Node
from opd.place import HEADNODE, Place, opkgs_in
from opd.state import State
from opkg.errors import OpkgError
from opkg.native.choose import packages
from opkg.target import known_targets

Row = dict[str, str]
Places = Callable[[], Sequence[Place]]


def answer(state: State, places: Places, shortcut: str, node: str = "") -> list[Row]:
    """The rows that a shortcut stands for. `places` gives the headnode and the images, which are
    asked themselves for what is installed there; `node` is for the shortcut that is about one.
    Raises OpkgError."""
    name = shortcut.replace(" ", "_").replace("-", "_")
    if name not in SHORTCUTS:
        raise OpkgError(f"there is no shortcut {shortcut}", hint="there is " + ", ".join(SHORTCUTS))
    rows = SHORTCUTS[name][1](state, places)
    if name != ABOUT_ONE:
        if node:
            raise OpkgError(f"{name} is about no single node", hint=f"as {ABOUT_ONE} is")
        return rows
    known = [row["name"] for row in nodes(state, places)]
    if node not in known:
        raise OpkgError(f"there is no node “{node}”", hint="there is " + ", ".join(known))
    return [row for row in rows if row["node"] == node]


def images(state: State, _places: Places) -> list[Row]:
    table = known_targets()
    return [
        {"name": row.name, "architecture": table.find(row.target).architecture, "path": row.path}
        for row in state.oda.images()
    ]


def client_nodes(state: State, _places: Places) -> list[Row]:
    return [_node(row) for row in state.oda.nodes()]


def nodes(state: State, places: Places) -> list[Row]:
    return [_node(Node(name=HEADNODE, ip="", mac="", image="")), *client_nodes(state, places)]


def _node(row: Node) -> Row:
    host, _, domain = row.name.partition(".")
    return {
        "name": row.name,
        "hostname": host,
        "dns_domain": domain,
        "ip": row.ip,
        "mac": row.mac,
        "image": row.image,
    }


def installed(_state: State, places: Places) -> list[Row]:
    found = {
        (opkg, str(version))
        for place in places()
        for opkg, version in opkgs_in(place, packages(place)).items()
    }
    return [{"package": opkg, "version": version} for opkg, version in sorted(found)]


def image_package_status(_state: State, places: Places) -> list[Row]:
    return [
        {"image": place.name, **row}
        for place in places()
        if not place.is_headnode
        for row in _status(place)
    ]


def node_package_status(state: State, places: Places) -> list[Row]:
    by_place = {place.name: _status(place) for place in places()}
    runs = {HEADNODE: HEADNODE, **{row.name: row.image for row in state.oda.nodes()}}
    return [
        {"node": node, **row} for node, place in runs.items() for row in by_place.get(place, [])
    ]


def _status(place: Place) -> list[Row]:
    return [
        {"package": opkg, "version": str(version), "status": "installed"}
        for opkg, version in opkgs_in(place, packages(place)).items()
    ]


ABOUT_ONE = "node_package_status_for_node"
# Each with what it shows.
SHORTCUTS: Mapping[str, tuple[str, Callable[[State, Places], list[Row]]]] = {
    "images": ("the images, and where they are", images),
    "nodes": ("the headnode and the nodes", nodes),
    "client_nodes": ("the nodes", client_nodes),
    "packages": ("the OPKGs that are installed anywhere", installed),
    "list_selected_packages": ("the same: what is chosen is what is installed", installed),
    "node_package_status": ("which OPKGs each node has by its image", node_package_status),
    ABOUT_ONE: ("the same for one node", node_package_status),
    "image_package_status": ("which OPKGs each image has", image_package_status),
}
