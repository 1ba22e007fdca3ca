# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts of the OPKG ntpconfig on the layouts that distributions have for chrony."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.opkg_specs.conftest import SPECS, Ran, Sandbox

pytestmark = pytest.mark.slow

DEBIAN = """\
# the distribution's
confdir /etc/chrony/conf.d
pool 2.debian.pool.ntp.org iburst
sourcedir /run/chrony-dhcp
sourcedir /etc/chrony/sources.d
"""
RED_HAT = """\
pool 2.rocky.pool.ntp.org iburst
sourcedir /run/chrony-dhcp
#local stratum 10
logdir /var/log/chrony
"""
SUSE = """\
! pool pool.ntp.org iburst
include /etc/chrony.d/*.conf
sourcedir /run/chrony-dhcp
"""
# The main file of each kind of distribution, its text, and the folders below /etc that it reads.
LAYOUTS = {
    "debian": (
        "/etc/chrony/chrony.conf", DEBIAN, ("/etc/chrony/conf.d", "/etc/chrony/sources.d")
    ),
    "rhel": ("/etc/chrony.conf", RED_HAT, ()),
    "suse": ("/etc/chrony.conf", SUSE, ("/etc/chrony.d",)),
}  # fmt: skip
SCRIPTS = {
    "server": ("server-post-install", "server-pre-uninstall"),
    "client": ("client-post-install", "client-pre-uninstall"),
}


@pytest.fixture(params=LAYOUTS)
def machine(
    request: pytest.FixtureRequest, sandbox: Sandbox, stage: Callable[[str], Path]
) -> Sandbox:
    path, text, folders = LAYOUTS[request.param]
    sandbox.write(path, text)
    for folder in folders:
        (sandbox.root / folder.lstrip("/")).mkdir(parents=True)
    shutil.copytree(stage("ntpconfig") / "usr/share", sandbox.root / "usr/share")
    return sandbox


def install(machine: Sandbox, part: str) -> Ran:
    return machine.run("ntpconfig", SCRIPTS[part][0])


def answer(machine: Sandbox, values: str) -> None:
    machine.write("/opkg/.configurator.values", f"<opt>{values}</opt>\n")


def directives(machine: Sandbox) -> set[str]:
    """What chronyd would read, of all files."""
    return {
        line.strip()
        for path, text in machine.files().items()
        if path.endswith((".conf", ".sources"))
        for line in text.splitlines()
        if line.strip() and line[0] not in "#!"
    }


@pytest.mark.parametrize("part", SCRIPTS)
def test_installed_twice_is_as_once_and_uninstalled_as_never(machine: Sandbox, part: str) -> None:
    before = machine.files()
    assert install(machine, part).status == 0
    once = machine.files()
    assert once != before
    assert install(machine, part).status == 0
    assert machine.files() == once
    for _ in range(2):
        assert machine.run("ntpconfig", SCRIPTS[part][1]).status == 0
        assert machine.files() == before


def test_a_node_takes_its_time_from_the_head_node(machine: Sandbox) -> None:
    before = directives(machine)
    install(machine, "client")
    assert directives(machine) - before == {"server oscar-server iburst prefer"}


def test_without_answers_private_networks_may_ask_and_sources_stay(machine: Sandbox) -> None:
    before = directives(machine)
    install(machine, "server")
    assert directives(machine) - before == {
        "allow 10.0.0.0/8",
        "allow 172.16.0.0/12",
        "allow 192.168.0.0/16",
        "allow fd00::/8",
        "local stratum 10",
    }
    assert before <= directives(machine)


def test_answers_are_put_into_force_by_the_phase_after_the_form(machine: Sandbox) -> None:
    before = directives(machine)
    install(machine, "server")
    shutil.copy2(SPECS / "ntpconfig/scripts/server-post-install", machine.root / "opkg")
    answer(
        machine,
        "\n  <ntpserver>ntp1.example.org 2001:db8::1</ntpserver>"
        "\n  <ntpserver>0.pool.example.org</ntpserver>\n  <network>10.1.0.0/16</network>\n",
    )
    assert machine.run("ntpconfig", "api-post-configure").status == 0
    assert directives(machine) - before == {
        "server ntp1.example.org iburst prefer",
        "server 2001:db8::1 iburst prefer",
        "pool 0.pool.example.org iburst prefer",
        "allow 10.1.0.0/16",
        "local stratum 10",
    }


def test_on_one_line_answers_are_read_as_well(machine: Sandbox) -> None:
    answer(machine, "<network>10.9.0.0/16</network><ntpserver /><network>10.8.0.0/16</network>")
    install(machine, "server")
    allowed = {line for line in directives(machine) if line.startswith("allow")}
    assert allowed == {"allow 10.9.0.0/16", "allow 10.8.0.0/16"}


def test_the_phase_after_the_form_does_nothing_where_no_server_is_installed(
    machine: Sandbox,
) -> None:
    before = machine.files()
    assert machine.run("ntpconfig", "api-post-configure").status == 0
    assert machine.files() == before


@pytest.mark.parametrize(
    "values",
    ["<network>all; bindaddress 0.0.0.0</network>", "<ntpserver>a&#10;user root</ntpserver>"],
)
def test_an_answer_that_is_more_than_a_name_is_refused(machine: Sandbox, values: str) -> None:
    before = machine.files()
    answer(machine, values)
    refused = install(machine, "server")
    assert refused.status == 1
    assert "correct it in /opkg/.configurator.values" in refused.err
    assert machine.files() == before


def test_lines_of_the_administrator_around_ours_are_kept(machine: Sandbox) -> None:
    install(machine, "client")
    for path, text in machine.files().items():
        if path.endswith("chrony.conf"):
            machine.write(path, text + "# mine, and no end of line")
    install(machine, "server")
    assert machine.run("ntpconfig", "client-pre-uninstall").status == 0
    assert machine.run("ntpconfig", "server-pre-uninstall").status == 0
    conf = next(text for path, text in machine.files().items() if path.endswith("chrony.conf"))
    assert "# mine, and no end of line" in conf
    assert "OPKG" not in conf


def test_without_chrony_it_is_said(sandbox: Sandbox, stage: Callable[[str], Path]) -> None:
    shutil.copytree(stage("ntpconfig") / "usr/share", sandbox.root / "usr/share")
    refused = install(sandbox, "client")
    assert refused.status == 1
    assert "is chrony installed?" in refused.err
