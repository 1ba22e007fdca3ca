# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts of the OPKG criu: the options that all machines have."""

from __future__ import annotations

import shutil

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.running import SPECS


@pytest.fixture
def machine(tools: Sandbox) -> Sandbox:
    shutil.copytree(SPECS / "criu/scripts", tools.root / "opkg", dirs_exist_ok=True)
    return tools


def options(machine: Sandbox, below: str = "") -> list[str]:
    lines = machine.files()[f"{below}/etc/criu/default.conf"].splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ("", ["shell-job", "file-locks"]),
        ("<tcp>close</tcp>", ["shell-job", "file-locks", "tcp-close"]),
        ("<tcp>established</tcp><locks>no</locks>", ["shell-job", "tcp-established"]),
    ],
)
def test_the_answers_become_options(machine: Sandbox, answers: str, wanted: list[str]) -> None:
    machine.write("/opkg/.configurator.values", f"<opt>{answers}</opt>")
    assert machine.run("criu", "api-post-configure").status == 0
    assert options(machine) == wanted
    assert machine.run("criu", "api-post-image", "/opt/image").status == 0
    assert options(machine, "/opt/image") == wanted


def test_an_answer_that_is_none_is_refused(machine: Sandbox) -> None:
    machine.write("/opkg/.configurator.values", "<opt><tcp>maybe</tcp></opt>")
    refused = machine.run("criu", "server-post-install")
    assert refused.status == 1
    assert "“maybe” cannot be a value of tcp" in refused.err


def test_options_of_the_administrator_stay_and_ours_go(machine: Sandbox) -> None:
    machine.write("/etc/criu/default.conf", "ext-unix-sk\n")
    before = machine.files()
    assert machine.run("criu", "server-post-install").status == 0
    assert options(machine) == ["ext-unix-sk", "shell-job", "file-locks"]
    for script in ("server-pre-uninstall", "client-pre-uninstall"):
        assert machine.run("criu", script).status == 0
    assert machine.files() == before
