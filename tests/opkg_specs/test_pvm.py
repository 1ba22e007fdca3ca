# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts of the OPKG pvm: the list of machines, and where shells look for PVM."""

from __future__ import annotations

import shutil

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.running import SPECS, ran


@pytest.fixture
def machine(tools: Sandbox) -> Sandbox:
    shutil.copytree(SPECS / "pvm/scripts", tools.root / "opkg", dirs_exist_ok=True)
    return tools


def define(machine: Sandbox, *nodes: str) -> list[str]:
    """The lines of PVM's list that are none of the marks, with these nodes defined."""
    machine.write("/opkg/nodes", "".join(f"{node}\n" for node in nodes))
    done = machine.run("pvm", "api-post-clientdef", env={"OSCAR_NODES": "/opkg/nodes"})
    assert done.status == 0, done.err
    lines = machine.files().get("/etc/pvm/hosts", "").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_all_nodes_are_started_unless_it_was_answered(machine: Sandbox) -> None:
    assert define(machine, "node1", "node2") == ["* dx=/usr/bin/pvmd", "node1", "node2"]
    machine.write("/opkg/.configurator.values", "<opt><start>none</start></opt>")
    assert define(machine, "node1") == ["* dx=/usr/bin/pvmd", "& node1"]


def test_without_nodes_there_is_no_list(machine: Sandbox) -> None:
    before = machine.files()
    assert define(machine) == []
    assert machine.files() == before


def test_shells_know_where_pvm_is_and_users_know_better(machine: Sandbox) -> None:
    assert machine.run("pvm", "server-post-install").status == 0
    profile = machine.root / "etc/profile.d/oscar-pvm.sh"
    told = ran([machine.shell, "-euc", f"PVM_RSH=rsh; . {profile}; echo $PVM_ROOT $PVM_RSH"]).out
    assert told == "/usr/lib/pvm3 rsh\n"


def test_removed_as_never_installed(machine: Sandbox) -> None:
    machine.write("/etc/profile.d/mine.sh", "")
    before = machine.files()
    assert machine.run("pvm", "server-post-install").status == 0
    assert define(machine, "node1")
    for _ in range(2):
        assert machine.run("pvm", "server-pre-uninstall").status == 0
        assert machine.run("pvm", "api-pre-uninstall").status == 0
    assert machine.files() == before
