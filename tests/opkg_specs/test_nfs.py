# SPDX-License-Identifier: GPL-2.0-or-later
"""What the OPKG nfs writes for the head node's NFS server, and for the nodes."""

from __future__ import annotations

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.machines import IMAGE, Machine

HOME = "/usr/lib/oscar/packages/nfs"
EXPORTS = "/etc/exports.d/oscar.exports"


def define(machine: Sandbox, nodes: str = "node1\nnode2\n") -> str | None:
    """Define nodes; returns what is exported then."""
    machine.write("/etc/names", nodes)
    done = machine.run("nfs", "api-post-clientdef", env={"OSCAR_NODES": "/etc/names"})
    assert done.status == 0, done.err
    return machine.files().get(EXPORTS)


@pytest.mark.slow
def test_home_is_exported_to_the_nodes_alone(tools: Sandbox) -> None:
    options = "(rw,sync,no_subtree_check)"
    said = "# Written by the OPKG nfs.\n"
    assert define(tools) == f"{said}/home node1{options} node2{options}\n"
    assert define(tools, "node2\n") == f"{said}/home node2{options}\n"
    assert define(tools, "") is None


def test_answers_say_what_is_exported_and_to_whom(tools: Sandbox) -> None:
    values = "<opt><folder>/home /opt/shared</folder><network>10.0.0.0/24</network></opt>"
    tools.write("/opkg/.configurator.values", values)
    exported = define(tools)
    assert exported is not None
    assert exported.splitlines()[1:] == [
        "/home 10.0.0.0/24(rw,sync,no_subtree_check)",
        "/opt/shared 10.0.0.0/24(rw,sync,no_subtree_check)",
    ]


def test_an_answer_cannot_smuggle_options_in(tools: Sandbox) -> None:
    values = "<opt><folder>/home</folder><network>*(rw,no_root_squash)</network></opt>"
    tools.write("/opkg/.configurator.values", values)
    tools.write("/etc/names", "node1\n")
    refused = tools.run("nfs", "api-post-clientdef", env={"OSCAR_NODES": "/etc/names"})
    assert refused.status == 1
    assert "cannot be a value of network" in refused.err
    assert EXPORTS not in tools.files()


def test_new_answers_come_into_force_when_nodes_are_defined(tools: Sandbox) -> None:
    env = {"OSCAR_NODES": "/etc/names", "OSCAR_PACKAGE_HOME": "/scripts"}
    assert tools.run("nfs", "api-post-configure", env=env).status == 0
    assert EXPORTS not in tools.files()
    define(tools)
    tools.write("/etc/names", "node7\n")
    assert tools.run("nfs", "api-post-configure", env=env).status == 0
    assert "node7" in tools.files()[EXPORTS]


@pytest.mark.slow
def test_the_tools_of_the_system_read_what_was_written(
    machines: tuple[Machine, Machine],
) -> None:
    head, image = machines
    image.install("opkg-nfs-client")
    head.install("opkg-nfs-server")
    told = head.check(
        f"""
        printf 'node1\\n' > /nodes
        {HOME}/api-post-image {IMAGE}
        OSCAR_NODES=/nodes {HOME}/api-post-clientdef
        {HOME}/testing/test_root
        node findmnt --fstab --noheadings -o SOURCE,FSTYPE /home
        node findmnt --verify --tab-file /etc/fstab | tail -n 1
        """
    )
    assert "oscar-server:/home nfs" in told
    assert "no errors or warnings" in told
    # The test of the OPKG sees a line that NFS would not take.
    broken = head.run(f"echo '/home node1(rw,nonsense)' >> {EXPORTS}; {HOME}/testing/test_root")
    assert broken.status == 1
    assert "nonsense" in broken.err
