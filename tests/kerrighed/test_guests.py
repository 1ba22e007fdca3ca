# SPDX-License-Identifier: GPL-2.0-or-later
"""The module and the tools, in Debian's kernel and in one of our own, on machines in software."""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.kerrighed.building import SOURCE, Built, built, with_own_kernel
from tests.kerrighed.guests import Boot, Guest, guest, join, keep_consoles, small_boot, wire
from tests.kerrighed.plain import ETHERTYPE, HEARTBEAT, ONLINE_FLAG, TO_ALL, Message, message_bytes

pytestmark = pytest.mark.slow

KEY = "0123456789abcdef" * 4
DEBUG = Path(__file__).with_name("debug.config")
FAULTS = r"BUG|WARNING|INFO: |Call Trace|UBSAN: |refcount|leak(?! detector)"


@pytest.fixture(scope="module")
def bookworm() -> Built:
    return built()


def only_when_asked(name: str) -> ParameterSet:
    return pytest.param(name, marks=pytest.mark.kernel)


@pytest.fixture(params=["distribution", only_when_asked("source"), only_when_asked("debug")])
def boot(request: pytest.FixtureRequest, bookworm: Built, tmp_path: Path) -> Boot:
    """Debian's kernel, or that of the recipe, with the module and the tools; or that of the recipe
    when it watches locks and memory."""
    made = bookworm
    if request.param != "distribution":
        more = DEBUG.read_text() if request.param == "debug" else ""
        made = with_own_kernel(bookworm, more)
    plain = small_boot(made, tmp_path / "initrd")
    return replace(plain, megabytes=640) if request.param == "debug" else plain


def is_watching(node: Guest) -> bool:
    return node.check("uname -r").endswith("-watching")


def look_at_the_log(node: Guest) -> None:
    """Nothing was wrong with locks or memory since the module came; a kernel that watches them was
    still watching."""
    # Before that, it is about a machine in software that had to wait for its processor.
    before, loaded, since = node.check("dmesg").partition("kerrighed: ")
    assert loaded, before
    assert not re.search(FAULTS, since)
    if is_watching(node):
        assert re.search(r"debug_locks: +1", node.check("cat /proc/lockdep_stats"))
        leaks = "/sys/kernel/debug/kmemleak"
        node.check("mount -t debugfs debugfs /sys/kernel/debug")
        # What was just given back may still be in a register: only what is found twice is lost.
        node.check(f"echo scan > {leaks}; sleep 6; echo scan > {leaks}")
        assert node.check(f"cat {leaks}") == ""


# That it is built for Debian 13, test_opkg.py shows too.
@pytest.mark.parametrize("suite", ["bookworm", pytest.param("trixie", marks=pytest.mark.kernel)])
def test_the_module_is_built_without_a_warning(suite: str) -> None:
    made = built(suite)
    # These are of the kernel's own tools, about a file that packages of headers do not have.
    said = re.sub(r"Skipping BTF generation .*\n", "", made.said)
    assert "CHECK   /mnt/module/wire.c" in said
    assert not re.findall(r".*(?:warning|error):.*", said, re.IGNORECASE)


def set_up(node: Guest, number: int, session: int = 1) -> None:
    node.write("/etc/hostname", f"node{number}\n")
    lines = f"session={session}\nnbmin=2\nnode1:1\nnode2:2\n"
    node.write("/etc/kerrighed_nodes", lines)
    node.write("/etc/kerrighed/session.key", KEY)


