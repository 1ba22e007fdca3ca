# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the OPKG pfilter, in the nftables of a real kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.opkg_specs.conftest import Ran, ran
from tests.opkg_specs.machines import IMAGE, Machine

HOME = "/usr/lib/oscar/packages/pfilter"


def rules(stage: Callable[[str], Path], *words: str) -> Ran:
    return ran([stage("pfilter") / "usr/share/pfilter/rules", *words])


def test_of_the_public_interfaces_only_the_services_are_open(stage: Callable[[str], Path]) -> None:
    told = rules(stage, "head", "eth1\neth2", "ssh\n80/tcp\n60000-61000/udp\n53/udp")
    assert told.status == 0, told.err
    assert "policy drop;" in told.out
    assert [line.strip() for line in told.out.splitlines() if "accept" in line][-3:] == [
        'iifname != { "eth1", "eth2" } accept',
        "tcp dport { ssh, 80 } accept",
        "udp dport { 60000-61000, 53 } accept",
    ]


def test_without_a_public_interface_nothing_is_filtered(stage: Callable[[str], Path]) -> None:
    told = rules(stage, "head", "", "ssh").out
    assert "policy accept;" in told
    assert "dport { ssh" not in told


def test_nodes_know_networks_of_both_families(stage: Callable[[str], Path]) -> None:
    told = rules(stage, "node", "10.0.0.0/8 fd00::/8").out
    assert "ip saddr { 10.0.0.0/8 } accept" in told
    assert "ip6 saddr { fd00::/8 } accept" in told
    assert "policy drop;" in told


# A head node with an outer and an inner neighbour; each is a network namespace.
NEIGHBOURS = """
for side in out in; do
    ip netns add $side
    ip link add $side type veth peer name eth0 netns $side
    ip link set $side up
    ip -n $side link set eth0 up
done
ip addr add 192.0.2.1/24 dev out; ip -n out addr add 192.0.2.2/24 dev eth0
ip addr add 10.0.0.1/24 dev in; ip -n in addr add 10.0.0.2/24 dev eth0
for port in 22 80; do
    python3 -m http.server --bind 0.0.0.0 --directory /run $port > /dev/null 2>&1 &
done
reaches() {
    ip netns exec $1 python3 -c "import socket; socket.create_connection(('$2', $3), 1)" 2>&1 |
        grep -q . && echo "$1 no $3" || echo "$1 yes $3"
}
until python3 -c "import socket
for port in (22, 80): socket.create_connection(('127.0.0.1', port), 1)" 2> /dev/null; do
    sleep 0.1
done
"""


@pytest.mark.slow
def test_packets_are_filtered_by_the_rules_of_the_head_node(
    machines: tuple[Machine, Machine],
) -> None:
    head, _ = machines
    head.install("opkg-pfilter-server", "iproute2")
    told = head.check(
        f"""{NEIGHBOURS}
        echo '<opt><public>out</public></opt>' > {HOME}/.configurator.values
        reaches out 192.0.2.1 80
        pfilter start
        {HOME}/api-post-configure
        {HOME}/testing/test_root
        reaches out 192.0.2.1 22
        reaches out 192.0.2.1 80
        reaches in 10.0.0.1 80
        echo '<opt><public>out</public><service>80</service></opt>' > {HOME}/.configurator.values
        {HOME}/api-post-configure
        reaches out 192.0.2.1 22
        reaches out 192.0.2.1 80
        pfilter stop
        reaches out 192.0.2.1 22
        """
    )
    assert told.splitlines() == [
        "out yes 80", "out yes 22", "out no 80", "in yes 80", "out no 22", "out yes 80",
        "out yes 22",
    ]  # fmt: skip


@pytest.mark.slow
def test_rules_that_are_not_sound_change_nothing(machines: tuple[Machine, Machine]) -> None:
    head, image = machines
    image.install("opkg-pfilter-client")
    head.install("opkg-pfilter-server")
    values = f"{HOME}/.configurator.values"
    head.check(
        f"""
        nft add table inet theirs
        {HOME}/api-post-image {IMAGE}
        node pfilter start
        node pfilter show | grep -q 10.0.0.0/8
        node pfilter stop
        pfilter start
        pfilter show > /before; cp /etc/pfilter.nft /rules
        echo '<opt><public>eth0</public><service>nonsense</service></opt>' > {values}
        ! {HOME}/api-post-configure 2> /said
        grep -q 'are not sound' /said
        echo '<opt><network>10.0.0.0/99</network></opt>' > {values}
        ! {HOME}/api-post-image {IMAGE}
        grep -q 10.0.0.0/8 {IMAGE}/etc/pfilter.nft
        [ ! -e {IMAGE}/etc/pfilter.nft.new ]
        pfilter show | cmp - /before
        cmp /etc/pfilter.nft /rules
        pfilter stop
        nft list table inet theirs
        """
    )


def test_a_wrong_call_is_told(stage: Callable[[str], Path]) -> None:
    program = stage("pfilter") / "usr/sbin/pfilter"
    for words in ([], ["nonsense"], ["set"], ["start", "now"]):
        done = ran([program, *words])
        assert done.status == 2
        assert "usage: pfilter start" in done.err
    assert "Filter what reaches this machine" in ran([program, "--help"]).out
