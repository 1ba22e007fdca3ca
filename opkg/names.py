# SPDX-License-Identifier: GPL-2.0-or-later
"""What distributions call packages: generic names, and the native names they stand for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from opkg.findings import Findings
from opkg.target import Target
from opkg.toml_file import TomlFile, read_toml

NAME = "names.toml"


class Spelled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A native name; `checked` says whether it was looked up in the distribution's archive."""

    name: str
    checked: bool = True


# "" and () both say that nothing is needed there.
Native = str | tuple[str, ...] | Spelled
_Table = dict[str, dict[str, Native]]


@dataclass(frozen=True)
class Names:
    """A table of generic names; see the head of `names.toml`."""

    table: Mapping[str, Mapping[str, Native]] = field(default_factory=dict)

    def native(self, name: str, target: Target) -> tuple[str, ...]:
        """The packages that a generic name stands for on a target; none where it is always
        there."""
        found = self._entry(name, target)
        if isinstance(found, Spelled):
            found = found.name
        if isinstance(found, str):
            return (found,) if found else ()
        return found

    def is_checked(self, name: str, target: Target) -> bool:
        """Whether the name was looked up in the target's own archive, as far as the table says."""
        found = self._entry(name, target)
        return found.checked if isinstance(found, Spelled) else True

    def _entry(self, name: str, target: Target) -> Native:
        words = self.table.get(name, {})
        return next((words[word] for word in target.ordered_words if word in words), name)

    def extended(self, path: Path) -> Names:
        """This table with that of a file laid over it; a file that is not there adds nothing.
        Raises InvalidInputError."""
        findings = Findings(path)
        document = read_names(findings)
        if findings.failed:
            raise findings.refusal()
        return self.laid_under(document) if document else self

    def laid_under(self, document: TomlFile) -> Names:
        """This table with that of a file that was read without an error laid over it."""
        added = msgspec.convert(document.values, _Table)
        merged = {name: {**self.table.get(name, {}), **words} for name, words in added.items()}
        return Names({**self.table, **merged})


def read_names(findings: Findings) -> TomlFile | None:
    """The document that the findings are about, checked; None where there is none."""
    document = read_toml(findings)
    if document:
        document.check(document.values, _Table)
    return document


@cache
def shipped_names() -> Names:
    """The table that comes with the project."""
    return Names(msgspec.convert(tomllib.loads(files("opkg").joinpath(NAME).read_text()), _Table))
