# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts of the OPKG hdf5: how the shells of all machines say that files are locked."""

from __future__ import annotations

import shutil

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.running import SPECS, ran

VARIABLE = "HDF5_USE_FILE_LOCKING"


@pytest.fixture
def machine(tools: Sandbox) -> Sandbox:
    shutil.copytree(SPECS / "hdf5/scripts", tools.root / "opkg", dirs_exist_ok=True)
    return tools


def locking(machine: Sandbox, below: str = "", before: str = "") -> str:
    """What a new shell has in its environment."""
    profile = machine.root / below / "etc/profile.d/oscar-hdf5.sh"
    done = ran([machine.shell, "-euc", f"{before} . {profile}; printenv {VARIABLE} || true"])
    assert done.status == 0, done.err
    return done.out.strip()


def test_files_are_locked_where_that_can_be_done_unless_it_was_answered(machine: Sandbox) -> None:
    assert machine.run("hdf5", "server-post-install").status == 0
    assert locking(machine) == "BEST_EFFORT"
    machine.write("/opkg/.configurator.values", "<opt><locking>FALSE</locking></opt>")
    assert machine.run("hdf5", "api-post-configure").status == 0
    assert locking(machine) == "FALSE"


def test_what_a_user_has_set_counts_more(machine: Sandbox) -> None:
    assert machine.run("hdf5", "server-post-install").status == 0
    assert locking(machine, before=f"export {VARIABLE}=TRUE;") == "TRUE"


def test_an_image_gets_the_same_and_the_head_node_does_not_change(machine: Sandbox) -> None:
    machine.write("/opkg/.configurator.values", "<opt><locking>TRUE</locking></opt>")
    assert machine.run("hdf5", "api-post-image", "/opt/image").status == 0
    assert locking(machine, "opt/image") == "TRUE"
    assert [path for path in machine.files() if path.startswith("/etc")] == []


def test_removed_as_never_installed(machine: Sandbox) -> None:
    machine.write("/etc/profile.d/mine.sh", "")
    before = machine.files()
    assert machine.run("hdf5", "server-post-install").status == 0
    assert machine.files() != before
    for _ in range(2):
        assert machine.run("hdf5", "server-pre-uninstall").status == 0
        assert machine.files() == before


def test_an_unknown_answer_is_refused(machine: Sandbox) -> None:
    machine.write("/opkg/.configurator.values", "<opt><locking>maybe</locking></opt>")
    refused = machine.run("hdf5", "server-post-install")
    assert refused.status == 1
    assert "correct it in /opkg/.configurator.values" in refused.err
