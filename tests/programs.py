# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's programs, run as processes of their own, but without waiting for Python to start
and to import them each time: that takes longer than most of what tests ask of them."""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO, NoReturn

import pexpect

from opkg.native.mounts import enter_private_namespace
from opkg.target import known_targets


def running(mark: str) -> bool:
    """Whether a process has just this command line."""
    wanted = mark.replace(" ", "\0").encode() + b"\0"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == wanted:
                return True
        except OSError:
            continue  # it has ended meanwhile
    return False


def on_terminal(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] = os.environ,
    first: Callable[[], None] | None = None,
) -> pexpect.spawn[str]:
    """A program on a terminal of its own, with 80 columns. `first` is called in its process."""
    program, *words = map(str, argv)
    return pexpect.spawn(
        program,
        words,
        env={**env, "TERM": "xterm-256color"},
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=120,
        preexec_fn=first,
    )


def seen(child: pexpect.spawn[str]) -> str:
    """All that a program on a terminal showed until it ended, without where and in which colour;
    its exit status is in `child.exitstatus`."""
    child.expect(pexpect.EOF)
    child.close()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", child.before or "").replace("\r", "\n")


def forked(
    name: str,
    *words: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    first: Callable[[], None] = lambda: None,
) -> CompletedProcess[str]:
    """Do as `python -m NAME WORDS…`, in a fork of this process and, where it is given, in another
    environment; what was printed, and the exit status. `first` is called in the fork."""
    main = importlib.import_module(f"{name}.cli").main
    argv = [name, *map(str, words)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            _run(main, argv, {**os.environ} if env is None else env, out, err, first)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return CompletedProcess(argv, status, _text(out), _text(err))


def _text(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()


def _run(
    main: Callable[[], None],
    argv: list[str],
    env: Mapping[str, str],
    out: IO[str],
    err: IO[str],
    first: Callable[[], None],
) -> NoReturn:
    status = 1
    try:
        for number, end in enumerate(
            (os.open(os.devnull, os.O_RDONLY), out.fileno(), err.fileno())
        ):
            os.dup2(end, number)
        # pytest has its own in their places.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        os.environ.clear()
        os.environ.update(env)
        # What only holds for the process that this one came from.
        known_targets.cache_clear()
        enter_private_namespace.cache_clear()
        sys.argv = argv
        first()
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Neither the tests' own clean-up nor their results are this process's business.
        os._exit(status)
