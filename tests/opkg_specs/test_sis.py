# SPDX-License-Identifier: GPL-2.0-or-later
"""The OPKG sis: images that are taken from machines, and changes of an image that arrive there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.machines import IMAGE, Machine

IMAGES = "/var/lib/systemimager/images"


@pytest.fixture
def sis(tools: Sandbox, stage: Callable[[str], Path]) -> Sandbox:
    """A sandbox with the two commands in /opkg, and a root in /opt/golden to take images of."""
    made = stage("sis")
    tools.write("/etc/systemimager/exclude", (made / "etc/systemimager/exclude").read_text())
    for name in ("si_getimage", "si_pushupdate"):
        tools.write(f"/opkg/{name}", (made / "usr/sbin" / name).read_text())
        (tools.root / "opkg" / name).chmod(0o755)
    for path, text in (
        ("etc/os-release", "ID=test\n"), ("etc/hostname", "golden\n"), ("etc/setting", "one\n"),
        ("etc/ssh/ssh_host_ed25519_key", "secret\n"), ("etc/machine-id", "1\n"),
        ("home/anna/letter", "dear\n"), ("var/log/messages", "boot\n"), ("tmp/x", "x\n"),
        ("srv/one", "x\n"),
    ):  # fmt: skip
        tools.write(f"/opt/golden/{path}", text)
    assert tools.run("sis", "server-post-install").status == 0
    return tools


def found(sis: Sandbox, folder: str) -> set[str]:
    top = sis.root / folder.lstrip("/")
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


def test_an_image_has_what_does_not_belong_to_one_machine_alone(sis: Sandbox) -> None:
    done = sis.call("/opkg/si_getimage --root /opt/golden compute")
    assert done.out == f"{IMAGES}/compute\n", done.err
    assert found(sis, f"{IMAGES}/compute") == {"etc/os-release", "etc/setting", "srv/one"}
    for folder in ("home", "tmp", "var/log"):
        assert (sis.root / IMAGES.lstrip("/") / "compute" / folder).is_dir()


@pytest.mark.slow
def test_the_administrator_says_what_nodes_keep(sis: Sandbox) -> None:
    sis.write("/opkg/.configurator.values", "<opt><keep>/srv /data/x</keep></opt>")
    assert sis.run("sis", "server-post-install").status == 0
    sis.call("/opkg/si_getimage --root /opt/golden compute")
    assert found(sis, f"{IMAGES}/compute") == {"etc/os-release", "etc/setting", "home/anna/letter"}
    sis.write("/opkg/.configurator.values", "<opt><keep>srv</keep></opt>")
    assert "cannot be a value of keep" in sis.run("sis", "server-post-install").err


def test_an_image_is_replaced_only_when_that_was_said_and_as_a_whole(sis: Sandbox) -> None:
    assert sis.call("/opkg/si_getimage --root /opt/golden compute").status == 0
    sis.write("/opt/golden/etc/setting", "two\n")
    (sis.root / "opt/golden/srv/one").unlink()
    refused = sis.call("/opkg/si_getimage --root /opt/golden compute")
    assert refused.status == 1
    assert "--replace takes it anew" in refused.err
    setting = sis.root / IMAGES.lstrip("/") / "compute/etc/setting"
    assert setting.read_text() == "one\n"
    assert sis.call("/opkg/si_getimage --replace --root /opt/golden compute").status == 0
    assert setting.read_text() == "two\n"
    assert found(sis, f"{IMAGES}/compute") == {"etc/os-release", "etc/setting"}


def test_what_fails_leaves_the_image_as_it_was(sis: Sandbox) -> None:
    assert sis.call("/opkg/si_getimage --root /opt/golden compute").status == 0
    before = found(sis, IMAGES)
    failing = (
        "mkdir /tmp/bin; printf '#!/bin/sh\\nexit 23\\n' > /tmp/bin/rsync; chmod +x /tmp/bin/*"
    )
    done = sis.call(f"{failing}; PATH=/tmp/bin:$PATH /opkg/si_getimage --replace machine compute")
    assert done.status == 1
    assert done.err == (
        f"si_getimage: machine:/ could not be read as a whole; {IMAGES}/compute is what it was\n"
    )
    assert found(sis, IMAGES) == before


def test_one_that_was_cut_off_before_its_last_step_is_made_good(sis: Sandbox) -> None:
    assert sis.call("/opkg/si_getimage --root /opt/golden compute").status == 0
    images = sis.root / IMAGES.lstrip("/")
    (images / "compute").rename(images / "compute.old")
    (images / "compute.new").mkdir()
    assert sis.call("/opkg/si_getimage --replace --root /opt/golden compute").status == 0
    assert {path.name for path in images.iterdir()} == {"compute", ".lock"}


def test_a_change_of_an_image_arrives_and_what_a_machine_has_for_itself_stays(
    sis: Sandbox,
) -> None:
    assert sis.call("/opkg/si_getimage --root /opt/golden compute").status == 0
    sis.write(f"{IMAGES}/compute/etc/setting", "two\n")
    sis.write(f"{IMAGES}/compute/etc/new", "new\n")
    before = found(sis, "/opt/golden")
    dry = sis.call("/opkg/si_pushupdate --dry-run --root /opt/golden compute")
    assert (dry.status, found(sis, "/opt/golden")) == (0, before)
    done = sis.call(f"rm {IMAGES}/compute/srv/one; /opkg/si_pushupdate --root /opt/golden compute")
    assert done.status == 0, done.err
    assert "*deleting" in done.out
    assert found(sis, "/opt/golden") == before - {"srv/one"} | {"etc/new"}
    assert (sis.root / "opt/golden/etc/setting").read_text() == "two\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("si_getimage --root /opt compute", "/opt is no root of a distribution"),
        ("si_getimage --root /opt/golden ../x", "“../x” cannot be the name of an image"),
        ("si_getimage --root /opt/golden .x", "“.x” cannot be the name of an image"),
        ("si_getimage -oProxyCommand=x compute", "usage: si_getimage"),
        ("si_getimage 'a b' compute", "“a b” cannot be the name of a machine"),
        ("si_pushupdate naught node1", "naught is no image"),
        ("si_pushupdate /opt/ node1", "/opt/ is no image"),
        ("si_pushupdate --root /opt /opt/golden", "/opt is no root of a distribution"),
        ("si_pushupdate /opt/golden 'x;y'", "“x;y” cannot be the name of a node"),
        ("si_pushupdate /opt/golden", "usage: si_pushupdate"),
    ],
)
def test_what_cannot_be_meant_is_refused(sis: Sandbox, command: str, told: str) -> None:
    before = sis.files()
    done = sis.call(f"/opkg/{command}")
    assert done.status in (1, 2)
    assert told in done.err
    assert sis.files() == before


def test_removed_as_never_installed(sis: Sandbox) -> None:
    for _ in range(2):
        assert sis.run("sis", "server-pre-uninstall").status == 0
    assert list((sis.root / "etc/systemimager").iterdir()) == [
        sis.root / "etc/systemimager/exclude"
    ]


@pytest.mark.slow
def test_a_node_that_runs_gets_the_change_by_ssh(machines: tuple[Machine, Machine]) -> None:
    head, image = machines
    image.install("opkg-sis-client", "opkg-openssh-client")
    head.install("opkg-sis", "opkg-sis-server", "opkg-openssh-server")
    told = head.check(
        f"""
        printf 'node1\\nnode2\\n' > /nodes
        export OSCAR_NODES=/nodes
        /usr/lib/oscar/packages/openssh/api-post-image {IMAGE}
        /usr/lib/oscar/packages/openssh/api-post-clientdef
        node /usr/sbin/sshd -o ListenAddress=127.0.0.2
        node sh -c 'echo node1 > /etc/hostname; echo mine > /srv/mine'
        si_getimage node1 golden
        echo setting > {IMAGES}/golden/etc/setting
        rm {IMAGES}/golden/srv/mine
        si_pushupdate golden node1
        node cat /etc/setting /etc/hostname
        node sh -c '! ls /srv/mine; ls /etc/ssh/ssh_host_ed25519_key'
        /usr/lib/oscar/packages/sis/testing/test_root node1
        ! si_pushupdate golden node2 node1 2> /told
        tail -n 1 /told
        """
    ).splitlines()
    assert told[:2] == [f"{IMAGES}/golden", "--------- node1 ---------"]
    assert "setting" in told
    assert "node1" in told
    assert "/etc/ssh/ssh_host_ed25519_key" in told
    assert told[-1] == "si_pushupdate: not brought up to date: node2"
