# SPDX-License-Identifier: GPL-2.0-or-later
"""Take directories away without ever emptying what is mounted in them."""

from __future__ import annotations

import re
from pathlib import Path

from opkg.errors import OpkgError
from opkg.run import run


def mounts_in(path: Path) -> list[Path]:
    """The mount points at and below `path` that this process sees, the deepest first.

    Source: proc(5), /proc/pid/mountinfo: the fifth field, odd characters in octal.
    """
    top = path.parent.resolve() / path.name
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        field = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4])
        points.append(Path(field.removesuffix("//deleted")))
    return sorted((point for point in points if point.is_relative_to(top)), reverse=True)


def remove_root(path: Path) -> None:
    """Remove `path` with all that is in it; nothing happens when it is not there.

    Raises OpkgError when something is mounted at or below it: a bind of /dev that was left over
    would be emptied through. What cannot be seen so (another file system) is left as well.
    """
    mounted = mounts_in(path)
    if mounted:
        raise OpkgError(
            "not removed: something is mounted in it: " + ", ".join(map(str, mounted)),
            where=str(path),
            hint=f"umount --recursive {mounted[-1]}",
        )
    run(["rm", "-rf", "--one-file-system", "--preserve-root=all", "--", path.absolute()])
