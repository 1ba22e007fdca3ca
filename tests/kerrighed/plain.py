# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of the module that need no kernel, as a library of this process."""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import struct
import subprocess
from ctypes import (
    c_bool,
    c_char,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_uint8,
    c_uint16,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass, field
from pathlib import Path

from tests.kerrighed.building import SOURCE

PARTS = ("nodes_file", "message", "members")
NODES = 256
ETHERTYPE = 0x88B5
HEARTBEAT, CHALLENGE, ANSWER, ORDER, LEAVE = range(1, 6)
ONLINE_FLAG, JOINING_FLAG = 1, 2
TO_ALL = 0xFFFF
NONE, POSSIBLE, PRESENT, ONLINE = range(4)
JOINING, _, _, CONFLICT = range(4)
ADD, REMOVE, POWEROFF, REBOOT = range(1, 5)
EVENTS = (
    "present", "left", "failed", "online", "offline", "conflict", "stood down", "double",
    "poweroff", "reboot",
)  # fmt: skip
TICK, FAIL, JOIN = 500, 2000, 2000


class NodesFile(ctypes.Structure):
    _fields_ = (
        ("session", c_int), ("nbmin", c_int), ("node", c_int), ("device", c_char * 16),
        ("listed", c_uint8 * 32),
    )  # fmt: skip


class Fault(ctypes.Structure):
    _fields_ = (("line", c_uint), ("reason", c_char_p))


class Message(ctypes.Structure):
    _fields_ = (
        ("type", c_uint8), ("flags", c_uint8), ("command", c_uint8), ("session", c_uint16),
        ("sender", c_uint16), ("to", c_uint16), ("incarnation", c_uint64),
        ("sequence", c_uint64), ("token", c_uint64),
    )  # fmt: skip


SEND = ctypes.CFUNCTYPE(None, c_void_p, ctypes.POINTER(Message), ctypes.POINTER(c_uint8 * 6))
RANDOM = ctypes.CFUNCTYPE(c_uint64, c_void_p)
EVENT = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_uint16)


class Outside(ctypes.Structure):
    _fields_ = (("send", SEND), ("random", RANDOM), ("event", EVENT))


class Peer(ctypes.Structure):
    _fields_ = (
        ("possible", c_bool), ("known", c_bool), ("present", c_bool), ("online", c_bool),
        ("warned", c_bool), ("command", c_uint8), ("address", c_uint8 * 6),
        ("incarnation", c_uint64), ("sequence", c_uint64), ("heard", c_uint64),
        ("token", c_uint64), ("asked", c_uint64), ("ordered", c_uint64),
    )  # fmt: skip


class Members(ctypes.Structure):
    _fields_ = (
        ("self", c_uint16), ("session", c_uint16), ("nb_nodes_min", c_uint16),
        ("state", c_uint8), ("held", c_bool), ("stopped", c_bool), ("stop", c_uint8),
        ("stop_asked", c_uint64), ("born", c_uint64), ("incarnation", c_uint64),
        ("sequence", c_uint64), ("old", c_uint64), ("outside", ctypes.POINTER(Outside)),
        ("context", c_void_p), ("peers", Peer * NODES),
    )  # fmt: skip


class Order(ctypes.Structure):
    _fields_ = (("command", ctypes.c_uint32), ("nodes", c_uint8 * 32))


def compiled(folder: Path) -> ctypes.CDLL:
    """Compile the parts with all that finds faults in C, and load them."""
    library = folder / "plain.so"
    files = [SOURCE / "module" / f"{part}.c" for part in PARTS]
    subprocess.run(
        ["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
         "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-o", library, *files],
        check=True,
    )  # fmt: skip
    plain = ctypes.CDLL(str(library))
    plain.krg_read_nodes.argtypes = [
        c_char_p, c_size_t, c_char_p, ctypes.POINTER(NodesFile), ctypes.POINTER(Fault),
    ]  # fmt: skip
    plain.krg_pack.argtypes = [ctypes.POINTER(Message), c_char_p]
    plain.krg_unpack.argtypes = [c_char_p, c_size_t, c_uint16, ctypes.POINTER(Message)]
    members = ctypes.POINTER(Members)
    plain.krg_members_start.argtypes = [members, c_uint64]
    plain.krg_members_tick.argtypes = [members, c_uint64]
    plain.krg_members_leave.argtypes = [members]
    plain.krg_members_heard.argtypes = [members, ctypes.POINTER(Message), c_char_p, c_uint64]
    plain.krg_members_order.argtypes = [members, ctypes.POINTER(Order), c_uint64]
    plain.krg_members_state.argtypes = [members, c_uint16]
    return plain


