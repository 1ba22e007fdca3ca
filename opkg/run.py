# SPDX-License-Identifier: GPL-2.0-or-later
"""The only place that starts a process."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from opkg.errors import CommandError, OpkgError

# Lines of a failed command's output that its error carries.
TAIL = 20


@dataclass(frozen=True, kw_only=True)
class Completed:
    """What a process did: its exit status and its output (stdout; stderr too where merged)."""

    status: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    check: bool = True,
    on_line: Callable[[str], None] | None = None,
    hint: str = "",
    timeout: float | None = None,
) -> Completed:
    """Run a program to its end and return what it said.

    `env` is added to ours, with LC_ALL=C.UTF-8 unless it says otherwise. With `on_line`, stdout
    and stderr come merged, and each line is handed over as it is printed. The program and all its
    children form a process group of their own that is killed if we are interrupted, and when it
    has run for `timeout` seconds.

    Raises CommandError when the exit status is not 0 (unless `check` is false), or when the time
    is up, and OpkgError when the program is not there.
    """
    words = [str(word) for word in argv]
    merged = on_line is not None
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise OpkgError(
            f"the program {words[0]} is not installed", hint=hint or f"install {words[0]}"
        ) from error
    late = threading.Event()
    try:
        with _registered(process), _alarm(process, timeout, late):
            if on_line is None:
                stdout, stderr = process.communicate(stdin or None)
            else:
                stdout, stderr = _follow(process, stdin, on_line), ""
    except BaseException:
        _kill(process)
        process.wait()
        raise
    if late.is_set() or (check and process.returncode != 0):
        tail = (stdout + stderr).strip().splitlines()[-TAIL:]
        ending = f"took longer than {timeout:.0f} s" if late.is_set() else _ending(process)
        raise CommandError(
            f"{words[0]} {ending}",
            argv=words,
            output="\n".join(tail),
            hint=hint or f"the command was: {shlex.join(words)}",
        )
    return Completed(status=process.returncode, stdout=stdout, stderr=stderr)


def attach(argv: Sequence[str | Path]) -> int:
    """Run a program that a person talks to, on our own terminal; its exit status. Ctrl-C is for
    that program, not for us: it ends, or not, in its own way. To be called in the main thread."""
    # Not SIG_IGN, which the program would inherit.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        return subprocess.run([str(word) for word in argv], check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(process: subprocess.Popen[str], stdin: str, on_line: Callable[[str], None]) -> str:
    """Feed and read a process line by line until it ends."""
    if process.stdin:
        process.stdin.write(stdin)
        process.stdin.close()
    lines = []
    assert process.stdout is not None  # noqa: S101 (asked for above; tells the type checker)
    for line in process.stdout:
        lines.append(line)
        on_line(line.rstrip("\n"))
    process.wait()
    return "".join(lines)


def _ending(process: subprocess.Popen[str]) -> str:
    status = process.returncode
    if status >= 0:
        return f"failed with exit status {status}"
    return f"was ended by signal {-status}"


# What runs in other threads, and in which, for the one that is interrupted.
_running: dict[subprocess.Popen[str], threading.Thread] = {}


def end_all(thread: threading.Thread | None = None) -> None:
    """Kill all that other threads are running, or one of them; their `run` raises CommandError."""
    for process, its in list(_running.items()):
        if thread in (None, its):
            _kill(process)


@contextlib.contextmanager
def _registered(process: subprocess.Popen[str]) -> Iterator[None]:
    _running[process] = threading.current_thread()
    try:
        yield
    finally:
        del _running[process]


@contextlib.contextmanager
def _alarm(
    process: subprocess.Popen[str], timeout: float | None, late: threading.Event
) -> Iterator[None]:
    """Kill the process, and set `late`, when the time is up."""
    if timeout is None:
        yield
        return

    def ring() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(timeout, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
