# SPDX-License-Identifier: GPL-2.0-or-later
"""Running programs in a root: bubblewrap around all roots but /, so that a script sees its own
root with /proc, /dev and /sys, starts no service, and leaves nothing running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from opkg.native.system import HOST, within

# Where a root sees the folder that its package manager is to use.
SESSION = Path("/run/oscar")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TEMPORARY = "/tmp"  # noqa: S108 (the guest's own)
_RESOLVER = Path("/etc/resolv.conf")
_ALONE = ("--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-add", "ALL")
# What stands in a root while it is worked on, if nothing else is there, with its mode: Debian's
# way to say that no service may be started (invoke-rc.d(8)), and something to mount over.
_OURS = "# Written by OSCAR while packages are installed in this root.\n"
_STAND_INS = {
    Path("/usr/sbin/policy-rc.d"): (f"#!/bin/sh\n{_OURS}exit 101\n", 0o755),
    _RESOLVER: (_OURS, 0o644),
}


def inside(
    root: Path,
    *argv: str | Path,
    env: Mapping[str, str] | None = None,
    binds: Mapping[Path, Path] | None = None,
) -> list[str]:
    """The command line that runs `argv` in `root`. `binds` are folders of this machine by the
    path at which the root sees them; `env` is all the environment it gets beside PATH and HOME."""
    variables = {"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", **(env or {})}
    words = [str(word) for word in argv]
    if root == HOST:
        return ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), *words]
    line = [
        "bwrap", "--bind", str(root), "/", "--dev", "/dev", "--proc", "/proc",
        "--ro-bind", "/sys", "/sys", "--tmpfs", "/run", "--tmpfs", _TEMPORARY, *_ALONE,
        "--clearenv", *_resolver(root),
    ]  # fmt: skip
    for place, origin in (binds or {}).items():
        line += ["--bind", str(origin), str(place)]
    for name, value in variables.items():
        line += ["--setenv", name, value]
    return [*line, "--chdir", "/", "--", *words]


def _resolver(root: Path) -> list[str]:
    """Let names be looked up in a root as this machine does, where it can be without leaving a
    file behind: over one that is there, or below /run, which is the guest's own."""
    place = within(root, _RESOLVER)
    seen = HOST / place.relative_to(root)
    if _RESOLVER.exists() and (place.is_file() or seen.is_relative_to("/run")):
        return ["--ro-bind", str(_RESOLVER.resolve()), str(seen)]
    return []


def beside(
    root: Path, *argv: str | Path, env: Mapping[str, str], binds: Mapping[Path, Path]
) -> list[str]:
    """The command line that runs a program of this machine on `root`: its children end with it,
    scripts that it runs in the root find /proc and /dev there, and `binds` are as for `inside`."""
    words = ["env", *(f"{name}={value}" for name, value in env.items()), *map(str, argv)]
    if root == HOST:
        return words
    line = [
        "bwrap", "--dev-bind", "/", "/", "--proc", "/proc", *_ALONE, "--dev", f"{root}/dev",
        "--proc", f"{root}/proc", "--tmpfs", f"{root}/run", "--tmpfs", f"{root}{_TEMPORARY}",
    ]  # fmt: skip
    for place, origin in binds.items():
        line += ["--bind", str(origin), f"{root}{place}"]
    return [*line, "--", *words]


def alone(*argv: str | Path) -> list[str]:
    """The command line that runs a program of this machine so that all it starts ends with us."""
    return ["bwrap", "--dev-bind", "/", "/", "--proc", "/proc", *_ALONE, "--", *map(str, argv)]


def looking(root: Path, *argv: str | Path) -> list[str]:
    """The command line that runs a program of this machine that only reads `root`. A database
    may write a file beside it when it is read; in an image that nobody changes it must not."""
    words = [str(word) for word in argv]
    return words if root == HOST else ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", *words]


@contextmanager
def mount_points(root: Path, paths: Iterable[Path]) -> Iterator[None]:
    """Let there be folders at these paths of a root, for `binds`; those that were not there go
    again."""
    places = [within(root, path) for path in paths]
    made = {folder for place in places for folder in (place, *place.parents) if not folder.exists()}
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in sorted(made, reverse=True):  # what is in a folder before the folder
            folder.rmdir()


@contextmanager
def opened(root: Path) -> Iterator[None]:
    """Make a root ready for `inside` and `beside`: no package starts a service in it, and names
    can be looked up. Nothing of that stays, and what an earlier call left that was killed goes
    too. Not on /, where services are to run."""
    with ExitStack() as stack:
        for path, (text, mode) in _STAND_INS.items() if root != HOST else ():
            stack.enter_context(_stand_in(within(root, path), text, mode))
        yield


@contextmanager
def _stand_in(path: Path, text: str, mode: int) -> Iterator[None]:
    ours = path.is_file() and path.read_text(errors="replace") == text
    if not path.parent.is_dir() or (path.exists() and not ours):
        yield
        return
    try:
        path.write_text(text)
        path.chmod(mode)
        yield
    finally:
        path.unlink(missing_ok=True)
