# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory of an OPKG: its config.xml, and the files beside it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from opkg.config_xml import read_config
from opkg.errors import Diagnostic, InvalidInputError, OpkgError
from opkg.files import sha256_bytes, sha256_file
from opkg.names import NAME as NAMES
from opkg.names import shipped_names
from opkg.spec import FileRole, Opkg, SourceFile

_FOLDERS = {"scripts": FileRole.SCRIPT, "doc": FileRole.DOC, "testing": FileRole.TEST}
_METADATA = ("config.xml", "configurator.html", "configurator_image.html")
# Left by editors and version control; never part of a package.
_IGNORED = (".git", ".svn", "CVS", "__pycache__")


def read_opkg(directory: Path) -> tuple[Opkg, tuple[Diagnostic, ...]]:
    """Read an OPKG directory. Returns the OPKG with its files, and the warnings.

    Raises InvalidInputError with every fault, or OpkgError where there is no such directory.
    """
    if not directory.is_dir():
        raise OpkgError("there is no such directory", where=str(directory))
    opkg, warnings = read_config(directory / "config.xml")
    found = [
        SourceFile(role=FileRole.METADATA, path=name, origin=directory / name, executable=False)
        for name in _METADATA
        if (directory / name).is_file()
    ]
    for folder, role in _FOLDERS.items():
        found += _collect(directory / folder, role, directory.resolve())
    names = shipped_names().extended(directory / NAMES)
    return replace(opkg, files=tuple(found), names=names), warnings


def _collect(folder: Path, role: FileRole, top: Path) -> list[SourceFile]:
    """The files below a folder, in the order of their names."""
    result = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _IGNORED)
        for name in sorted(names):
            path = Path(here, name)
            if name.endswith("~"):
                continue
            if not path.resolve().is_relative_to(top) or not path.is_file():
                found = Diagnostic(
                    severity="error",
                    path=str(path),
                    line=0,
                    message="leads out of the OPKG, or is no plain file",
                    hint="put the file itself here",
                )
                raise InvalidInputError(f"{top} cannot be packaged", [found])
            executable = role is FileRole.SCRIPT or os.access(path, os.X_OK)
            result.append(
                SourceFile(
                    role=role,
                    path=str(path.relative_to(folder)),
                    origin=path,
                    executable=executable,
                )
            )
    return result


def digest(directory: Path) -> str:
    """One SHA-256 over all that an OPKG directory holds: names, modes and contents."""
    lines = []
    for here, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in _IGNORED)
        for name in sorted(names):
            path = Path(here, name)
            content = str(path.readlink()) if path.is_symlink() else sha256_file(path)
            executable = "x" if os.access(path, os.X_OK) else "-"
            lines.append(f"{content} {executable} {path.relative_to(directory)}\n")
    return sha256_bytes("".join(lines).encode())
