# SPDX-License-Identifier: GPL-2.0-or-later
"""netbootmgr: links of nodes among the files that PXELINUX reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.opkg_specs.conftest import SPECS, Ran, Sandbox

pytestmark = pytest.mark.slow

HOSTS = "192.0.2.91 node1\n10.0.0.2 node2\n"


@pytest.fixture
def head(tools: Sandbox, stage: Callable[[str], Path]) -> Sandbox:
    """A head node with two nodes, whose TFTP serves /opt/tftp."""
    shutil.copytree(stage("netbootmgr"), tools.root / "opt", dirs_exist_ok=True)
    shutil.copytree(stage("netbootmgr") / "usr/share", tools.root / "usr/share", dirs_exist_ok=True)
    conf = (SPECS / "netbootmgr/src/netbootmgr.conf").read_text()
    tools.write("/etc/netbootmgr.conf", conf.replace("/tftpboot", "/opt/tftp"))
    tools.write("/etc/hosts", HOSTS)
    tools.write("/etc/nodes", "node1\nnode2\n")
    assert tools.run("netbootmgr", "server-post-install").status == 0
    return tools


def netbootmgr(machine: Sandbox, words: str) -> Ran:
    return machine.call(f"/opt/usr/sbin/netbootmgr {words}", env={"OSCAR_NODES": "/etc/nodes"})


def links(machine: Sandbox) -> dict[str, str]:
    folder = machine.root / "opt/tftp/pxelinux.cfg"
    return {path.name: str(path.readlink()) for path in folder.iterdir() if path.is_symlink()}


def test_a_node_is_told_by_a_link_with_its_address(head: Sandbox) -> None:
    assert netbootmgr(head, "").out == "node1: Default\nnode2: Default\n"
    told = netbootmgr(head, "--boot 'Local disk' node1")
    assert told.out == "node1: Local disk\n", told.err
    assert links(head) == {"C000025B": "localboot"}
    assert netbootmgr(head, "").out == "node1: Local disk\nnode2: Default\n"
    assert netbootmgr(head, "--default --all").out == "node1: Default\nnode2: Default\n"
    assert links(head) == {}


def test_a_file_of_kernel_picker_is_an_action_and_those_of_machines_are_not(head: Sandbox) -> None:
    for name in ("ours", "default", "0A000003", "01-52-54-00-00-00-01"):
        head.write(f"/opt/tftp/pxelinux.cfg/{name}", "")
    told = netbootmgr(head, "--actions").out
    assert told == "Default (__default__)\nLocal disk (localboot)\nours (ours)\n"
    assert netbootmgr(head, "--boot ours --all").out == "node1: ours\nnode2: ours\n"
    assert netbootmgr(head, "--boot ours --all").status == 0
    assert links(head) == {"C000025B": "ours", "0A000002": "ours"}


@pytest.mark.parametrize(
    ("prepared", "words", "status", "said"),
    [
        ("true", "--boot nonsense node1", 1, "there are: Default, Local disk"),
        ("true", "--boot 'Local disk' node3", 1, "there are: node1, node2"),
        ("true", "--boot 'Local disk'", 2, "name nodes, or say --all"),
        ("echo node9 >> /etc/nodes", "node9", 1, "node9 has no IPv4 address"),
        ("rm /opt/tftp/pxelinux.cfg/*", "--boot 'Local disk' node1", 1, "see the MENU of"),
        ("> /opt/tftp/pxelinux.cfg/C000025B", "--default node1", 1, "is no link; move it away"),
        ("echo MENU x >> /etc/netbootmgr.conf", "", 1, "netbootmgr.conf:5: expected"),
        ("echo 'MENU x:../y' >> /etc/netbootmgr.conf", "", 1, "netbootmgr.conf:5: expected"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    head: Sandbox, prepared: str, words: str, status: int, said: str
) -> None:
    head.call(prepared)
    before = head.files()
    refused = netbootmgr(head, words)
    assert refused.status == status
    assert said in refused.err
    assert head.files() == before


def test_a_file_for_the_network_card_is_not_hidden_by_a_link(head: Sandbox) -> None:
    told = '[{"name": "node1", "ip": "192.0.2.91", "mac": "52:54:00:00:00:0A"}]'
    head.write("/opt/opd", f"#!/bin/sh\necho '{told}'\n")
    (head.root / "opt/opd").chmod(0o755)
    head.write("/opt/tftp/pxelinux.cfg/01-52-54-00-00-00-0a", "")
    refused = head.call("PATH=/opt:$PATH /opt/usr/sbin/netbootmgr --boot 'Local disk' node1")
    assert refused.status == 1
    assert "01-52-54-00-00-00-0a comes first" in refused.err
    assert links(head) == {}


def test_an_old_configuration_is_read(head: Sandbox) -> None:
    head.write(
        "/etc/netbootmgr.conf",
        "REFRESH 10\nHOSTDB SIS\nTFTPROOT /opt/tftp\nMENU Install:__default__\nSTATUS x y\n",
    )
    assert netbootmgr(head, "").out == "node1: Install\nnode2: Install\n"


def test_uninstalled_it_leaves_what_is_not_its_own(head: Sandbox) -> None:
    head.write("/opt/tftp/pxelinux.cfg/ours", "")
    (head.root / "opt/tftp/pxelinux.cfg/mine").symlink_to("ours")
    assert netbootmgr(head, "--boot ours --all").status == 0
    for _ in range(2):
        done = head.run("netbootmgr", "server-pre-uninstall")
        assert done.status == 0, done.err
        left = sorted(path.name for path in (head.root / "opt/tftp/pxelinux.cfg").iterdir())
        assert left == ["mine", "ours"]


def test_the_test_of_the_opkg_passes_and_puts_back(head: Sandbox) -> None:
    netbootmgr(head, "--boot 'Local disk' node2")
    before = head.files(), links(head)
    test = (SPECS / "netbootmgr/testing/test_root").read_text()
    head.write("/opt/test_root", test)
    done = head.call(
        "PATH=/opt/usr/sbin:$PATH sh /opt/test_root node1 node2", env={"OSCAR_NODES": "/etc/nodes"}
    )
    assert done.status == 0, done.err
    (head.root / "opt/test_root").unlink()
    assert (head.files(), links(head)) == before