def message_bytes(message: Message, key: bytes) -> bytes:
    """A message as it goes over the wire, signed. The layout is stated here a second time."""
    m = message
    head = struct.pack(
        "!4sBBBBHHHHQQQ", b"KRGH", 1, m.type, m.flags, m.command, m.session, m.sender, m.to, 0,
        m.incarnation, m.sequence, m.token,
    )  # fmt: skip
    return head + hmac.new(key, head, hashlib.sha256).digest()


@dataclass(kw_only=True)
class Wire:
    """A cable with nodes, and a clock that is turned by hand. Messages arrive at once, in order."""

    plain: ctypes.CDLL
    now: int = 1000
    nodes: list[Node] = field(default_factory=list)
    waiting: list[tuple[Node, Message]] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)

    def node(self, number: int, *, least: int = 0, incarnation: int | None = None) -> Node:
        made = Node(wire=self, number=number, least=least, incarnation=incarnation)
        self.nodes.append(made)
        made.start()
        self.deliver()
        return made

    def deliver(self) -> None:
        for _ in range(10_000):
            if not self.waiting:
                return
            sender, message = self.waiting.pop(0)
            self.heard.append(message)
            for node in self.nodes:
                if node is not sender:
                    node.hear(message, sender.address)
        raise AssertionError("the nodes never stop talking")

    def turn(self, milliseconds: int) -> None:
        for _ in range(milliseconds // TICK):
            self.now += TICK
            for node in list(self.nodes):
                self.plain.krg_members_tick(node.members, self.now)
                self.deliver()


class Node:
    """One end of the cable."""

    def __init__(self, *, wire: Wire, number: int, least: int, incarnation: int | None) -> None:
        self.wire = wire
        self.events: list[tuple[str, int]] = []
        self.randoms = iter(range(incarnation or 100 + number + 1000 * len(wire.nodes), 1 << 62))
        self.address = bytes([2, 0, 0, 0, len(wire.nodes), number])
        self.outside = Outside(SEND(self._send), RANDOM(self._random), EVENT(self._event))
        self.members = Members(self=number, session=1, nb_nodes_min=least)
        self.members.outside = ctypes.pointer(self.outside)

    def _send(self, _: object, message: ctypes._Pointer[Message], __: object) -> None:
        copy = Message()
        ctypes.pointer(copy)[0] = message[0]
        self.wire.waiting.append((self, copy))

    def _random(self, _: object) -> int:
        return next(self.randoms)

    def _event(self, _: object, event: int, node: int) -> None:
        self.events.append((EVENTS[event], node))

    def start(self) -> None:
        self.wire.plain.krg_members_start(self.members, self.wire.now)

    def hear(self, message: Message, address: bytes = b"\2\0\0\0\0\xff") -> None:
        self.wire.plain.krg_members_heard(self.members, message, address, self.wire.now)

    def order(self, command: int, *numbers: int) -> int:
        order = Order(command=command)
        for number in numbers:
            order.nodes[number // 8] |= 1 << (number % 8)
        done: int = self.wire.plain.krg_members_order(self.members, order, self.wire.now)
        self.wire.deliver()
        return done

    def state(self, number: int) -> int:
        found: int = self.wire.plain.krg_members_state(self.members, number)
        return found

    def sees(self) -> dict[int, int]:
        return {number: self.state(number) for number in range(NODES) if self.state(number)}

    def cut(self) -> None:
        self.wire.nodes.remove(self)

    def leave(self) -> None:
        self.wire.plain.krg_members_leave(self.members)
        self.cut()
        self.wire.deliver()
