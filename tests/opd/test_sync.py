# SPDX-License-Identifier: GPL-2.0-or-later
"""Running nodes are brought to what their image is, and keep what is their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opd.image import Managed
from opd.oda import Image, Node, now
from tests.opd.conftest import Opd, copy_tree
from tests.opd.running import Network, base, running
from tests.opd.test_oda import opened
from tests.trees import changes, picture

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Three nodes of the image compute, and opd on the headnode."""

    state: Path
    network: Network

    @property
    def image(self) -> Managed:
        return Managed(self.state / "images/compute")

    def opd(self, *words: str, status: int = 0) -> str:
        argv = [*self.network.inside, sys.executable, "-m", "opd", "--state", str(self.state)]
        done = subprocess.run([*argv, *words], capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if "--json" in words else done.stdout + done.stderr

    def sync(self, *words: str, status: int = 0) -> dict[str, dict[str, Any]]:
        argv = ("node", "sync", *words, "--ssh", self.network.ssh, "--json")
        return {row["node"]: row for row in json.loads(self.opd(*argv, status=status))}

    def generations(self) -> list[str]:
        rows = json.loads(self.opd("node", "list", "--json"))
        return [row["generation"] for row in rows]

    def change_image(self, path: str, text: str) -> None:
        """Make a new generation of the image that has a file more, or another one."""
        tree = self.image.top / "new"
        subprocess.run(["cp", "-al", self.image.live, tree], check=True)
        file = tree / path
        file.unlink(missing_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.image.publish(tree)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    state = tmp_path / "state"
    image = Managed(state / "images/compute")
    image.generations.mkdir(parents=True)
    copy_tree(base(), image.top / "new")
    image.publish(image.top / "new")
    oda = opened(state)
    oda.save(Image(name="compute", target="debian-12-x86_64", path=str(image.root), created=now()))
    with running(3, tmp_path) as network:
        made = Cluster(state=state, network=network)
        made.opd("node", "add", "n[1-3]", "--image", "compute", "--ip", network.nodes[0].ip)
        yield made


def test_nodes_become_what_their_image_is_and_keep_what_is_theirs(cluster: Cluster) -> None:
    one, two, three = cluster.network.nodes
    cluster.change_image("opt/tool", "the first\n")
    cluster.change_image("etc/oscar/exclude", "/opt/local\n")
    own = {"etc/ssh/ssh_host_mine": "key", "var/log/mine": "log", "opt/local/mine": "data",
           "home/user/mine": "data", "srv/mine": "data"}  # fmt: skip
    for path, text in own.items():
        (one.root / path).parent.mkdir(parents=True, exist_ok=True)
        (one.root / path).write_text(text)
    (one.root / "usr/bin/stray").write_text("no package's")
    before = picture(two.root)

    seen = cluster.sync("--dry-run", "--exclude", "/srv/*")
    assert any("usr/bin/stray" in path for path in seen["n1"]["paths"])
    assert (one.root / "usr/bin/stray").exists()
    assert changes(before, picture(two.root)) == []
    assert cluster.generations() == ["", "", ""]

    cluster.sync("--exclude", "/srv/*")
    for node in (one, two, three):
        assert (node.root / "opt/tool").read_text() == "the first\n"
        assert (node.root / "etc/hostname").read_text() == f"{node.name}\n"
    assert not (one.root / "usr/bin/stray").exists()
    assert {path: (one.root / path).read_text() for path in own} == own
    assert cluster.generations() == ["3", "3", "3"]
    again = cluster.sync("--exclude", "/srv/*")
    found = [(row["paths"], row["size"], row["fault"]) for row in again.values()]
    assert found == [([], 0, "")] * 3

    three.stop()
    cluster.change_image("opt/tool", "the second\n")
    done = cluster.sync(status=1)
    assert [path.split()[-1] for path in done["n2"]["paths"]] == ["opt/tool"]
    assert done["n2"]["size"] == len("the second\n")
    assert "No route to host" in done["n3"]["fault"] or "timed out" in done["n3"]["fault"]
    assert cluster.generations() == ["4", "4", "3"]
    said = cluster.opd("node", "sync", "n[2-3]", "--ssh", cluster.network.ssh, status=1)
    assert "opd node sync n3" in said
    assert "as the image" in said


@pytest.fixture
def lonely(tmp_path: Path) -> Opd:
    """A headnode whose only node is said to be n1, of an image that has next to nothing."""
    state, head = tmp_path / "state", tmp_path / "head"
    head.mkdir()
    image = Managed(state / "images/compute")
    for folder in ("etc", "usr", "bin"):
        (image.generations / "1" / folder).mkdir(parents=True)
    image.go_to("1")
    oda = opened(state)
    oda.save(Image(name="compute", target="debian-12-x86_64", path=str(image.root), created=now()))
    oda.save(Node(name="n1", image="compute"), Node(name="bare"))
    return Opd(state, head, {})


def test_an_image_that_is_none_empties_no_node(lonely: Opd) -> None:
    done = lonely.run("node", "sync", "n1", "--ssh", "false", status=1)
    assert "this is no root file system: it has no /bin/sh" in done.err


@pytest.mark.parametrize("in_image", [True, False])
def test_what_stays_cannot_be_forgotten_as_a_whole(lonely: Opd, *, in_image: bool) -> None:
    tree = lonely.image("compute")
    (tree / "bin/sh").touch()
    words = [] if in_image else ["--exclude", "!"]
    if in_image:
        (tree / "etc/oscar").mkdir()
        (tree / "etc/oscar/exclude").write_text("/srv/*\n!\n")
    done = lonely.run("node", "sync", "n1", "--ssh", "false", *words, status=1)
    assert "would forget all of it" in done.err
    assert done.out == ""


def test_a_node_that_is_the_headnode_is_left_alone(lonely: Opd, tmp_path: Path) -> None:
    (lonely.image("compute") / "bin/sh").touch()
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    ssh.chmod(0o755)
    done = lonely.run("node", "sync", "n1", "--ssh", str(ssh), "--json", status=1)
    assert json.loads(done.out)[0]["fault"] == "this is the headnode itself: its address is wrong"


def test_a_node_without_an_image_is_named(lonely: Opd) -> None:
    done = lonely.run("node", "sync", status=1)
    assert "it is not known what bare run" in done.err
