# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is there and who is online, on a wire and a clock of this process."""

from __future__ import annotations

import errno

import pytest

from tests.kerrighed.plain import (
    ADD,
    CHALLENGE,
    CONFLICT,
    FAIL,
    HEARTBEAT,
    JOIN,
    LEAVE,
    ONLINE,
    ONLINE_FLAG,
    ORDER,
    POSSIBLE,
    POWEROFF,
    PRESENT,
    REBOOT,
    REMOVE,
    TICK,
    TO_ALL,
    Message,
    Node,
    Wire,
)

SETTLED = JOIN + 2 * TICK


def pair(wire: Wire, least: int = 2) -> tuple[Node, Node]:
    nodes = wire.node(1, least=least), wire.node(2, least=least)
    wire.turn(SETTLED)
    return nodes


@pytest.mark.slow
def test_nodes_find_one_another_and_the_cluster_starts(wire: Wire) -> None:
    one, two = pair(wire)
    assert one.sees() == two.sees() == {1: ONLINE, 2: ONLINE}


def test_too_few_nodes_are_no_cluster(wire: Wire) -> None:
    one, two = pair(wire, least=3)
    assert one.sees() == two.sees() == {1: PRESENT, 2: PRESENT}
    wire.node(3, least=3)
    wire.turn(SETTLED)
    assert one.sees() == {1: ONLINE, 2: ONLINE, 3: ONLINE}


def test_a_cluster_without_a_least_number_waits_for_an_order(wire: Wire) -> None:
    one, two = pair(wire, least=0)
    assert one.sees() == {1: PRESENT, 2: PRESENT}
    assert one.order(ADD, 1, 2) == 0
    wire.turn(TICK)
    assert one.sees() == two.sees() == {1: ONLINE, 2: ONLINE}


def test_a_silent_node_is_noticed_within_three_seconds(wire: Wire) -> None:
    one, two = pair(wire)
    two.cut()
    wire.turn(FAIL)
    assert one.state(2) == ONLINE  # a lost message or two are not a lost node
    wire.turn(TICK)
    assert one.sees() == {1: ONLINE, 2: POSSIBLE}
    assert one.events[-1] == ("failed", 2)
    assert FAIL + TICK < 3000


def test_a_node_that_leaves_is_gone_at_once_and_may_come_back(wire: Wire) -> None:
    one, two = pair(wire)
    two.leave()
    assert one.sees() == {1: ONLINE, 2: POSSIBLE}
    assert one.events[-1] == ("left", 2)
    wire.node(2, least=2)
    wire.turn(SETTLED)
    assert one.sees() == {1: ONLINE, 2: ONLINE}


def test_a_node_that_was_not_heard_for_a_while_is_taken_back(wire: Wire) -> None:
    one, two = pair(wire)
    wire.nodes.remove(two)
    wire.turn(FAIL + TICK)
    wire.nodes.append(two)
    wire.turn(2 * TICK)
    assert one.state(2) == ONLINE


def test_a_removed_node_stays_out_until_it_is_added(wire: Wire) -> None:
    one, two = pair(wire)
    assert one.order(REMOVE, 2) == 0
    wire.turn(10 * TICK)
    assert one.sees() == two.sees() == {1: ONLINE, 2: PRESENT}
    assert two.order(ADD, 2) == 0
    wire.turn(TICK)
    assert one.state(2) == ONLINE


def test_an_order_to_a_node_that_is_not_there_is_none(wire: Wire) -> None:
    one, two = pair(wire, least=0)
    assert one.order(ADD, 2, 3) == -errno.ENODEV
    assert one.order(0, 2) == one.order(9, 2) == -errno.EINVAL
    wire.turn(4 * TICK)
    assert two.sees() == {1: PRESENT, 2: PRESENT}


def test_a_lost_order_is_said_again(wire: Wire) -> None:
    one, two = pair(wire, least=0)
    wire.nodes.remove(two)
    one.order(ADD, 2)
    wire.nodes.append(two)
    wire.turn(2 * TICK)
    assert one.state(2) == ONLINE


