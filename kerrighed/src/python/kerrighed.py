# SPDX-License-Identifier: GPL-2.0-only
"""The nodes of a Kerrighed cluster, and the capabilities of processes: libkerrighed for Python.

    >>> import kerrighed
    >>> kerrighed.nodes()
    {1: 'online', 2: 'online'}

What fails raises OSError, with libkerrighed's sentence about it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass

CAPABILITIES = (
    "CHANGE_KERRIGHED_CAP",
    "CAN_MIGRATE",
    "DISTANT_FORK",
    "FORK_DELAY",
    "CHECKPOINTABLE",
    "USE_REMOTE_MEMORY",
    "USE_INTRA_CLUSTER_KERSTREAMS",
    "USE_INTER_CLUSTER_KERSTREAMS",
    "USE_WORLD_VISIBLE_KERSTREAMS",
    "SEE_LOCAL_PROC_STAT",
    "DEBUG",
    "SYSCALL_EXIT_HOOK",
)


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_int),
        ("permitted", ctypes.c_int),
        ("inheritable_permitted", ctypes.c_int),
        ("inheritable_effective", ctypes.c_int),
    )


@dataclass(frozen=True)
class Capabilities:
    """The sets of a process, as names."""

    effective: frozenset[str]
    permitted: frozenset[str]
    inheritable_permitted: frozenset[str]
    inheritable_effective: frozenset[str]


_library = ctypes.CDLL("libkerrighed.so.2", use_errno=True)
_library.krg_last_error.restype = ctypes.c_char_p
for _name in ("krg_nodes_status", "krg_node_set_create"):
    getattr(_library, _name).restype = ctypes.c_void_p
for _name in ("krg_nodes_destroy", "krg_node_set_destroy"):
    getattr(_library, _name).argtypes = [ctypes.c_void_p]
for _name in ("next", "ispossible", "ispresent", "isonline"):
    getattr(_library, f"krg_nodes_{_name}").argtypes = [ctypes.c_void_p, ctypes.c_int]
for _name in ("add", "remove", "poweroff", "reboot"):
    getattr(_library, f"krg_nodes_{_name}").argtypes = [ctypes.c_void_p]
_library.krg_node_set_add.argtypes = [ctypes.c_void_p, ctypes.c_int]
for _name in ("krg_pid_capget", "krg_pid_capset"):
    getattr(_library, _name).argtypes = [ctypes.c_int, ctypes.POINTER(_Sets)]


def _failed() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, _library.krg_last_error().decode() or os.strerror(number))


def _done(status: int) -> int:
    if status < 0:
        raise _failed()
    return status


def node_id() -> int:
    """The id of this node."""
    return _done(_library.get_node_id())


def nodes() -> dict[int, str]:
    """All nodes, by their ids: “possible”, “present” or “online”."""
    status = _library.krg_nodes_status()
    if not status:
        raise _failed()
    try:
        found: dict[int, str] = {}
        node = _library.krg_nodes_next(status, -1)
        while node >= 0:
            states = ("online", "present", "possible")
            found[node] = next(
                state for state in states if getattr(_library, f"krg_nodes_is{state}")(status, node)
            )
            node = _library.krg_nodes_next(status, node)
        return found
    finally:
        _library.krg_nodes_destroy(status)


def _tell(what: str, ids: Iterable[int]) -> None:
    chosen = _library.krg_node_set_create()
    if not chosen:
        raise MemoryError
    try:
        for node in ids:
            _done(_library.krg_node_set_add(chosen, node))
        _done(getattr(_library, f"krg_nodes_{what}")(chosen))
    finally:
        _library.krg_node_set_destroy(chosen)


def add(ids: Iterable[int]) -> None:
    """Tell present nodes to become online; they have done it a moment later."""
    _tell("add", ids)


def remove(ids: Iterable[int]) -> None:
    """Tell online nodes to leave the cluster."""
    _tell("remove", ids)


def poweroff(ids: Iterable[int]) -> None:
    """Tell present nodes to switch themselves off."""
    _tell("poweroff", ids)


def reboot(ids: Iterable[int]) -> None:
    """Tell present nodes to start again."""
    _tell("reboot", ids)


def _named(bits: int) -> frozenset[str]:
    return frozenset(name for bit, name in enumerate(CAPABILITIES) if bits >> bit & 1)


def _bits(names: Iterable[str]) -> int:
    return sum(1 << CAPABILITIES.index(name) for name in set(names))


def capabilities(pid: int = 0) -> Capabilities:
    """The capabilities of a process; 0 is this one."""
    sets = _Sets()
    _done(_library.krg_pid_capget(pid, sets))
    return Capabilities(**{name: _named(getattr(sets, name)) for name, _ in _Sets._fields_})


def set_capabilities(wanted: Capabilities, pid: int = 0) -> None:
    """Set the capabilities of a process; 0 is this one."""
    sets = _Sets(**{name: _bits(getattr(wanted, name)) for name, _ in _Sets._fields_})
    _done(_library.krg_pid_capset(pid, sets))


def migrate(pid: int, node: int) -> None:
    """Move a process to another node. OSError with ENOSYS: this version has it not."""
    _done(_library.migrate(pid, node))
