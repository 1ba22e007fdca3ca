# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps to a cluster, with three nodes that run: define, sync, deploy, test; then the image
changes, and all of it once more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from defusedxml.ElementTree import parse

from opd.image import Managed
from opd.oda import Image, now
from tests.lab.roots import overlay
from tests.opd.conftest import CONFIG, copy_tree, forget_archive, program, serve
from tests.opd.running import Network, base, running
from tests.opd.test_oda import opened

pytestmark = pytest.mark.slow

SHELL = "#!/bin/sh\nset -eu\n"
# What it knows of nodes goes into the image; once they run it asks each what it has.
SCRIPTS = {
    "scripts/client-post-install": f"{SHELL}echo VERSION > /opt/colour\n",
    "scripts/api-post-clientdef": f"""{SHELL}
echo "defined: $(tr '\\n' ' ' < "$OSCAR_NODES")" >> /told
for image in "$OSCAR_IMAGES"/*; do cp "$OSCAR_NODES" "$image/etc/colour-nodes"; done
""",
    "scripts/api-post-deploy": f"""{SHELL}
while read -r node; do
    echo "$node: $(ssh -n "$node" 'cat /opt/colour; wc -l < /etc/colour-nodes' | xargs)" >> /told
done < "$OSCAR_NODES"
""",
    "testing/test_root": f'{SHELL}for node in "$@"; do ssh -n $node test -s /opt/colour; done\n',
    "testing/test_user": f"{SHELL}id -un\n",
}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A headnode with opd, and the nodes that it reaches."""

    state: Path
    headnode: Path
    network: Network
    repository: Path

    def opd(self, *words: str | Path, inside: bool = True, status: int = 0) -> str:
        """Run opd in the headnode's network, or in this machine's, where the repository is."""
        argv = [*(self.network.inside if inside else ()), sys.executable, "-m", "opd",
                "--state", self.state, "--headnode-root", self.headnode, *words]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def sync(self) -> None:
        self.opd("node", "sync", "--ssh", self.network.ssh)

    def told(self) -> list[str]:
        """What the headnode's scripts told since they were asked last."""
        path = self.headnode / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return lines


def publish(repository: Path, folder: Path, version: str) -> None:
    """Publish the OPKG `colour`."""
    config = CONFIG.format(name="colour", version=version, relations="")
    for path, text in {"config.xml": config, **SCRIPTS}.items():
        place = folder / version / "colour" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text.replace("VERSION", version))
        place.chmod(0o755)
    out = folder / f"out-{version}"
    program("builder", "build", folder / version / "colour", "-t", "debian-12", "-o", out)
    manifest = next(out.glob("*/manifest.json"))
    program("repo_server", "add", repository, "--channel", "stable", manifest)
    program("repo_server", "publish", repository)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The OPKG is published and trusted, and there is the image `compute`; nothing is installed,
    and no node is defined."""
    state, repository = tmp_path / "state", tmp_path / "repository"
    image = Managed(state / "images/compute")
    image.generations.mkdir(parents=True)
    copy_tree(base(), image.top / "new")
    forget_archive(image.top / "new")
    image.publish(image.top / "new")
    row = Image(name="compute", target="debian-12-x86_64", path=str(image.root), created=now())
    opened(state).save(row)
    keys = dict(line.split() for line in program("repo_server", "init", repository).splitlines())
    publish(repository, tmp_path, "1-1")
    with running(3, tmp_path) as network, overlay(base()) as headnode, serve(repository) as url:
        forget_archive(headnode)
        (headnode / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        shutil.copy(tmp_path / "key", headnode / "root/.ssh/id_ed25519")
        (headnode / "root/.ssh/config").write_text(
            "StrictHostKeyChecking accept-new\nConnectTimeout 2\n"
        )
        names = "".join(f"{node.ip} {node.name}\n" for node in network.nodes)
        (headnode / "etc/hosts").write_text(f"127.0.0.1 localhost\n{names}")
        made = Cluster(state=state, headnode=headnode, network=network, repository=repository)
        made.opd("repo", "add", url, "--root-key", keys["root"], "--name", "own", inside=False)
        yield made


def test_from_the_list_of_nodes_to_nodes_that_are_tested_and_once_more(
    cluster: Cluster, tmp_path: Path
) -> None:
    nodes = cluster.network.nodes
    cluster.opd("install", "colour", inside=False)
    assert cluster.told() == []
    cluster.opd("node", "add", "n[1-3]", "--image", "compute", "--ip", nodes[0].ip)
    assert cluster.told() == ["defined: n1 n2 n3 "]
    assert "colour" in cluster.opd("test", "colour", status=1)  # the nodes have nothing of it yet

    cluster.sync()
    assert {(node.root / "opt/colour").read_text() for node in nodes} == {"1-1\n"}
    cluster.opd("deploy")
    assert cluster.told() == ["n1: 1-1 3", "n2: 1-1 3", "n3: 1-1 3"]
    assert "nothing is due" in cluster.opd("deploy")
    said = cluster.opd("test", "--junit", tmp_path / "results.xml")
    assert [line.split()[:3] for line in said.splitlines()[1:3]] == [
        ["colour", "test_root", "passed"],
        ["colour", "test_user", "passed"],
    ]
    suite = parse(tmp_path / "results.xml").getroot()[0]
    assert dict(suite.attrib) == {"name": "colour", "tests": "2", "failures": "0", "skipped": "0"}

    # The image changes: a new version of the OPKG, of which nodes hear with the next sync.
    publish(cluster.repository, tmp_path, "2-1")
    cluster.opd("update", inside=False)
    said = cluster.opd("upgrade", inside=False)
    assert "opd deploy runs what colour does about them" in said
    assert (nodes[0].root / "opt/colour").read_text() == "1-1\n"
    cluster.sync()
    assert {(node.root / "opt/colour").read_text() for node in nodes} == {"2-1\n"}
    cluster.opd("deploy")
    told = ["n1: 2-1 3", "n2: 2-1 3", "n3: 2-1 3"]
    assert cluster.told() == ["defined: n1 n2 n3 ", *told]
    cluster.opd("test")

    # One node less: those that stay hear of it.
    cluster.opd("node", "remove", "n3")
    assert cluster.told() == ["defined: n1 n2 "]
    cluster.sync()
    cluster.opd("deploy")
    assert cluster.told() == ["n1: 2-1 2", "n2: 2-1 2"]
    assert (nodes[2].root / "etc/colour-nodes").read_text() == "n1\nn2\nn3\n"

    # A node that does not answer is named, by the script that needs it and by the tests.
    nodes[1].stop()
    said = cluster.opd("test", status=1)
    assert "colour: test_root failed" in said
    assert "connect to host n2" in said
