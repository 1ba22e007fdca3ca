# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts of the OPKG c3, each run as it would be installed."""

from __future__ import annotations

import json

import pytest
from c3.config import Cluster, Node, parse_config

from tests.opkg_specs.conftest import SPECS, Sandbox

HAND_WRITTEN = "# mine\ncluster other { otherhead o[1-4] }\n"


@pytest.fixture
def head(sandbox: Sandbox) -> Sandbox:
    """A head node where the package opkg-c3 is installed."""
    script = SPECS / "c3/scripts/api-post-clientdef"
    sandbox.write("/opkg/api-post-clientdef", script.read_text())
    (sandbox.root / "opkg/api-post-clientdef").chmod(0o755)
    return sandbox


def define(head: Sandbox, *names: str) -> None:
    head.write("/etc/nodes", "".join(f"{name}\n" for name in names))
    done = head.run("c3", "api-post-clientdef", env={"OSCAR_NODES": "/etc/nodes"})
    (head.root / "etc/nodes").unlink()
    assert done.status == 0, done.err


def clusters(head: Sandbox) -> tuple[Cluster, ...]:
    return parse_config((head.root / "etc/c3.conf").read_text(), "c3.conf").clusters


def test_after_installation_the_head_is_known_and_no_nodes(head: Sandbox) -> None:
    for _ in range(2):
        assert head.run("c3", "server-post-install").status == 0
        assert clusters(head) == (Cluster("oscar_cluster", "head1", "oscar-server"),)
    assert (head.root / "etc/c3.conf").stat().st_mode & 0o777 == 0o644


def test_in_a_chroot_the_head_has_the_name_that_it_will_have(head: Sandbox) -> None:
    head.write("/etc/hostname", "master.example.org\n")
    assert head.run("c3", "server-post-install").status == 0
    assert clusters(head)[0].external == "master"


def test_a_configuration_that_is_there_is_left_alone(head: Sandbox) -> None:
    head.write("/etc/c3.conf", HAND_WRITTEN)
    assert head.run("c3", "server-post-install").status == 0
    assert head.files()["/etc/c3.conf"] == HAND_WRITTEN


def test_nodes_are_written_in_their_order_and_again_without_a_change(head: Sandbox) -> None:
    head.run("c3", "server-post-install")
    define(head, "node1", "node2", "gpu-1.example.org", "node2")
    first = head.files()
    assert clusters(head)[0].nodes == (Node("node1"), Node("node2"), Node("gpu-1.example.org"))
    define(head, "node1", "node2", "gpu-1.example.org")
    assert head.files() == first
    define(head, "node9")
    assert clusters(head)[0].nodes == (Node("node9"),)


def test_what_stands_outside_of_the_marks_is_kept(head: Sandbox) -> None:
    define(head, "node1")
    marked = head.files()["/etc/c3.conf"]
    head.write("/etc/c3.conf", HAND_WRITTEN + marked + "cluster last { h }")
    define(head, "node1", "node2")
    text = head.files()["/etc/c3.conf"]
    assert text.startswith(HAND_WRITTEN)
    assert text.endswith("cluster last { h }")
    assert [cluster.name for cluster in clusters(head)] == ["other", "oscar_cluster", "last"]
    assert clusters(head)[1].nodes == (Node("node1"), Node("node2"))


def test_the_default_cluster_of_the_administrator_stays_the_default(head: Sandbox) -> None:
    head.write("/etc/c3.conf", HAND_WRITTEN.rstrip())
    define(head, "node1")
    assert [cluster.name for cluster in clusters(head)] == ["other", "oscar_cluster"]


def test_a_cluster_of_our_name_by_another_hand_is_not_touched(head: Sandbox) -> None:
    text = "cluster oscar_cluster { h n1 }\n"
    head.write("/etc/c3.conf", text)
    refused = head.run("c3", "api-post-clientdef", env={"OSCAR_NODES": "/dev/null"})
    assert refused.status == 1
    assert "has a cluster oscar_cluster of its own" in refused.err
    assert head.files()["/etc/c3.conf"] == text


def test_nodes_come_from_opd_where_no_file_names_them(head: Sandbox) -> None:
    nodes = json.dumps([{"name": "node1", "image": "x"}, {"name": "node2"}])
    script = f"#!/bin/sh\n[ \"$*\" = 'oda get nodes' ] && echo '{nodes}'\n"
    head.write("/opt/opd", script)
    (head.root / "opt/opd").chmod(0o755)
    path = {"PATH": "/opt:/usr/sbin:/usr/bin"}
    assert head.run("c3", "api-post-clientdef", env=path).status == 0
    assert clusters(head)[0].nodes == (Node("node1"), Node("node2"))


@pytest.mark.parametrize(
    ("names", "said"), [(None, "No such file"), ("bad name\n", "cannot be the name of a node")]
)
def test_a_bad_list_of_nodes_changes_nothing(head: Sandbox, names: str | None, said: str) -> None:
    head.run("c3", "server-post-install")
    before = head.files()["/etc/c3.conf"]
    if names:
        head.write("/opt/list", names)
    refused = head.run("c3", "api-post-clientdef", env={"OSCAR_NODES": "/opt/list"})
    assert refused.status == 1
    assert said in refused.err
    assert head.files()["/etc/c3.conf"] == before


def test_without_any_list_of_nodes_the_remedy_is_said(head: Sandbox) -> None:
    refused = head.run("c3", "api-post-clientdef")
    assert refused.status == 1
    assert "let OSCAR_NODES name a file" in refused.err


def test_uninstallation_takes_the_file_away_or_leaves_what_is_the_administrators(
    head: Sandbox,
) -> None:
    before = head.files()
    head.run("c3", "server-post-install")
    for _ in range(2):
        assert head.run("c3", "server-pre-uninstall").status == 0
        assert head.files() == before
    head.write("/etc/c3.conf", HAND_WRITTEN)
    define(head, "node1")
    assert head.run("c3", "server-pre-uninstall").status == 0
    assert head.files()["/etc/c3.conf"] == HAND_WRITTEN
