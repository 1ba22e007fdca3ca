# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes an OPKG of an older generation one of the current generation."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from opkg.config_write import config_text
from opkg.directory import read_opkg, script_renames
from opkg.errors import Diagnostic, OpkgError
from opkg.files import write_atomic
from opkg.findings import printable
from opkg.generation import CONVERT, Generation, generation
from opkg.spec import Opkg
from opkg.xml_file import read_xml

CONFIG = "config.xml"
KEPT = "config.xml.old"
# Where older generations had binary and source packages. None of them becomes part of a package.
_LEFT = ("RPMS", "SRPMS", "distro")


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a conversion did in the folder `directory`: the generation that config.xml was of, the
    scripts that got today's names, the folders that are of no use today; and what the reading of
    the old one warned of, and is not mended by the conversion."""

    directory: Path
    generation: Generation
    renamed: dict[str, str]
    left: tuple[str, ...]
    warnings: tuple[Diagnostic, ...]


def convert(directory: Path, out: Path | None = None) -> Conversion:
    """Convert an OPKG in place, or into the folder `out`, which must not exist or be empty.

    In place, the old config.xml is kept as config.xml.old. At every moment the directory is a
    whole OPKG that reads the same, so an interrupted conversion is finished by a second one. An
    OPKG of the current generation keeps its config.xml.
    Raises InvalidInputError with all findings, and OpkgError where a file is in the way.
    """
    opkg, warnings = read_opkg(directory)
    kind = generation(read_xml(directory / CONFIG)[0])
    try:
        if out:
            renamed = _into(directory, out, opkg, kind)
        else:
            if kind is not Generation.CURRENT:
                _keep(directory / KEPT, (directory / CONFIG).read_bytes())
            renamed = _apply(directory, opkg, kind)
    except OSError as error:
        where = printable(str(error.filename or directory))
        raise OpkgError(
            error.strerror or str(error), where=where, hint="nothing is lost"
        ) from error
    return Conversion(
        directory=out or directory,
        generation=kind,
        renamed=renamed,
        left=tuple(name for name in _LEFT if (directory / name).is_dir()),
        warnings=tuple(warning for warning in warnings if not _is_mended(warning)),
    )


def _is_mended(warning: Diagnostic) -> bool:
    """Whether what was warned of is written down as it was read."""
    return CONVERT in warning.hint or " is read as " in warning.message


def _apply(directory: Path, opkg: Opkg, kind: Generation) -> dict[str, str]:
    """Put config.xml in its place, then rename scripts, whose old names mean the same."""
    if kind is not Generation.CURRENT:
        write_atomic(directory / CONFIG, config_text(opkg))
    renamed = script_renames(directory)
    for old, new in renamed.items():
        (directory / "scripts" / old).rename(directory / "scripts" / new)
    return renamed


def _keep(path: Path, data: bytes) -> None:
    """Keep the old config.xml; never over another one."""
    if path.exists() and path.read_bytes() != data:
        hint = "move it out of the way"
        raise OpkgError("there is another one already", where=printable(str(path)), hint=hint)
    write_atomic(path, data)


def _into(directory: Path, out: Path, opkg: Opkg, kind: Generation) -> dict[str, str]:
    """Convert a copy beside `out`, and give it the name when it is whole."""
    where = printable(str(out))
    if out.resolve().is_relative_to(directory.resolve()):
        raise OpkgError("is in the OPKG itself", where=where, hint="name a folder elsewhere")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OpkgError("there is something already", where=where, hint="name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
        copy = Path(work, "opkg")
        try:
            shutil.copytree(directory, copy, symlinks=True)
        except shutil.Error as error:
            path, _, reason = error.args[0][0]
            raise OpkgError(str(reason), where=printable(str(path)), hint="take it away") from error
        renamed = _apply(copy, opkg, kind)
        copy.replace(out)
    return renamed