def test_two_nodes_are_a_cluster(boot: Boot, tmp_path: Path) -> None:
    both = "1:online\n2:online"
    try:
        with wire() as cable, guest(boot, "node1", 1, cable, tmp_path) as one:
            join(cable, "node1", "node2")
            with guest(boot, "node2", 2, cable, tmp_path) as two:
                for number, node in ((1, one), (2, two)):
                    node.wait_until_ready()
                    set_up(node, number)
                    node.check("krgboot start")
                for node in (one, two):
                    node.wait_for("krgadm nodes status", both)
                    assert node.check("krgadm cluster status") == "status: up on 2 nodes"
                one.check("krgadm nodes del -n 2")
                two.wait_for("krgadm nodes status", "1:online\n2:present")
                two.check("krgadm nodes add -a")
                one.wait_for("krgadm nodes status", both)
                two.cut_power()
            one.wait_for("krgadm nodes status", "1:online\n2:possible")
            assert "node 2 is silent: taken as failed" in one.check("dmesg")
            with guest(boot, "node2", 2, cable, tmp_path) as two:
                two.wait_until_ready()
                set_up(two, 2)
                two.check("krgboot start")
                one.wait_for("krgadm nodes status", both)
                two.check("krgboot stop")
                one.wait_for("krgadm nodes status", "1:online\n2:possible")
                assert "node 2 has left" in one.check("dmesg")
                look_at_a_double(one, two)
                two.check("krgboot start")
                two.wait_for("krgadm nodes status", both)
                one.wait_for("krgadm nodes status", both)
                for node in (one, two):
                    look_at_the_log(node)
                one.check("krgadm cluster poweroff")
                for node in (two, one):
                    assert node.process.wait(timeout=120) == 0
    finally:
        keep_consoles(tmp_path, "two-nodes")


def look_at_a_double(one: Guest, two: Guest) -> None:
    """A second node that says to be node 1."""
    two.check("modprobe kerrighed node_id=1")
    two.wait_for("cat /sys/kerrighed/state", "conflict")
    status, said = two.run("krgadm nodes status")
    assert status == 1
    assert said.startswith("krgadm: another node has the id 1 of this one, which stands aside")
    assert one.check("krgadm nodes status") == "1:online\n2:possible"
    two.check("krgboot stop")


REFUSED = {
    "session_id=0 node_id=1": "session_id=0: has to be a number from 1 to 9999",
    "session_id=10000 node_id=1": "session_id=10000: has to be a number from 1 to 9999",
    "session_id=1 node_id=256": "node_id=256: has to be a number from 0 to 255",
    "session_id=1 nb_nodes_min=0": "nb_nodes_min=0: has to be a number from 1 to 256",
    "node_id=1": "incomplete session ID / node ID: no session",
    "session_id=1": "incomplete session ID / node ID: no node",
    "session_id=1 node_id=1": "/etc/kerrighed/session.key: no key of the session",
}


def test_one_node_alone(boot: Boot, tmp_path: Path) -> None:
    try:
        with (
            wire() as cable,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
            guest(boot, "node1", 1, cable, tmp_path) as one,
        ):
            other.bind(str(cable / "other-node1"))
            one.wait_until_ready()
            look_at_refusals(one)
            set_up(one, 1)
            one.check("krgboot start")
            one.wait_for("krgadm nodes status", "1:present\n2:possible")
            look_at_attacks(one, other, str(cable / "node1"))
            look_at_versions(one)
            look_at_capabilities(one)
            look_at_autonodeid(one)
            load_and_unload(one)
            look_at_the_log(one)
    finally:
        keep_consoles(tmp_path, "one-node")


def look_at_refusals(one: Guest) -> None:
    for tool in ("krgadm nodes status", "krgadm cluster start", "krgcapset -s"):
        status, said = one.run(tool)
        name = tool.partition(" ")[0]
        assert (status, said) == (
            1,
            f"{name}: the module kerrighed is not loaded: run krgboot start",
        )
    for words, reason in REFUSED.items():
        assert one.run(f"modprobe kerrighed {words}")[0] == 1
        assert f"kerrighed: {reason}" in one.check("dmesg | grep kerrighed: | tail -n 1"), words
    one.write("/etc/kerrighed_nodes", "session=1\nnode1:0\nnode2:0\n")
    status, said = one.run("krgboot start")
    assert status == 1
    assert "/etc/kerrighed_nodes line 3: a second host with this id" in said


def count(one: Guest, name: str) -> int:
    return int(one.check(f"cat /sys/kerrighed/messages/{name}"))


