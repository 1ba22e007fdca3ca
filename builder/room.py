# SPDX-License-Identifier: GPL-2.0-or-later
"""The room that a recipe is built in: a file system that can only be read, one folder that can be
written to, no network, a user without rights, bounds on time and memory."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from opkg.errors import CommandError
from opkg.run import Completed, run

# The folder of a build has the same path in every room, so that no package tells where it was.
_TEMPORARY = "/tmp"  # noqa: S108 (the room's own)
HOME = PurePosixPath(_TEMPORARY, "build")
# Where programs see the one other thing that they are shown.
SHOWN = f"{_TEMPORARY}/shown"
# Nobody's number on any system: below the range that systemd hands out, above that of people.
_USER = 61000
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Room:
    """Runs programs in `root`. `work` is the one folder that they can write to; they see it as
    HOME. `tree` is the name of the folder that has the sources, in its folder BUILD."""

    work: Path
    tree: str
    root: Path = Path("/")
    memory_mb: int = 0
    minutes: int = 0

    @property
    def sources(self) -> Path:
        return self.work / "BUILD" / self.tree

    def inside(self, path: Path) -> str:
        """A path below `work`, as programs in the room see it."""
        return str(HOME / path.relative_to(self.work))

    def own(self, path: Path) -> None:
        """Give a folder, with all that is in it, to the room's user."""
        if os.geteuid() == 0:
            run(["chown", "--recursive", "--no-dereference", f"{_USER}:{_USER}", path])

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = str(HOME),
        env: Mapping[str, str] | None = None,
        shown: Path | None = None,
        log: Path | None = None,
        hint: str = "",
    ) -> Completed:
        """Run a program to its end, with its output in `log`; it sees the file or folder `shown`
        as SHOWN. Raises CommandError."""
        line = self.command(argv, cwd=cwd, env=env or {}, shown=shown)
        timeout = self.minutes * 60 or None
        try:
            if log is None:
                return run(line, hint=hint, timeout=timeout)
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w") as stream:
                stream.write(f"$ {shlex.join(argv)}\n")

                def note(text: str) -> None:
                    stream.write(f"{text}\n")
                    stream.flush()

                return run(line, on_line=note, hint=hint, timeout=timeout)
        except CommandError as error:
            # What runs in the room failed, not what made the room.
            error.message = error.message.replace(line[0], argv[0], 1)
            error.hint += f"; its log: {log}" if log else ""
            raise

    def command(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        shown: Path | None,
    ) -> list[str]:
        """The command line that runs a program in the room."""
        settings = {"PATH": _PATH, "HOME": str(HOME), "LC_ALL": "C.UTF-8", "TZ": "UTC", **env}
        variables = [w for name, value in settings.items() for w in ("--setenv", name, value)]
        line = [
            "bwrap", "--ro-bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc",
            # Else it is root's alone, and no step can make a semaphore.
            "--perms", "1777", "--tmpfs", "/dev/shm",  # noqa: S108 (the room's own)
            "--perms", "1777", "--tmpfs", _TEMPORARY, "--perms", "1777", "--tmpfs", "/var/tmp",  # noqa: S108 (as above)
            "--bind", str(self.work), str(HOME), "--chdir", cwd,
            # Each by name: “all” means a user namespace too, which root cannot have in a chroot.
            "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
            # No session of its own: `run` has made one, and its end is to reach all in the room,
            # also what bubblewrap is just about to start.
            "--hostname", "build", "--die-with-parent", "--clearenv", *variables,
        ]  # fmt: skip
        if shown:
            line += ["--ro-bind", str(shown), SHOWN]
        if os.geteuid() == 0:
            line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
            line += ["--cap-add", "CAP_SETPCAP", "setpriv", f"--reuid={_USER}", f"--regid={_USER}"]
            line += ["--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
        if self.memory_mb:
            line += ["prlimit", f"--data={self.memory_mb << 20}"]
        return [*line, *argv]
