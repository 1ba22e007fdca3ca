# SPDX-License-Identifier: GPL-2.0-or-later
"""The OPKGs mpich and openmpi: the launchers' lists of machines, and both MPIs side by side."""

from __future__ import annotations

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.machines import Machine

LINES = {"mpich": "{node}:{slots}", "openmpi": "{node} slots={slots}"}
MPIS = pytest.mark.parametrize("name", LINES)


def machines_file(name: str) -> str:
    return f"/etc/{name}/machines"


def define(tools: Sandbox, name: str, *nodes: str) -> None:
    tools.write("/opkg/nodes", "".join(f"{node}\n" for node in nodes))
    done = tools.run(name, "api-post-clientdef", env={"OSCAR_NODES": "/opkg/nodes"})
    assert done.status == 0, done.err


def listed(tools: Sandbox, name: str) -> list[str]:
    lines = tools.files()[machines_file(name)].splitlines()
    return [line for line in lines if not line.startswith("#")]


@MPIS
def test_the_launcher_gets_all_nodes_with_the_processes_that_were_answered(
    tools: Sandbox, name: str
) -> None:
    define(tools, name, "node1", "node2")
    assert listed(tools, name) == [
        LINES[name].format(node=node, slots=1) for node in ("node1", "node2")
    ]
    tools.write("/opkg/.configurator.values", "<opt><slots>16</slots></opt>")
    define(tools, name, "node1", "node3")
    assert listed(tools, name) == [
        LINES[name].format(node=node, slots=16) for node in ("node1", "node3")
    ]


@MPIS
def test_machines_of_the_administrator_are_kept(tools: Sandbox, name: str) -> None:
    tools.write(machines_file(name), "mine\n")
    define(tools, name, "node1")
    assert listed(tools, name) == ["mine", LINES[name].format(node="node1", slots=1)]
    assert tools.run(name, "api-pre-uninstall").status == 0
    assert tools.files()[machines_file(name)] == "mine\n"


@MPIS
def test_removed_as_never_installed(tools: Sandbox, name: str) -> None:
    before = tools.files()
    define(tools, name, "node1")
    assert tools.run(name, "server-post-install").status == 0
    assert tools.files() != before
    for _ in range(2):
        assert tools.run(name, "server-pre-uninstall").status == 0
        assert tools.run(name, "api-pre-uninstall").status == 0
    (tools.root / "opt/modulefiles").rmdir()  # that is switcher's
    assert tools.files() == before


@MPIS
@pytest.mark.parametrize("slots", ["0", "many", "4;reboot"])
def test_an_answer_that_is_no_number_is_refused(tools: Sandbox, name: str, slots: str) -> None:
    tools.write("/opkg/.configurator.values", f"<opt><slots>{slots}</slots></opt>")
    refused = tools.run(name, "api-post-clientdef", env={"OSCAR_NODES": "/dev/null"})
    assert refused.status == 1
    assert "correct it in /opkg/.configurator.values" in refused.err


@pytest.mark.slow
def test_both_are_there_side_by_side_and_switcher_chooses(
    machines: tuple[Machine, Machine],
) -> None:
    head = machines[0]
    head.install("opkg-mpich-server", "opkg-openmpi-server")
    told = head.check(
        """
        useradd --create-home oscartst
        for name in mpich openmpi; do
            su - oscartst -c "/usr/lib/oscar/packages/$name/testing/test_user"
            su - oscartst -c "switcher mpi = $name; bash -lc 'mpiexec --version'"
        done
        """
    )
    ring, hydra, pi, ompi = [told.index(word) for word in ("sum 1", "HYDRA", "pi is", "OpenRTE")]
    assert ring < hydra < pi < ompi
