# SPDX-License-Identifier: GPL-2.0-or-later
"""The nodes of the cluster: named by ranges or by a file, checked, and told."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opd import nodes
from opd.oda import Image, Node, Oda, now
from opkg.errors import OpkgError
from tests.opd.conftest import Opd
from tests.opd.test_oda import opened

LIST = """name,mac,ip,image
node1,52-54-00-00-00-0A,10.0.0.1,compute
node2,,,
"""


@pytest.fixture
def opd(tmp_path: Path) -> Opd:
    """A headnode with an image that nodes can be said to run."""
    (tmp_path / "head").mkdir()
    (tmp_path / "state").mkdir()
    oda: Oda = opened(tmp_path / "state")
    oda.save(Image(name="compute", target="debian-12-x86_64", path="/nowhere", created=now()))
    return Opd(tmp_path / "state", tmp_path / "head", {})


def node(name: str, mac: str = "", ip: str = "", image: str = "") -> Node:
    return Node(name=name, mac=mac, ip=ip, image=image)


def known(opd: Opd) -> list[tuple[str, ...]]:
    return [tuple(row[each] for each in nodes.COLUMNS) for row in opd.json("node", "list")]


def test_a_range_defines_many_nodes_whose_addresses_count_up(opd: Opd) -> None:
    done = opd.run("node", "add", "n[08-11]", "--image", "compute", "--ip", "10.0.0.254")
    assert done.err == "4 nodes known: n[08-11]\n"
    rows = opd.json("node", "list")
    assert [(row["name"], row["ip"], row["image"]) for row in rows] == [
        ("n08", "10.0.0.254", "compute"),
        ("n09", "10.0.0.255", "compute"),
        ("n10", "10.0.1.0", "compute"),
        ("n11", "10.0.1.1", "compute"),
    ]
    assert json.loads(opd.run("oda", "get", "nodes").out) == rows


def test_what_is_not_said_again_stays(opd: Opd) -> None:
    opd.run("node", "add", "n1", "--mac", "52-54-00-AB-CD-EF", "--ip", "fd00::0001")
    opd.run("node", "add", "n[1-2]", "--image", "compute")
    assert known(opd) == [
        ("n1", "52:54:00:ab:cd:ef", "fd00::1", "compute"),
        ("n2", "", "", "compute"),
    ]


@pytest.mark.slow
def test_case_makes_no_other_node(opd: Opd) -> None:
    opd.run("node", "add", "Rack1-N[1-2]", "--image", "compute")
    opd.run("node", "add", "rack1-n2", "--ip", "10.0.0.2")
    assert known(opd) == [("rack1-n1", "", "", "compute"), ("rack1-n2", "", "10.0.0.2", "compute")]
    assert [row["name"] for row in opd.json("node", "remove", "RACK1-n1")] == ["rack1-n1"]


@pytest.mark.slow
def test_nodes_are_forgotten(opd: Opd) -> None:
    opd.run("node", "add", "n[1-5]")
    assert [row["name"] for row in opd.json("node", "remove", "n[2-3]", "n5")] == ["n2", "n3", "n5"]
    done = opd.run("node", "remove", "n[1-2]", status=1)
    assert "not defined: n2" in done.err
    assert "there is n[1,4]" in done.err
    assert "not defined: @other:all" in opd.run("node", "list", "@other:all", status=1).err
    assert [row["name"] for row in opd.json("node", "list")] == ["n1", "n4"]
    assert opd.json("node", "list", "n4")[0]["name"] == "n4"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["n[1-"], "this names no nodes"),
        (["n[1-99999]"], "more than 65536 nodes"),
        (["n[1-2,5-999999999999]"], "more than 65536 nodes"),
        (["n[1-1000]-[1-1000]"], "more than 65536 nodes"),
        ([""], "this names no nodes"),
        (["n[1-2]!n[1-2]"], "this names no nodes"),
        # The groups of ClusterShell's own settings are none of the cluster's.
        (["@*"], "cannot be the name of a node"),
        (["@other:all"], "cannot be the name of a node"),
        (["n*"], "cannot be the name of a node"),
        (["\u212a1"], "cannot be the name of a node"),
        (["a_b"], "cannot be the name of a node"),
        (["n1", "--image", "other"], "there is no image other; there is compute"),
        (["n1", "--mac", "52:54:00"], "is no MAC address"),
        (["n1", "--mac", "ff:ff:ff:ff:ff:ff"], "an address of many machines"),
        (["n[1-2]", "--mac", "52:54:00:00:00:01"], "a MAC address is one node's"),
        (["n1", "--ip", "10.0.0"], "no address to count"),
        (["n[1-2]", "--ip", "255.255.255.255"], "no address to count"),
        (["n2", "--ip", "10.0.0.7"], "n2 has the address 10.0.0.7, which is old's"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_kept(
    opd: Opd, words: list[str], said: str
) -> None:
    opd.run("node", "add", "old", "--ip", "10.0.0.7")
    assert said in opd.run("node", "add", *words, status=1).err
    assert [row["name"] for row in opd.json("node", "list")] == ["old"]


@pytest.mark.slow
def test_a_file_defines_all_its_nodes_or_none(opd: Opd, tmp_path: Path) -> None:
    path = tmp_path / "nodes.csv"
    path.write_text(LIST)
    opd.run("node", "import", path)
    rows = opd.json("node", "list")
    assert known(opd)[0] == ("node1", "52:54:00:00:00:0a", "10.0.0.1", "compute")
    path.write_text(LIST + "node3,52:54:00:00:00:0a,x,none\nnode3,,,,\nnode2,,,\n")
    err = opd.run("node", "import", path, status=1).err
    for line, said in [
        (4, "“x” is no IP address"),
        (4, "there is no image none"),
        (4, "which is node1's"),
        (5, "more columns than the first"),
        (6, "node2 is named twice"),
    ]:
        assert any(f"{path}:{line}: error:" in each and said in each for each in err.splitlines())
    assert opd.json("node", "list") == rows


@pytest.mark.parametrize("text", ["", "node1,x\n", "name,colour\n", "mac\n"])
def test_a_file_without_the_names_of_its_columns_is_refused(
    opd: Opd, tmp_path: Path, text: str
) -> None:
    (tmp_path / "nodes.csv").write_text(text)
    err = opd.run("node", "import", tmp_path / "nodes.csv", status=1).err
    assert "nodes.csv:1: error: the first line has to name the columns" in err


@given(st.binary(max_size=200))
def test_no_file_makes_the_reader_fall(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(b"name,ip\n" + data)
        try:
            rows = nodes.read_list(Path(file.name), [], [])
        except OpkgError:
            return
    assert list(nodes.faults(rows, [], [])) == []


@given(st.sets(st.integers(1, 200), min_size=1))
def test_names_are_folded_and_unfolded(numbers: set[int]) -> None:
    names = [f"n{number}" for number in sorted(numbers)]
    assert sorted(nodes.names_of([nodes.folded(names)])) == sorted(names)
    assert [each.name for each in nodes.in_order(node(name) for name in reversed(names))] == names
