# SPDX-License-Identifier: GPL-2.0-or-later
"""One key of MUNGE for a head node and an image."""

from __future__ import annotations

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.machines import IMAGE, Machine

HOME = "/usr/lib/oscar/packages/munge"
START = "install -d -o munge -m 755 /run/munge; setpriv --reuid munge --regid munge --clear-groups"
UP = f"""
{START} munged
node sh -euc '{START} munged'
"""


@pytest.mark.slow
def test_a_node_accepts_what_the_head_node_signed_under_another_number_for_its_user(
    machines: tuple[Machine, Machine],
) -> None:
    head, image = machines
    image.check("useradd --system --uid 101 taken")
    image.install("opkg-munge-client")
    head.install("opkg-munge-server")
    told = head.check(
        f"""
        node munge --version > /dev/null
        ! cmp -s /etc/munge/munge.key {IMAGE}/etc/munge/munge.key
        {HOME}/api-post-image {IMAGE}
        cmp /etc/munge/munge.key {IMAGE}/etc/munge/munge.key
        id -u munge; node id -u munge
        {UP}
        munge -s word | node unmunge
        """
    ).splitlines()
    assert told[0] != told[1]
    assert told[-1] == "word"
    kept = image.check("stat -c '%U:%G %a' /etc/munge/munge.key")
    assert kept == "munge:munge 400\n"


@pytest.mark.parametrize(
    ("prepared", "said"),
    [
        ("true", "run server-post-install"),
        (
            "cd /etc; mkdir munge; echo k > munge/munge.key; > passwd; cp -r /etc /opt",
            "install the client part there first",
        ),
    ],
)
def test_an_image_that_is_not_ready_is_refused(tools: Sandbox, prepared: str, said: str) -> None:
    tools.call(prepared)
    refused = tools.run("munge", "api-post-image", "/opt")
    assert refused.status == 1
    assert said in refused.err


def with_munge(machine: Sandbox) -> None:
    """The sandbox has one user, who gets the name that the key is given to."""
    machine.write("/etc/passwd", "munge:x:0:0::/root:/bin/sh\n")
    machine.write("/etc/group", "munge:x:0:\n")
    machine.write("/etc/systemd/system/munge.service", "[Install]\nWantedBy=multi-user.target\n")
    (machine.root / "etc/munge").mkdir()


def test_a_key_is_made_where_there_is_none_and_goes_again(tools: Sandbox) -> None:
    with_munge(tools)
    before = tools.files()
    key = tools.root / "etc/munge/munge.key"
    made = []
    for _ in range(2):
        done = tools.run("munge", "server-post-install")
        assert done.status == 0, done.err
        made.append(key.read_bytes())
    assert len(made[0]) == 128
    assert made[1] == made[0]
    assert key.stat().st_mode & 0o777 == 0o400
    assert "/etc/systemd/system/multi-user.target.wants/munge.service" in tools.files()
    assert tools.run("munge", "server-pre-uninstall").status == 0
    assert tools.files() == before


def test_a_key_of_the_administrator_stays(tools: Sandbox) -> None:
    with_munge(tools)
    tools.write("/etc/munge/munge.key", "mine")
    for script in ("server-post-install", "server-pre-uninstall"):
        done = tools.run("munge", script)
        assert done.status == 0, done.err
    assert tools.files()["/etc/munge/munge.key"] == "mine"
