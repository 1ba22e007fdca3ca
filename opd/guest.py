# SPDX-License-Identifier: GPL-2.0-or-later
"""Running programs in a root: bubblewrap around all roots but /, so that a script sees its own
root with /proc, /dev and /sys, starts no service, and leaves nothing running."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HOST = Path("/")
SESSION = Path("/run/opd")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TEMPORARY = "/tmp"  # noqa: S108 (the guest's own)
# Debian's way to say that no service may be started (invoke-rc.d(8)).
_POLICY = "#!/bin/sh\n# Written by opd while packages are installed in this root.\nexit 101\n"


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
        "--ro-bind", "/sys", "/sys", "--tmpfs", "/run", "--tmpfs", _TEMPORARY,
        "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-add", "ALL", "--clearenv",
    ]  # fmt: skip
    if (root / "etc/resolv.conf").is_file():
        # Names are looked up as this machine does; only over a file that is there, since
        # bubblewrap would leave an empty one behind.
        line += ["--ro-bind", os.path.realpath("/etc/resolv.conf"), "/etc/resolv.conf"]
    for place, origin in (binds or {}).items():
        line += ["--bind", str(origin), str(place)]
    for name, value in variables.items():
        line += ["--setenv", name, value]
    return [*line, "--chdir", "/", *words]


def beside(
    root: Path, *argv: str | Path, env: Mapping[str, str], binds: Mapping[Path, Path]
) -> list[str]:
    """The command line that runs a program of this machine on `root`: its children end with it,
    scripts that it runs in the root find /proc and /dev there, and `binds` are as for `inside`."""
    words = ["env", *(f"{name}={value}" for name, value in env.items()), *map(str, argv)]
    if root == HOST:
        return words
    line = [
        "bwrap", "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid", "--unshare-ipc",
        "--die-with-parent", "--cap-add", "ALL", "--dev", f"{root}/dev", "--proc",
        f"{root}/proc", "--tmpfs", f"{root}/run", "--tmpfs", f"{root}{_TEMPORARY}",
    ]  # fmt: skip
    for place, origin in binds.items():
        line += ["--bind", str(origin), f"{root}{place}"]
    return [*line, *words]


def looking(root: Path, *argv: str | Path) -> list[str]:
    """The command line that runs a program of this machine that only reads `root`. A database
    may write a file beside it when it is read; in an image that nobody changes it must not."""
    words = [str(word) for word in argv]
    return words if root == HOST else ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", *words]


@contextmanager
def no_services(root: Path) -> Iterator[None]:
    """Keep packages that are installed in a root from starting their services; not on /, where
    they are to run."""
    policy = root / "usr/sbin/policy-rc.d"
    if root == HOST or (policy.exists() and policy.read_text() != _POLICY):
        yield
        return
    policy.parent.mkdir(parents=True, exist_ok=True)
    policy.write_text(_POLICY)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
