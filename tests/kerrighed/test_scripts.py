# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts that prepare images and write the list of nodes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kerrighed.building import SOURCE
from tests.kerrighed.plain import Fault, NodesFile
from tests.opkg_specs.conftest import Sandbox

OPKG = SOURCE.parent
IMAGE = "/var/lib/systemimager/images/compute"
LIST = "/var/lib/oscar/kerrighed/kerrighed_nodes"


def nodes_file(
    tmp_path: Path, names: str, *words: str, old: str = ""
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "old").write_text(old)
    return subprocess.run(
        [OPKG / "scripts/nodes-file", *(words or ("1", "2", "")), tmp_path / "old"],
        input=names,
        capture_output=True,
        text=True,
    )


def test_nodes_are_numbered_from_one(tmp_path: Path) -> None:
    done = nodes_file(tmp_path, "node2\nnode1\n", "7", "all", "eth1")
    assert done.stdout == "session=7\nnbmin=2\nnode1:1:eth1\nnode2:2:eth1\n"


def test_a_node_keeps_its_id(tmp_path: Path) -> None:
    old = "session=1\nnbmin=2\na:1\nb:2:eth0\nd:9\n"
    done = nodes_file(tmp_path, "b\nc\nd\ne\n", old=old)
    assert done.stdout == "session=1\nnbmin=2\nb:2\nc:1\nd:9\ne:3\n"


def test_a_session_has_no_more_nodes_than_ids(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(256)]
    lines = nodes_file(tmp_path, "\n".join(names)).stdout.splitlines()[2:]
    assert sorted(int(line.partition(":")[2]) for line in lines) == list(range(256))
    done = nodes_file(tmp_path, "\n".join([*names, "one-more"]))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "kerrighed: a session has at most 256 nodes\n"


def test_a_list_that_nodes_could_not_read_is_refused(tmp_path: Path) -> None:
    done = nodes_file(tmp_path, "\n".join(f"a-rather-long-name-of-a-node-{n}" for n in range(200)))
    assert (done.returncode, done.stdout) == (1, "")
    assert "longer than the 4096 bytes" in done.stderr


def test_a_cluster_that_cannot_start_by_itself_is_told(tmp_path: Path) -> None:
    done = nodes_file(tmp_path, "a\n")
    assert done.returncode == 0
    assert "starts when 2 nodes are there; the list has 1" in done.stderr


@pytest.fixture
def head(tools: Sandbox) -> Sandbox:
    """A head node with two nodes and an image, after server-post-install."""
    shutil.copytree(OPKG / "scripts", tools.root / "opkg", dirs_exist_ok=True)
    tools.write(f"{IMAGE}/usr/sbin/krgboot", "")
    tools.write("/etc/nodes", "node1\nnode2\n")
    call(tools, "/opkg/server-post-install")
    return tools


def call(head: Sandbox, script: str) -> str:
    done = head.call(script, {"OSCAR_NODES": "/etc/nodes"})
    assert done.status == 0, done.out + done.err
    return done.out


def read(head: Sandbox, path: str) -> str:
    return (head.root / path.lstrip("/")).read_text()


@pytest.mark.slow
def test_images_get_the_nodes_the_key_and_the_settings(head: Sandbox, plain: ctypes.CDLL) -> None:
    call(head, "/opkg/api-post-clientdef")
    text = read(head, f"{IMAGE}/etc/kerrighed_nodes")
    assert text == read(head, LIST) == "session=1\nnbmin=2\nnode1:1\nnode2:2\n"
    for host, node in ((b"node1", 1), (b"node2.example.org", 2)):
        found, fault = NodesFile(), Fault()
        assert plain.krg_read_nodes(text.encode(), len(text), host, found, fault) == 0
        assert (found.session, found.nbmin, found.node) == (1, 2, node)
    assert 'ENABLE=true\nADD_OPTS=""\n' in read(head, f"{IMAGE}/etc/default/kerrighed")
    key = head.root / f"{IMAGE}/etc/kerrighed/session.key".lstrip("/")
    assert key.read_text() == read(head, "/etc/kerrighed/session.key")
    assert len(key.read_text()) == 64
    assert key.stat().st_mode & 0o777 == 0o600
    assert call(head, "/opkg/api-post-clientdef") == ""  # nothing is written twice


@pytest.mark.slow
def test_a_changed_list_of_nodes_changes_the_files(head: Sandbox) -> None:
    call(head, "/opkg/api-post-clientdef")
    head.write("/etc/nodes", "node2\nnode3\nnode4\n")
    assert "etc/kerrighed_nodes written" in call(head, "/opkg/api-post-clientdef")
    wanted = "session=1\nnbmin=2\nnode2:2\nnode3:1\nnode4:3\n"
    assert read(head, f"{IMAGE}/etc/kerrighed_nodes") == wanted


@pytest.mark.slow
def test_answers_are_used_and_wrong_ones_refused(head: Sandbox) -> None:
    answers = "<opt><session>12</session><least>all</least><device>eth1</device></opt>"
    head.write("/opkg/.configurator.values", answers)
    call(head, "/opkg/api-post-clientdef")
    assert read(head, LIST) == "session=12\nnbmin=2\nnode1:1:eth1\nnode2:2:eth1\n"
    head.write("/opkg/.configurator.values", "<opt><session>0</session></opt>")
    done = head.call("/opkg/api-post-clientdef", {"OSCAR_NODES": "/etc/nodes"})
    assert done.status == 1
    assert "“0” cannot be a value of session" in done.err
    assert read(head, LIST).startswith("session=12\n")


def test_an_image_without_the_module_is_refused(head: Sandbox) -> None:
    (head.root / f"{IMAGE}/lib/modules/6.1.0-1".lstrip("/")).mkdir(parents=True)
    done = head.call(f"/opkg/api-post-image {IMAGE}")
    assert done.status == 1
    assert "no kernel in /var/lib/systemimager/images/compute has the module" in done.err


@pytest.mark.slow
def test_removal_leaves_what_was_there_before(tools: Sandbox) -> None:
    shutil.copytree(OPKG / "scripts", tools.root / "opkg", dirs_exist_ok=True)
    tools.write("/etc/nodes", "node1\n")
    for own in (False, True):
        if own:
            tools.write("/etc/kerrighed/session.key", "a key of our own choice")
        before = tools.files()
        for script in ("server-post-install", "api-post-clientdef", "server-pre-uninstall"):
            call(tools, f"/opkg/{script}")
        assert tools.files() == before
        assert not (tools.root / "var/lib/oscar").exists()


def test_an_image_forgets_its_session(head: Sandbox) -> None:
    """What the image has in /etc is here that of the machine itself."""
    for name in ("kerrighed_nodes", "default/kerrighed", "kerrighed/session.key"):
        head.write(f"/etc/{name}", "x")
    call(head, "/opkg/client-pre-uninstall; /opkg/client-pre-uninstall")
    assert set(head.files()) == {"/etc/nodes"} | {
        name for name in head.files() if name == "/etc/default"
    }