def test_all_are_told_before_the_first_one_stops(wire: Wire) -> None:
    nodes = [wire.node(number, least=3) for number in (1, 2, 3)]
    wire.turn(SETTLED)
    assert nodes[0].order(POWEROFF, 1, 2, 3) == 0
    wire.turn(3 * TICK)
    assert [node.events[-1] for node in nodes[1:]] == [("poweroff", 2), ("poweroff", 3)]
    assert ("poweroff", 1) in nodes[0].events
    heard = len(wire.heard)
    wire.turn(3 * TICK)
    assert len(wire.heard) == heard  # they say nothing more


def test_one_node_alone_can_start_again(wire: Wire) -> None:
    one, two = pair(wire)
    one.order(REBOOT, 2)
    wire.turn(2 * TICK)
    assert two.events[-1] == ("reboot", 2)
    assert one.sees() == {1: ONLINE, 2: POSSIBLE}


def test_who_comes_second_with_an_id_stands_aside(wire: Wire) -> None:
    one, two = pair(wire)
    intruder = wire.node(2, least=2, incarnation=1)  # would win if both were new
    wire.turn(SETTLED)
    assert intruder.members.state == CONFLICT
    assert intruder.events[-1] == ("stood down", 2)
    assert one.sees() == two.sees() == {1: ONLINE, 2: ONLINE}
    assert ("conflict", 2) in two.events
    assert one.events.count(("double", 2)) == 1
    assert intruder.order(ADD, 1) == -errno.ENOTUNIQ


def test_of_two_that_start_at_once_with_an_id_just_one_stays(wire: Wire) -> None:
    both = [wire.node(7), wire.node(7)]
    wire.turn(SETTLED)
    assert sorted(node.members.state == CONFLICT for node in both) == [False, True]


def test_what_was_said_before_is_not_believed_again(wire: Wire) -> None:
    one, two = pair(wire)
    order = one.order(REMOVE, 2)
    wire.turn(TICK)
    two.order(ADD, 2)
    wire.turn(TICK)
    for message in list(wire.heard):
        two.hear(message)
    wire.deliver()
    assert order == 0
    assert two.sees() == {1: ONLINE, 2: ONLINE}
    assert two.members.old > 0


def test_a_kept_recording_brings_no_node_back(wire: Wire) -> None:
    one, two = pair(wire)
    recorded = [message for message in wire.heard if message.sender == 2]
    two.cut()
    wire.turn(FAIL + TICK)
    for message in recorded:
        one.hear(message)
        wire.turn(TICK)
    assert one.state(2) == POSSIBLE
    assert one.state(1) == ONLINE


def test_a_recording_of_ones_own_id_moves_nobody_aside(wire: Wire) -> None:
    one, _ = pair(wire)
    old = Message(
        type=HEARTBEAT, flags=ONLINE_FLAG, session=1, sender=1, to=TO_ALL, incarnation=5, sequence=9
    )
    one.hear(old)
    wire.turn(TICK)
    assert one.state(1) == ONLINE
    assert not [event for event in one.events if event[0] in ("conflict", "stood down")]


def test_strangers_are_asked_once_a_beat_however_much_they_say(wire: Wire) -> None:
    one = wire.node(1)
    wire.heard.clear()
    for sequence in range(1000):
        stranger = Message(
            type=LEAVE, session=1, sender=9, to=TO_ALL, incarnation=77, sequence=sequence
        )
        one.hear(stranger)
    wire.deliver()
    assert [message.type for message in wire.heard] == [CHALLENGE]


def test_an_order_of_somebody_unknown_is_not_obeyed(wire: Wire) -> None:
    _, two = pair(wire)
    two.hear(
        Message(type=ORDER, command=POWEROFF, session=1, sender=3, to=2, incarnation=1, sequence=1)
    )
    wire.turn(2 * TICK)
    assert ("poweroff", 2) not in two.events


def test_a_full_session_settles(wire: Wire) -> None:
    nodes = [wire.node(number, least=24) for number in range(0, 256, 11)]
    wire.turn(SETTLED)
    assert all(set(node.sees().values()) == {ONLINE} for node in nodes)
    wire.heard.clear()
    wire.turn(TICK)
    assert len(wire.heard) == len(nodes)  # one message each, and nothing else
