# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that the scripts of OPKGs share."""

from __future__ import annotations

import pytest

from tests.opkg_specs.conftest import Sandbox

TOOLS = "/usr/share/oscar-script-tools"
MINE = "# mine\nsecond line, without an end"


def block(machine: Sandbox, lines: str, words: str = "/etc/shared thing") -> None:
    done = machine.call(f"printf '{lines}' | {TOOLS}/block {words}")
    assert done.status == 0, done.err


def test_a_block_replaces_itself_and_keeps_all_else(tools: Sandbox) -> None:
    tools.write("/etc/shared", MINE)
    block(tools, "one\\ntwo\\n")
    block(tools, "three\\n")
    block(tools, "other\\n", "/etc/shared other")
    block(tools, "three\\n")
    kept, first, second = tools.files()["/etc/shared"].partition("# BEGIN OPKG other\n")
    assert kept == f"{MINE}\n"
    assert first + second == (
        "# BEGIN OPKG other\nother\n# END OPKG other\n# BEGIN OPKG thing\nthree\n# END OPKG thing\n"
    )
    block(tools, "")
    block(tools, "", "/etc/shared other")
    assert tools.files() == {"/etc/shared": f"{MINE}\n"}


def test_a_block_takes_a_file_with_it_that_has_nothing_else(tools: Sandbox) -> None:
    block(tools, "one\\n", "/etc/ours thing 600")
    assert (tools.root / "etc/ours").stat().st_mode & 0o777 == 0o600
    block(tools, "", "/etc/ours thing")
    tools.write("/etc/empty", "")
    block(tools, "", "/etc/empty thing")
    assert tools.files() == {"/etc/empty": ""}


def test_a_block_writes_through_a_link_and_keeps_the_mode(tools: Sandbox) -> None:
    tools.write("/etc/there/true", MINE)
    (tools.root / "etc/there/true").chmod(0o640)
    (tools.root / "etc/shared").symlink_to("there/true")
    block(tools, "one\\n")
    assert (tools.root / "etc/shared").is_symlink()
    assert (tools.root / "etc/there/true").stat().st_mode & 0o777 == 0o640
    assert "one" in tools.files()["/etc/there/true"]


def answers(machine: Sandbox, *words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    done = machine.call(f"{TOOLS}/answers thing {quoted}")
    assert done.status == 0, done.err
    return done.out.split()


def test_answers_come_before_defaults(tools: Sandbox) -> None:
    assert answers(tools, "net", "[0-9./]+", "10.0.0.0/8") == ["10.0.0.0/8"]
    values = "<opt><net>10.1.0.0/16 10.2.0.0/16</net><net>10.3.0.0/16</net><other /></opt>"
    tools.write("/opkg/.configurator.values", values)
    assert answers(tools, "net", "[0-9./]+", "10.0.0.0/8") == [
        "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16",
    ]  # fmt: skip
    assert answers(tools, "other", ".*", "yes") == ["yes"]
    assert answers(tools, "none", ".*") == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("<opt><net>1;reboot</net></opt>", "“1;reboot” cannot be a value of net; correct it in"),
        ("<opt><net>1", "correct it, or remove it"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(tools: Sandbox, values: str, said: str) -> None:
    tools.write("/opkg/.configurator.values", values)
    done = tools.call(f"{TOOLS}/answers thing net '[0-9]+'")
    assert (done.status, done.out) == (1, "")
    assert said in done.err


def test_nodes_come_from_opd(tools: Sandbox) -> None:
    told = '[{"name": "n2", "ip": "10.0.0.2", "mac": "52:54:00:00:00:0A"}, {"name": "n1"}]'
    tools.write("/opt/opd", f"#!/bin/sh\n[ \"$*\" = 'oda get nodes' ] && echo '{told}'\n")
    (tools.root / "opt/opd").chmod(0o755)
    done = tools.call(f"PATH=/opt:$PATH {TOOLS}/nodes")
    assert done.out == "n1 - -\nn2 10.0.0.2 52:54:00:00:00:0a\n", done.err


def test_nodes_of_a_file_are_looked_up(tools: Sandbox) -> None:
    tools.write("/etc/hosts", "10.0.0.7 node7\n")
    tools.write("/etc/names", "node7\n\nnode8\nnode7\n")
    done = tools.call(f"{TOOLS}/nodes", env={"OSCAR_NODES": "/etc/names"})
    assert done.out == "node7 10.0.0.7 -\nnode8 - -\n", done.err


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("OSCAR_NODES=/etc/no", "OSCAR_NODES names /etc/no: No such file or directory"),
        ("PATH=/none", "let OSCAR_NODES name a file"),
        ("echo '$(x)' > /etc/names; OSCAR_NODES=/etc/names", "cannot be the name of a node"),
    ],
)
def test_nodes_that_cannot_be_known_are_an_error(tools: Sandbox, script: str, said: str) -> None:
    done = tools.call(f"{script} {TOOLS}/nodes")
    assert (done.status, done.out) == (1, "")
    assert said in done.err


SYSTEMCTL = """\
#!/bin/sh
while case $1 in --*) true ;; *) false ;; esac; do shift; done
case $1 in
    is-enabled) [ -e "/etc/enabled/$2" ] ;;
    enable) mkdir -p /etc/enabled; : > "/etc/enabled/$2" ;;
    disable) rm "/etc/enabled/$2" ;;
    *) exit 1 ;; # nothing runs here
esac
"""


def test_services_in_an_image_are_switched_on_and_back(tools: Sandbox) -> None:
    tools.write("/opt/systemctl", SYSTEMCTL)
    (tools.root / "opt/systemctl").chmod(0o755)
    tools.write("/etc/enabled/theirs.service", "")
    before = tools.files()
    service = f"PATH=/opt:$PATH {TOOLS}/service"
    on = tools.call(f"{service} on thing ours.service theirs.service")
    assert on.status == 0, on.err
    assert "/etc/enabled/ours.service" in tools.files()
    again = tools.call(f"{service} on thing ours.service; {service} reload thing ours.service")
    assert again.status == 0, again.err
    off = tools.call(f"{service} off thing ours.service theirs.service")
    assert off.status == 0, off.err
    assert tools.files() == before
    assert not list((tools.root / "var").rglob("ours*"))
