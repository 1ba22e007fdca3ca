# SPDX-License-Identifier: GPL-2.0-or-later
"""/etc/kerrighed_nodes and the nodes' messages, as the module reads them."""

from __future__ import annotations

import ctypes
import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kerrighed.plain import HEARTBEAT, TO_ALL, Fault, Message, NodesFile, message_bytes

GOOD, MALFORMED, FOREIGN = range(3)
KEY = b"k" * 32


def read(plain: ctypes.CDLL, text: bytes, host: bytes = b"node2") -> tuple[int, NodesFile, Fault]:
    found, fault = NodesFile(), Fault()
    status = plain.krg_read_nodes(text, len(text), host, found, fault)
    return status, found, fault


def test_a_host_finds_itself_in_the_list_of_nodes(plain: ctypes.CDLL) -> None:
    text = b"# ours\nsession=12\nnbmin=2\n\nnode1:0\nnode2:255:eth1\nnode3:7"
    status, found, _ = read(plain, text)
    assert status == 0
    assert (found.session, found.nbmin, found.node, found.device) == (12, 2, 255, b"eth1")
    assert [i for i in range(256) if found.listed[i // 8] >> i % 8 & 1] == [0, 7, 255]


@pytest.mark.parametrize("host", [b"node2", b"node2.cluster.example"])
@pytest.mark.parametrize("line", [b"node2:3", b"node2:3:eth0"])
def test_a_host_is_found_without_its_domain(plain: ctypes.CDLL, host: bytes, line: bytes) -> None:
    assert read(plain, line, host)[1].node == 3


def test_what_is_not_said_is_known_as_not_said(plain: ctypes.CDLL) -> None:
    status, found, _ = read(plain, b"")
    assert (status, found.session, found.nbmin, found.node) == (0, -1, -1, -1)


FAULTS = {
    b"session=0": "a session is a number",
    b"session=10000": "a session is a number",
    b"session= 1": "a session is a number",
    b"session=": "a session is a number",
    b"nbmin=0": "nbmin is a number",
    b"nbmin=257": "nbmin is a number",
    b"node1:256": "a node's id",
    b"node1:-1": "a node's id",
    b"node1:1x": "a node's id",
    b"node1:": "not a line of",
    b"node1": "not a line of",
    b"node1 :1": "not a line of",
    b":1": "not a line of",
    b"\xff\xfe:1": "not a line of",
    b"node1:1:": "not the name of a network device",
    b"node1:1:a/b": "not the name of a network device",
    b"node1:1:" + b"e" * 16: "not the name of a network device",
    b"node9:0": "a second host with this id",
    b"node2:5": "a second line for this host",
    b"session=2": "said twice",
}


@pytest.mark.parametrize("line", FAULTS)
def test_a_faulty_line_is_refused_with_its_number(plain: ctypes.CDLL, line: bytes) -> None:
    before = (
        b"session=1\nnode0:0\nnode2:2\n" if line.startswith((b"n", b"session=2")) else b"\n\n\n"
    )
    status, _, fault = read(plain, before + line + b"\n")
    assert status == -errno.EINVAL
    assert fault.line == 4
    assert fault.reason.decode().startswith(FAULTS[line])


def test_a_file_that_is_too_long_is_refused(plain: ctypes.CDLL) -> None:
    assert read(plain, b"#" * 4096)[0] == 0
    assert read(plain, b"#" * 4097)[0] == -errno.EINVAL


@given(text=st.binary(max_size=300), host=st.binary(max_size=20))
def test_no_bytes_are_misread(plain: ctypes.CDLL, text: bytes, host: bytes) -> None:
    status, found, fault = read(plain, text, host.replace(b"\0", b""))
    assert status in (0, -errno.EINVAL)
    assert -1 <= found.node <= 255
    assert -1 <= found.session <= 9999
    assert (status == 0) == (fault.reason is None or not text)


MESSAGES = st.builds(
    Message,
    type=st.integers(1, 5),
    flags=st.integers(0, 3),
    command=st.integers(0, 4),
    session=st.integers(1, 9999),
    sender=st.integers(0, 255),
    to=st.integers(0, 255) | st.just(TO_ALL),
    incarnation=st.integers(0, 2**64 - 1),
    sequence=st.integers(0, 2**64 - 1),
    token=st.integers(0, 2**64 - 1),
)


def values(message: Message) -> list[int]:
    return [getattr(message, name) for name, _ in Message._fields_]


@given(message=MESSAGES)
def test_a_message_comes_out_as_it_went_in(plain: ctypes.CDLL, message: Message) -> None:
    found = Message()
    packed = ctypes.create_string_buffer(40)
    plain.krg_pack(message, packed)
    data = message_bytes(message, KEY)
    assert packed.raw == data[:40]
    assert plain.krg_unpack(data, len(data), message.session, found) == GOOD
    assert values(found) == values(message)
    assert plain.krg_unpack(data, len(data), message.session % 9999 + 1, found) == FOREIGN


@given(message=MESSAGES, data=st.data())
def test_a_message_of_another_length_is_malformed(
    plain: ctypes.CDLL, message: Message, data: st.DataObject
) -> None:
    whole = message_bytes(message, KEY)
    size = data.draw(st.integers(0, 200).filter(lambda size: size != len(whole)))
    cut = (whole + bytes(200))[:size]
    assert plain.krg_unpack(cut, size, message.session, Message()) == MALFORMED


OFFSETS = {"magic": 0, "version": 4, "type": 5, "flags": 6, "command": 7, "zero": 14}


@pytest.mark.parametrize("name", OFFSETS)
def test_a_message_with_an_unknown_value_is_malformed(plain: ctypes.CDLL, name: str) -> None:
    message = Message(type=HEARTBEAT, session=1, to=TO_ALL)
    data = bytearray(message_bytes(message, KEY))
    data[OFFSETS[name]] = 99
    assert plain.krg_unpack(bytes(data), len(data), 1, Message()) == MALFORMED


@given(data=st.binary(min_size=72, max_size=72))
def test_no_message_is_misread(plain: ctypes.CDLL, data: bytes) -> None:
    plain.krg_unpack(b"KRGH\1" + data[5:], 72, 1, Message())
