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

from opkg.errors import Diagnostic, InvalidInputError
from opkg.target import Target

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
        try:
            added = msgspec.convert(tomllib.loads(path.read_text()), _Table)
        except FileNotFoundError:
            return self
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            found = Diagnostic(severity="error", path=str(path), line=0, message=str(error))
            raise InvalidInputError(f"{path} cannot be used", [found]) from error
        merged = {name: {**self.table.get(name, {}), **words} for name, words in added.items()}
        return Names({**self.table, **merged})


@cache
def shipped_names() -> Names:
    """The table that comes with the project."""
    return Names(msgspec.convert(tomllib.loads(files("opkg").joinpath(NAME).read_text()), _Table))
