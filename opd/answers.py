# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPKGs ask, and what they were answered, where their scripts read it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from opd.form import Answers, Field, read_form, read_values, values_text
from opd.place import Place
from opkg.errors import OpkgError
from opkg.files import write_atomic
from opkg.native.system import within
from opkg.resolve import PACKAGES_DIR

_FORM, _VALUES = "configurator.html", ".configurator.values"


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What an OPKG asks, and what was answered before."""

    opkg: str
    fields: tuple[Field, ...]
    old: Answers


def questions(headnode: Place, opkg: str) -> Questions:
    """What an installed OPKG asks; no fields where it has no form. Raises OpkgError."""
    path = _home(headnode, opkg) / _FORM
    text = path.read_text(errors="replace") if path.is_file() else ""
    return Questions(opkg=opkg, fields=read_form(text, str(path)), old=values_of(headnode, opkg))


def values_of(headnode: Place, opkg: str) -> dict[str, list[str]]:
    """What an installed OPKG was answered. Raises OpkgError."""
    path = _home(headnode, opkg) / _VALUES
    return read_values(path.read_text(), str(path)) if path.is_file() else {}


def write_values(headnode: Place, opkg: str, answers: Answers) -> None:
    """Put answers where the scripts of an installed OPKG read them."""
    write_atomic(_home(headnode, opkg) / _VALUES, values_text(answers), mode=0o600)


def read_answers(path: Path) -> dict[str, dict[str, list[str]]]:
    """A TOML file with a table for each OPKG: a name, and its value or a list of them. Raises
    OpkgError."""
    try:
        tables = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OpkgError(str(error), where=str(path), hint="it has to be a TOML file") from error
    found: dict[str, dict[str, list[str]]] = {}
    for opkg, table in tables.items():
        if not isinstance(table, dict):
            raise OpkgError(
                f"“{opkg}” is not in a table", where=str(path), hint="begin with [NAME-OF-OPKG]"
            )
        found[opkg] = {
            name: [str(each) for each in (value if isinstance(value, list) else [value])]
            for name, value in table.items()
        }
    return found


def _home(headnode: Place, opkg: str) -> Path:
    return within(headnode.root, f"{PACKAGES_DIR}/{opkg}")