def look_at_attacks(one: Guest, other: socket.socket, address: str) -> None:
    """What comes from elsewhere is counted, and changes nothing."""
    plain = Message(
        type=HEARTBEAT, flags=ONLINE_FLAG, session=1, sender=2, to=TO_ALL, incarnation=1, sequence=1
    )
    foreign = Message(type=HEARTBEAT, session=2, sender=2, to=TO_ALL)
    kinds = {
        "malformed": [b"", b"KRGH", bytes(72), bytes(1400)],
        "foreign": [message_bytes(foreign, KEY.encode())],
        "forged": [message_bytes(plain, b"another key that is long enough")],
    }
    header = b"\xff" * 6 + b"\2\0\0\0\0\2" + struct.pack("!H", ETHERTYPE)
    for kind, payloads in kinds.items():
        before = count(one, kind)
        for payload in payloads:
            other.sendto(header + payload, address)
        wanted = str(before + len(payloads))
        one.wait_for(f"cat /sys/kerrighed/messages/{kind}", wanted)
    assert count(one, "received") == 0
    assert one.check("krgadm nodes status") == "1:present\n2:possible"
    log = one.check("dmesg")
    assert "02:00:00:00:00:02 belongs to session 2, not to ours, which is 1: ignored" in log
    assert "02:00:00:00:00:02 speaks for node 2 of our session without our key" in log
    # The same message with our key is heard; a node that answers no question is not believed.
    other.sendto(header + message_bytes(plain, KEY.encode()), address)
    one.wait_for("cat /sys/kerrighed/messages/received", "1")
    assert one.check("krgadm nodes status") == "1:present\n2:possible"


def look_at_versions(one: Guest) -> None:
    status, said = one.run("LD_LIBRARY_PATH=/newer krgadm nodes status")
    assert status == 1
    assert said.startswith("krgadm: the module speaks version 1.0, this library 2.0: install")


def look_at_capabilities(one: Guest) -> None:
    one.write("/tmp/look", "krgcapset -s | grep ^effective\n")
    plain = "effective: 0001 CHANGE_KERRIGHED_CAP"
    more = "effective: 0003 CHANGE_KERRIGHED_CAP CAN_MIGRATE"
    assert one.check("sh /tmp/look") == plain
    # “; true” lets the shell have a child instead of becoming the program itself.
    assert one.check("krgcapset -d +CAN_MIGRATE; sh /tmp/look; true") == more
    assert one.check("krgcapset -d +CAN_MIGRATE; sh -c 'exec sh /tmp/look'; true") == more
    assert one.check("krgcapset -d +CAN_MIGRATE; sh -c 'sh /tmp/look; true'; true") == more
    assert one.check("krgcapset -d +CAN_MIGRATE; exec sh /tmp/look") == plain
    assert one.check("sh /tmp/look") == plain  # with the processes it went
    status, said = one.run("krgcapset -p -CAN_MIGRATE; krgcapset -e +CAN_MIGRATE || exit 1")
    assert (status, said) == (
        1,
        "krgcapset: an effective set has more than its permitted set: -f widens that",
    )
    status, said = one.run("krgcapset -k 999999 -s")
    assert (status, said) == (1, "krgcapset: No such process")


def look_at_autonodeid(one: Guest) -> None:
    one.check("krgboot stop; rm /etc/kerrighed_nodes; ip addr add 10.1.1.77/24 dev eth0")
    one.check("modprobe kerrighed session_id=1")
    assert one.check("cat /sys/kerrighed/node_id") == "77"
    one.check("krgboot stop")


MEMORY = "awk '/^(SUnreclaim|VmallocUsed|Percpu):/ { kib += $2 } END { print kib }' /proc/meminfo"


def load_and_unload(one: Guest) -> None:
    turn = (
        "modprobe kerrighed session_id=1 node_id=1 && krgcapset -k 1 -d +DEBUG && rmmod kerrighed"
    )
    again = f"for i in $(seq %d); do {turn} || exit 1; done; {MEMORY}"
    before = int(one.check(again % 10))
    after = int(one.check(again % 100))
    # A leak of the smallest thing that is kept, the table of nodes, would be 2.5 MiB by now. Who
    # watches memory keeps it for a while.
    assert after - before < 1024 or is_watching(one)
    assert one.run("grep kerrighed /proc/modules")[0] == 1


def test_the_sources_state_their_licence() -> None:
    for path in SOURCE.rglob("*"):
        if path.is_file() and path.name not in ("VERSION", "COPYING"):
            assert "SPDX-License-Identifier: GPL-2.0-only" in path.read_text()[:200], path
