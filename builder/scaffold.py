# SPDX-License-Identifier: GPL-2.0-or-later
"""The start of a new OPKG."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from opkg.config_xml import NAME
from opkg.errors import OpkgError

_FILES = {
    "config.xml": 0o644,
    "scripts/server-post-install": 0o755,
    "testing/test_root": 0o755,
    "doc/README.md": 0o644,
}


def scaffold(directory: Path) -> list[Path]:
    """Write a small, valid OPKG into `directory`, which must not exist or be empty.

    Returns the files written. Raises OpkgError where there is something already, or where the
    folder's name is no name for an OPKG.
    """
    name = directory.resolve().name
    if not NAME.fullmatch(name):
        raise OpkgError(
            f"“{name}” is not a name for an OPKG", hint="small letters, digits, + - and . only"
        )
    if directory.exists() and any(directory.iterdir()):
        raise OpkgError("there is something already", where=str(directory), hint="name a new one")
    values = {"name": name, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    written = []
    for path, mode in _FILES.items():
        template = Template(files("builder").joinpath("templates", Path(path).name).read_text())
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(template.substitute(values))
        target.chmod(mode)
        written.append(target)
    return written
