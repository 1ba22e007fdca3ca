# SPDX-License-Identifier: GPL-2.0-or-later
"""A .changes (deb-changes(5)): which files of Debian packages belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Changes

from opkg.errors import OpkgError
from opkg.target import Family, known_targets
from repo_server.package import Companion

SUFFIX = ".changes"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The files that a .changes names, by their names, and the target of packages whose version
    has no tag that says it, if its distribution is one."""

    files: Mapping[str, Companion]
    target: str


def read(path: Path) -> Delivery:
    """Read a .changes; whether somebody signed it is not looked at. Raises OpkgError."""
    try:
        return parse(path.read_bytes(), where=str(path))
    except OSError as error:
        raise OpkgError(f"cannot be read: {error.strerror}", where=str(path)) from error


def parse(text: bytes | str, *, where: str) -> Delivery:
    """Parse the text of a .changes. Raises OpkgError."""
    try:
        changes = Changes(text)
        files = {
            str(row["name"]): Companion(
                path=str(row["name"]), size=int(row["size"]), sha256=row["sha256"].lower()
            )
            for row in changes["Checksums-Sha256"]
        }
    except (KeyError, ValueError) as error:
        raise OpkgError("it names no files under Checksums-Sha256", where=where) from error
    for name in files:
        if "/" in name or name in ("", ".", ".."):
            raise OpkgError(f"“{name}” is not a file beside it", where=where)
    target = _target(str(changes.get("Version", "")), str(changes.get("Distribution", "")))
    return Delivery(files=files, target=target)


def _target(version: str, distribution: str) -> str:
    known = {
        platform: one
        for platform, one in known_targets().distributions.items()
        if one.family is Family.DEB
    }
    if any(version.endswith(one.tag) for one in known.values()):
        return ""
    fitting = [name for name, one in known.items() if distribution in (name, one.suite)]
    return fitting[0] if fitting else ""
