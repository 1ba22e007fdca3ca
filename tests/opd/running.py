# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes that run: each a root file system of its own behind an sshd of its own, in network
namespaces that a bridge joins."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ctypes import CDLL
from dataclasses import dataclass
from pathlib import Path

from tests.lab.roots import MACHINE, debian_root, overlay, unpacked

_CLONE_NEWNET = 0x40000000  # sched.h; Python has os.setns from 3.12 on
HEAD = "10.8.0.254"
# In a node's namespaces, with its root as $0.
_START = """
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/run"
mount --bind /dev "$0/dev"
mkdir "$0/run/sshd"
exec chroot "$0" /usr/sbin/sshd -D -e
"""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node; `process` is its sshd with all that it has started."""

    name: str
    ip: str
    root: Path
    process: subprocess.Popen[bytes]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The nodes, and how the headnode reaches them: `hub` is a process in the headnode's network,
    `inside` begins the command line of what runs there, `ssh` is the command that gets into nodes
    by `key`."""

    nodes: tuple[Node, ...]
    hub: int
    inside: tuple[str, ...]
    ssh: str
    key: Path

    def enter(self) -> None:
        """Bring this process into the headnode's network."""
        with Path(f"/proc/{self.hub}/ns/net").open() as namespace:
            assert CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) == 0

    def lose(self, node: Node) -> None:
        """Stop a node. A router says so at once, where a lone cable would let everybody wait."""
        node.process.kill()
        node.process.wait()
        _run(self.inside, f"ip route add unreachable {node.ip}")


def base() -> Path:
    """What nodes and images are made from; to be read only."""
    return unpacked(debian_root(MACHINE))


@contextmanager
def running(count: int, folder: Path) -> Iterator[Network]:
    """Let nodes run. `folder` gets what the headnode needs to reach them."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with ExitStack() as stack:
        hub = _process(stack, ["unshare", "--net", "sleep", "infinity"])
        inside = ("nsenter", f"--net=/proc/{hub.pid}/ns/net")
        _run(inside, "ip link add bridge type bridge")
        _run(inside, f"ip address add {HEAD}/24 dev bridge; ip link set lo up")
        _run(inside, "ip link set bridge up")
        nodes = []
        for number in range(1, count + 1):
            root = stack.enter_context(overlay(base()))
            (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
            (root / "root/.ssh/authorized_keys").write_text(key.with_suffix(".pub").read_text())
            (root / "etc/hostname").write_text(f"node{number}\n")
            process = _process(
                stack,
                ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--uts",
                 "sh", "-euc", _START, str(root)],
            )  # fmt: skip
            ip = f"10.8.0.{number}"
            _run(inside, f"ip link add v{number} type veth peer name eth0 netns {process.pid}")
            _run(inside, f"ip link set v{number} master bridge up")
            own = ("nsenter", f"--net=/proc/{process.pid}/ns/net")
            _run(own, f"ip address add {ip}/24 dev eth0; ip link set eth0 up; ip link set lo up")
            nodes.append(Node(name=f"node{number}", ip=ip, root=root, process=process))
        ssh = (
            f"ssh -i {key} -o BatchMode=yes -o StrictHostKeyChecking=accept-new "
            f"-o UserKnownHostsFile={folder / 'known'} -o ConnectTimeout=10 -F none"
        )
        network = Network(nodes=tuple(nodes), hub=hub.pid, inside=inside, ssh=ssh, key=key)
        for node in nodes:
            _wait_for(network, node)
        yield network


def _process(stack: ExitStack, argv: list[str]) -> subprocess.Popen[bytes]:
    """A process in a network namespace of its own."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    ours = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{process.pid}/ns/net").readlink() == ours:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def _run(inside: tuple[str, ...], script: str) -> None:
    subprocess.run([*inside, "sh", "-euc", script], check=True)


def _wait_for(network: Network, node: Node) -> None:
    argv = [*network.inside, *network.ssh.split(), f"root@{node.ip}", "true"]
    for _ in range(100):
        if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"{node.name} does not answer")
