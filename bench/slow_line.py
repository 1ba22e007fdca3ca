# SPDX-License-Identifier: GPL-2.0-or-later
"""A line that delays every packet, between two network namespaces: this process's own and that of
a server. Where the kernel has netem this is one command of tc; not every kernel has it, so the
packets pass through this program, by a tun device at each end."""

from __future__ import annotations

import fcntl
import os
import queue
import struct
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

SERVER, CLIENT = "10.9.0.1", "10.9.0.2"

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 1, 0x1000
_MTU = 65000


def open_line(server: int, seconds: float) -> None:
    """Give the process's namespace the address CLIENT and the one of the process `server` the
    address SERVER; a packet takes `seconds` each way."""
    theirs, ours = Path(f"/proc/{server}/ns/net"), Path("/proc/self/ns/net")
    while theirs.readlink() == ours.readlink():
        time.sleep(0.01)  # it has not gone into its namespace yet
    here, there = _device("line0"), _device("line1")
    _run(["ip", "link", "set", "line1", "netns", str(server)])
    _up("line0", CLIENT, [])
    _up("line1", SERVER, ["nsenter", f"--net=/proc/{server}/ns/net"])
    for source, target in ((here, there), (there, here)):
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        threading.Thread(target=_take, args=(source, waiting, seconds), daemon=True).start()
        threading.Thread(target=_give, args=(target, waiting), daemon=True).start()


def _device(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def _up(name: str, address: str, inside: list[str]) -> None:
    _run([*inside, "ip", "link", "set", "lo", "up"])
    _run([*inside, "ip", "address", "add", f"{address}/24", "dev", name])
    _run([*inside, "ip", "link", "set", name, "mtu", str(_MTU), "txqueuelen", "10000", "up"])


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True)


def _take(source: int, waiting: queue.SimpleQueue[tuple[float, bytes]], seconds: float) -> None:
    with suppress(OSError):  # the other end is gone
        while True:
            packet = os.read(source, _MTU)
            waiting.put((time.monotonic() + seconds, packet))


def _give(target: int, waiting: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    with suppress(OSError):
        while True:
            due, packet = waiting.get()
            time.sleep(max(0, due - time.monotonic()))
            os.write(target, packet)
