# SPDX-License-Identifier: GPL-2.0-or-later
"""Running nodes are brought to what their image is, and keep what is their own; OPKGs' scripts and
tests reach them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import parse

from opd.image import Managed
from opd.oda import Image, Node, now
from tests.lab.roots import overlay
from tests.opd.conftest import Opd, copy_tree, forget_archive, publish_opkgs, serve
from tests.opd.running import Network, base, running
from tests.opd.test_oda import opened
from tests.programs import forked, seen
from tests.trees import changes, picture

pytestmark = pytest.mark.slow

SHELL = "#!/bin/sh\nset -eu\n"
# Lets everybody know the nodes by their names; leaves a line in the headnode each time.
HOSTS = f"""{SHELL}
echo hosts >> /told
python3 - > /etc/hosts << 'END'
import json, os
for node in json.load(open(os.environ["OSCAR_NODES_JSON"])):
    print(node["ip"], node["name"])
END
for image in "$OSCAR_IMAGES"/*; do cp /etc/hosts "$image/etc/hosts"; done
"""
VISIT = f"""{SHELL}
echo visit >> /told
for node in $(cat "$OSCAR_NODES"); do ssh "$node" 'echo deployed >> /var/log/visits'; done
"""
ALL_HAVE_THE_TOOL = f"""{SHELL}
for node; do ssh "$node" test -e /opt/tool || {{ echo "$node has no tool"; exit 1; }}; done
"""
OPKGS = {
    "hosts": {"scripts/api-post-clientdef": HOSTS},
    "visit": {
        "scripts/api-post-deploy": VISIT,
        "scripts/server-post-install": f"{SHELL}echo installed >> /told\n",
        "scripts/client-post-install": f"{SHELL}echo the first > /opt/tool\n",
        "testing/test_root": ALL_HAVE_THE_TOOL,
        "testing/test_user": f"{SHELL}id -un\necho $*\n",
    },
}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Four machines, and opd on the headnode, which has the image compute for them."""

    head: Opd
    network: Network

    @property
    def image(self) -> Managed:
        return Managed(self.head.state / "images/compute")

    def opd(self, *words: str, status: int = 0) -> str:
        """Run opd in the headnode's network; what it prints."""
        top = ("--state", self.head.state, "--headnode-root", self.head.headnode)
        done = forked("opd", *top, *words, env=self.head.env, first=self.network.enter)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if "--json" in words else done.stdout + done.stderr

    def add(self, names: str, first: int) -> None:
        ip = self.network.nodes[first - 1].ip
        self.opd("node", "add", names, "--image", "compute", "--ip", ip)

    def sync(self, *words: str, status: int = 0) -> dict[str, dict[str, Any]]:
        argv = ("node", "sync", *words, "--ssh", self.network.ssh, "--json")
        return {row["node"]: row for row in json.loads(self.opd(*argv, status=status))}

    def generations(self) -> list[str]:
        rows = json.loads(self.opd("node", "list", "--json"))
        return [row["generation"] for row in rows]

    def visits(self) -> list[int]:
        """How often a script has been at each machine."""
        logs = [node.root / "var/log/visits" for node in self.network.nodes]
        return [len(log.read_text().splitlines()) if log.exists() else 0 for log in logs]

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
def cluster(tmp_path: Path, env: dict[str, str]) -> Iterator[Cluster]:
    state = tmp_path / "state"
    image = Managed(state / "images/compute")
    image.generations.mkdir(parents=True)
    copy_tree(base(), image.top / "new")
    forget_archive(image.top / "new")
    image.publish(image.top / "new")
    oda = opened(state)
    oda.save(Image(name="compute", target="debian-12-x86_64", path=str(image.root), created=now()))
    with overlay(base()) as root, running(4, tmp_path) as network:
        forget_archive(root)
        (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        shutil.copy(network.key, root / "root/.ssh/id_ed25519")
        (root / "root/.ssh/config").write_text("StrictHostKeyChecking accept-new\n")
        yield Cluster(head=Opd(state, root, env), network=network)


def test_from_the_list_of_nodes_to_a_cluster_that_changes(cluster: Cluster, tmp_path: Path) -> None:
    own = publish_opkgs(tmp_path / "own", OPKGS)
    head = cluster.head
    with serve(own.root) as url:
        head.run("repo", "add", url, "--root-key", own.root_json)
        head.run("install", "hosts", "visit", "--headnode")
        deployed_and_tested(cluster, tmp_path / "results.xml")
        a_node_is_added(cluster)
    nodes_keep_what_is_theirs(cluster)
    what_is_sent_is_shown(cluster)
    what_fails_is_told(cluster)


def deployed_and_tested(cluster: Cluster, results: Path) -> None:
    one, two, three, _ = cluster.network.nodes
    cluster.add("node[1-3]", 1)
    done = cluster.sync()
    assert [row["fault"] for row in done.values()] == [""] * 3
    assert cluster.generations() == ["2"] * 3
    listed = f"{one.ip} node1\n{two.ip} node2\n{three.ip} node3\n"
    assert {(node.root / "etc/hosts").read_text() for node in (one, two, three)} == {listed}
    assert "scripts of 1 OPKG ran" in cluster.opd("deploy")
    assert cluster.visits() == [1, 1, 1, 0]

    # What the tests ask for is not in the image yet.
    said = cluster.opd("test", "--junit", str(results), status=1)
    assert [line.split()[:3] for line in said.splitlines()[1:3]] == [
        ["visit", "test_root", "failed"],
        ["visit", "test_user", "passed"],
    ]
    assert "  | node1 has no tool" in said
    suite = parse(results).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert suite[1].findtext("system-out") == "oscartst\nnode1 node2 node3"
    cluster.head.run("install", "visit", "--image", "compute")
    for row in cluster.sync().values():
        assert any(path.endswith(" opt/tool") for path in row["paths"])
    assert "nothing is due" in cluster.opd("deploy")
    cluster.opd("test", "--junit", str(results))
    assert parse(results).getroot()[0].get("failures") == "0"


def a_node_is_added(cluster: Cluster) -> None:
    """What is about nodes runs again, and nothing else."""
    assert cluster.head.told() == ["installed", "hosts", "visit"]
    cluster.add("node4", 4)
    cluster.sync()
    cluster.opd("deploy")
    assert cluster.head.told() == ["installed", "hosts", "visit", "hosts", "visit"]
    assert cluster.visits() == [2, 2, 2, 1]
    roots = [cluster.network.nodes[number].root for number in (0, 3)]
    assert [len((root / "etc/hosts").read_text().splitlines()) for root in roots] == [4, 4]
    cluster.opd("test")


def nodes_keep_what_is_theirs(cluster: Cluster) -> None:
    one, two, *_ = cluster.network.nodes
    cluster.change_image("etc/oscar/exclude", "/opt/local\n")
    own = {"etc/ssh/ssh_host_mine": "key", "var/log/mine": "log", "opt/local/mine": "data",
           "home/user/mine": "data", "srv/mine": "data"}  # fmt: skip
    for path, text in own.items():
        (one.root / path).parent.mkdir(parents=True, exist_ok=True)
        (one.root / path).write_text(text)
    (one.root / "usr/bin/stray").write_text("no package's")
    before, known = picture(two.root), cluster.generations()

    seen = cluster.sync("--dry-run", "--exclude", "/srv/*")
    assert any("usr/bin/stray" in path for path in seen["node1"]["paths"])
    assert (one.root / "usr/bin/stray").exists()
    assert changes(before, picture(two.root)) == []
    assert cluster.generations() == known

    cluster.sync("--exclude", "/srv/*")
    for node in cluster.network.nodes:
        assert (node.root / "etc/oscar/exclude").read_text() == "/opt/local\n"
        assert (node.root / "etc/hostname").read_text() == f"{node.name}\n"
    assert not (one.root / "usr/bin/stray").exists()
    assert {path: (one.root / path).read_text() for path in own} == own
    assert cluster.generations() == [str(int(known[0]) + 1)] * 4
    again = cluster.sync("--exclude", "/srv/*")
    found = [(row["paths"], row["size"], row["fault"]) for row in again.values()]
    assert found == [([], 0, "")] * 4


def what_is_sent_is_shown(cluster: Cluster) -> None:
    cluster.change_image("opt/large", "0" * 3_000_000)
    network = cluster.network
    child = cluster.head.on_terminal("node", "sync", "--ssh", network.ssh, first=network.enter)
    assert "4/4 12.0 MB 0:" in seen(child)


def what_fails_is_told(cluster: Cluster) -> None:
    before = int(cluster.generations()[0])
    cluster.network.lose(cluster.network.nodes[2])
    cluster.change_image("opt/tool", "the second\n")
    done = cluster.sync(status=1)
    assert [path.split()[-1] for path in done["node2"]["paths"]] == ["opt/tool"]
    assert done["node2"]["size"] == len("the second\n")
    assert "No route to host" in done["node3"]["fault"]
    assert cluster.generations() == [str(before + new) for new in (1, 1, 0, 1)]
    said = cluster.opd("node", "sync", "node[2-3]", "--ssh", cluster.network.ssh, status=1)
    assert "opd node sync node3" in said
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
