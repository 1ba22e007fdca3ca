# SPDX-License-Identifier: GPL-2.0-or-later
"""The command lines that reach other hosts, each a single command as text for /bin/sh. Nothing
here runs one."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Nobody can answer a question that a hundred hosts ask at once, nor wait for all that are down.
DEFAULT_RSH = "ssh -o BatchMode=yes -o ConnectTimeout=10"

_NOT_GLOB = re.compile(r"[^A-Za-z0-9_./*?\[\]~=:,@%+^!-]")


@dataclass(frozen=True)
class Remote:
    """How other hosts are reached: the remote shell's words, the user there, and the folder of
    C3's commands on the heads of indirect clusters (empty: they are on PATH)."""

    rsh: tuple[str, ...]
    user: str = ""
    path: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Remote:
        """C3_RSH, C3_USER and C3_PATH, or what is used without them."""
        return cls(
            rsh=tuple(shlex.split(environment.get("C3_RSH") or DEFAULT_RSH)),
            user=environment.get("C3_USER", ""),
            path=environment.get("C3_PATH", ""),
        )

    def shell(self, host: str, user: str, command: str) -> str:
        """Run `command`, text for a shell, on a host."""
        login = user or self.user
        words = [*self.rsh, *(["-l", login] if login else []), host]
        return shlex.join([*words, command])

    def rsync(self, options: Sequence[str], source: str, target: str) -> str:
        """Copy with rsync; the one of the two that is away is written with `at`."""
        # -s: file names reach the other side unchanged, white space and all.
        words = ["rsync", "-a", "-s", "-e", shlex.join(self.rsh), *options, "--", source, target]
        return shlex.join(words)

    def at(self, host: str, user: str, path: str) -> str:
        """A path on a host, as rsync writes it."""
        login = user or self.user
        return f"{login}@{host}:{path}" if login else f"{host}:{path}"

    def tool(self, words: Sequence[str]) -> str:
        """A command of C3 as the head of an indirect cluster is to run it."""
        name, *rest = words
        return shlex.join([f"{self.path.rstrip('/')}/{name}" if self.path else name, *rest])

    def with_folder(self, host: str, user: str, folder: str, body: str) -> str:
        """Run `body` here while a new folder, for us alone, is on the host."""
        made = self.shell(host, user, f"mkdir -m 700 {shlex.quote(folder)}")
        removed = self.shell(host, user, f"rm -rf {shlex.quote(folder)}")
        return script(f"{made} || exit 1; {body}; status=$?; {removed}; exit $status")


def script(text: str) -> str:
    """Several commands as a single one."""
    return shlex.join(["sh", "-c", text])


def new_name() -> str:
    """A name that no file has yet, in whatever folder."""
    return f".c3.{secrets.token_hex(8)}"


def quote_glob(word: str) -> str:
    """The word for a remote shell, with its wildcards left to that shell."""
    return _NOT_GLOB.sub(lambda match: "\\" + match[0], word) or "''"
