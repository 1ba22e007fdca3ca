# SPDX-License-Identifier: GPL-2.0-or-later
"""TOML files that people write: read into typed values, with every fault in its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import msgspec

from opkg.findings import Findings, expected

# Where a value stands: the keys and, in arrays, the numbers that lead to it.
Place = tuple[str | int, ...]

SIZE_LIMIT = 1024 * 1024
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)| \(at end of document\)")


class TomlFile:
    """A TOML document, and the lines in which its keys stand."""

    def __init__(self, findings: Findings, values: dict[str, Any], text: str) -> None:
        self.findings = findings
        self.values = values
        self._text = text
        self._lines: dict[Place, int] = {}

    def line(self, place: Place) -> int:
        """The line of a key, or of what is around it where it has none of its own."""
        if not self._lines:
            self._lines = dict(_places(self._text))
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 0)

    def line_of(self, place: Place, text: str) -> int:
        """The line in which a text stands in a value, or the value's own where it does not."""
        start = self.line(place)
        lines = self._text.splitlines()
        following = range(start, len(lines) + 1) if start else ()
        return next((number for number in following if text in lines[number - 1]), start)

    def error(self, place: Place, message: str, hint: str = "") -> None:
        self.findings.error(self.line(place), message, hint)

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        self.findings.warn(self.line(place), message, hint)

    def check(self, value: Any, kind: Any, place: Place = ()) -> None:
        """Enter every difference between a value and a type made of msgspec's structs, unions,
        literals, enumerations, tuples and dicts."""
        options = get_args(kind) if get_origin(kind) is UnionType else (kind,)
        structs = [o for o in options if isinstance(o, type) and issubclass(o, msgspec.Struct)]
        origins = {get_origin(option): get_args(option) for option in options}
        if isinstance(value, dict) and structs:
            self._check_table(value, structs[0], place)
        elif isinstance(value, dict) and dict in origins:
            for key, item in value.items():
                self.check(item, origins[dict][1], (*place, key))
        elif isinstance(value, list) and tuple in origins:
            for number, item in enumerate(value):
                self.check(item, origins[tuple][0], (*place, number))
        else:
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError:
                words = _words(options)
                hint = expected(str(value), words) if words else f"expected {_name(options)}"
                self.error(place, f"{_spell(place)} is {_show(value)}", hint)

    def _check_table(self, value: dict[str, Any], kind: type[msgspec.Struct], place: Place) -> None:
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        for key, item in value.items():
            if key in fields:
                self.check(item, fields[key].type, (*place, key))
            else:
                self.error(
                    (*place, key), f"{_spell((*place, key))} is not known", expected(key, fields)
                )
        for name, field in fields.items():
            if field.required and name not in value:
                self.error(place, f"{_spell((*place, name))} is missing", f"add {name} = …")


def read_toml(findings: Findings) -> TomlFile | None:
    """Read the file that the findings are about. None where there is none, or where it is no
    TOML: that is entered. The rest is for `TomlFile.check`."""
    path = findings.path
    try:
        if not path.exists():
            return None
        if not path.is_file() or path.stat().st_size > SIZE_LIMIT:
            findings.error(0, "is no plain file of a sensible size", "write the file itself")
            return None
        text = path.read_bytes().decode()
        return TomlFile(findings, tomllib.loads(text), text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1] or 0) if found else 0
        findings.error(line, f"not TOML: {_AT_LINE.sub('', str(error))}", "see toml.io")
    except UnicodeDecodeError:
        findings.error(0, "holds bytes that are not UTF-8", "save it as UTF-8")
    except RecursionError:
        findings.error(0, "is nested deeper than it could make sense", "write it plainly")
    except OSError as error:
        findings.error(0, error.strerror or str(error), "make it readable")
    return None


# Strings first, so that nothing in them is taken for anything else.
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
    r"|#[^\n]*|[\[\]{}=\n]|[^\[\]{}=\n\"'#]+",
    re.DOTALL,
)


def _places(text: str) -> Iterator[tuple[Place, int]]:
    """Every table and key of a document that is known to be TOML, with its line."""
    table: Place = ()
    counts: dict[Place, int] = {}
    for statement, line in _statements(text):
        if statement.startswith("["):
            keys = _keys(statement.strip("[] \t"))
            table = _resolved(keys, counts)
            if statement.startswith("[["):
                table = (*_resolved(keys[:-1], counts), keys[-1])
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, line
        else:
            yield (*table, *_keys(statement)), line


def _statements(text: str) -> Iterator[tuple[str, int]]:
    """The header lines, and the left sides of assignments, with their lines."""
    depth, line, start, words, assigned = 0, 1, 1, "", False
    for piece in _PIECE.findall(text):
        if piece == "\n" and depth == 0:
            if words.strip() and not assigned:
                yield words.strip(), start
            words, assigned, start = "", False, line + 1
        elif piece == "=" and depth == 0 and not assigned:
            yield words.strip(), start
            assigned = True
        elif not assigned and not piece.startswith("#"):
            words += piece
        elif piece in ("[", "{"):
            depth += 1
        elif piece in ("]", "}"):
            depth -= 1
        line += piece.count("\n")
    if words.strip() and not assigned:
        yield words.strip(), start


def _keys(text: str) -> Place:
    """The parts of a dotted key."""
    value: Any = tomllib.loads(f"{text} = 0")
    keys: list[str] = []
    while isinstance(value, dict):
        key, value = next(iter(value.items()))
        keys.append(key)
    return tuple(keys)


def _resolved(keys: Place, counts: dict[Place, int]) -> Place:
    """A table's name as a place: of an array of tables, the last one is meant."""
    place: Place = ()
    for key in keys:
        place = (*place, key)
        if place in counts:
            place = (*place, counts[place])
    return place


def _spell(place: Place) -> str:
    """A place as a person would say it: package[2].requires."""
    words = "".join(f"[{key + 1}]" if isinstance(key, int) else f".{key}" for key in place)
    return words.removeprefix(".")


def _words(options: tuple[Any, ...]) -> list[str]:
    """The words that a literal or an enumeration allows."""
    words: list[str] = []
    for option in options:
        if get_origin(option) is Literal:
            words += [str(word) for word in get_args(option) if word != ""]
        elif isinstance(option, type) and issubclass(option, StrEnum):
            words += [str(member) for member in option]
    return words


_NAMES = {str: "a text", bool: "true or false", int: "a number", tuple: "a list", dict: "a table"}


def _name(options: tuple[Any, ...]) -> str:
    """What a type is called."""
    names = [
        _NAMES.get(get_origin(option) or option, "a table")
        for option in options
        if option is not type(None)
    ]
    return " or ".join(dict.fromkeys(names))


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"“{value}”" if isinstance(value, str) else str(value).lower()
