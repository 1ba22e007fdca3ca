# SPDX-License-Identifier: GPL-2.0-or-later
"""A root file system and what it is."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path, PurePath

from opkg.errors import OpkgError
from opkg.target import Target, known_targets

# The root of this machine.
HOST = Path("/")
_HOPS = 40  # as many links as the kernel follows (path_resolution(7))


@dataclass(frozen=True, kw_only=True)
class System:
    """A root file system of a target; `name` is what messages call it."""

    name: str
    root: Path
    target: Target


def target_of(root: Path) -> Target:
    """The target of a root, by its os-release (os-release(5)). Raises OpkgError where it is none
    of targets.toml."""
    values = _os_release(root)
    system, release = values.get("ID", ""), values.get("VERSION_ID", "")
    table = known_targets()
    for version in (release, release.partition(".")[0]):
        if f"{system}-{version}" in table.distributions:
            return table.find(f"{system}-{version}-{platform.machine()}")
    raise OpkgError(
        f"the distribution “{system} {release}” is not in the table of targets",
        where=str(root),
        hint="add it to /etc/oscar/targets.toml; known are "
        + ", ".join(sorted(table.distributions)),
    )


def _os_release(root: Path) -> dict[str, str]:
    for name in ("etc/os-release", "usr/lib/os-release"):
        path = within(root, name)
        if path.is_file():
            lines = path.read_text(errors="replace").splitlines()
            pairs = (line.partition("=") for line in lines if "=" in line and line[0] != "#")
            return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
    raise OpkgError(
        "this is no root file system of a distribution: it has no etc/os-release",
        where=str(root),
        hint="is the path right? opd image create makes a new one",
    )


def within(root: Path, path: str | PurePath) -> Path:
    """Where a path of a root lies on this machine. Links are followed as a process inside the
    root would follow them, so that none leads out of it; the end need not be there. Raises
    OpkgError where links lead in a circle."""
    todo = list(reversed(PurePath(path).parts))
    here = root
    hops = 0
    while todo:
        word = todo.pop()
        if word == "/":
            here = root
        elif word == "..":
            here = here.parent if here != root else root
        elif not (here / word).is_symlink():
            here /= word
        else:
            hops += 1
            if hops > _HOPS:
                raise OpkgError("links lead in a circle", where=str(here / word))
            todo += reversed((here / word).readlink().parts)
    return here
