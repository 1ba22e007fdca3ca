# SPDX-License-Identifier: GPL-2.0-or-later
"""The only place that starts a process."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
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
) -> Completed:
    """Run a program to its end and return what it said.

    `env` is added to ours, with LC_ALL=C.UTF-8 unless it says otherwise. With `on_line`, stdout
    and stderr come merged, and each line is handed over as it is printed. The program and all its
    children form a process group of their own that is killed if we are interrupted.

    Raises CommandError when the exit status is not 0 (unless `check` is false) and OpkgError when
    the program is not there.
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
    try:
        if on_line is None:
            stdout, stderr = process.communicate(stdin or None)
        else:
            stdout, stderr = _follow(process, stdin, on_line), ""
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if check and process.returncode != 0:
        tail = (stdout + stderr).strip().splitlines()[-TAIL:]
        raise CommandError(
            f"{words[0]} {_ending(process.returncode)}",
            argv=words,
            output="\n".join(tail),
            hint=hint or f"the command was: {shlex.join(words)}",
        )
    return Completed(status=process.returncode, stdout=stdout, stderr=stderr)


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


def _ending(status: int) -> str:
    if status >= 0:
        return f"failed with exit status {status}"
    return f"was ended by signal {-status}"
