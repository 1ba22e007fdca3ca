# SPDX-License-Identifier: GPL-2.0-or-later
"""The form of a configurator.html: what it asks, what its answers are, and the file in which
scripts read them. Nothing here asks anybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

from defusedxml.ElementTree import fromstring

from opkg.errors import OpkgError

Answers = Mapping[str, Sequence[str]]

# Names become elements of an XML document.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
# What XML has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_ASKED = ("reset", "submit", "button", "image", "file")
_TEXTS = ("h1", "h2", "h3", "p")


@dataclass(frozen=True, kw_only=True)
class Option:
    """A value that may be chosen, and what a person sees."""

    value: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """A question: free text where there are no `options`, otherwise one of them, or with `many`
    any number. `intro` is what stands before it; `hidden`, that nobody is asked."""

    name: str
    label: str = ""
    intro: str = ""
    options: tuple[Option, ...] = ()
    default: tuple[str, ...] = ()
    many: bool = False
    hidden: bool = False

    def fault(self, values: Sequence[str]) -> str:
        """Why these values are no answer, or “”."""
        known = {option.value for option in self.options}
        wrong = [value for value in values if self.options and value not in known]
        if wrong:
            choice = ", ".join(f"“{option.value}”" for option in self.options)
            return f"{self.name}: “{wrong[0]}” is none of {choice}"
        if len(values) != 1 and not self.many:
            return f"{self.name}: takes one value, not {len(values)}"
        if any(_UNWRITABLE.search(value) for value in values):
            return f"{self.name}: has a control character in it"
        return ""


def read_form(text: str, where: str) -> tuple[Field, ...]:
    """The questions of a configurator.html, in their order. Raises OpkgError where one has no
    name that can be written down."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    for field in reader.fields.values():
        if not _NAME.fullmatch(field.name):
            raise OpkgError(
                f"a question has the name “{field.name}”",
                where=where,
                hint="a name is made of letters, digits, _, . and -, and begins with a letter",
            )
    return tuple(_settled(field) for field in reader.fields.values())


def _settled(field: Field) -> Field:
    """A list or a group of buttons of which one has to be chosen has one chosen."""
    if field.many:
        return field
    return replace(field, default=field.default[:1] or (_first(field),))


def _first(field: Field) -> str:
    return field.options[0].value if field.options else ""


class _Reader(HTMLParser):
    """Collects the fields of a form. The label of an input stands inside its element."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {}
        self._intro: list[str] = []
        self._words: list[str] = []
        self._open: Field | None = None
        self._option: tuple[str | None, bool] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "option":
            self._end_option()
            self._words = []
            self._option = (given.get("value"), "selected" in given)
        elif tag in ("input", "select", "textarea", "form", *_TEXTS):
            self._end_field()
            self._words = []
            if tag in ("input", "select", "textarea"):
                self._open = _field(tag, given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("br", "hr"):
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("input", "select", "textarea", "form"):
            self._end_field(tag)
        elif tag == "option":
            self._end_option()
        elif tag in _TEXTS and self._taken():
            self._intro.append(self._taken())
            self._words = []

    def _taken(self) -> str:
        return " ".join("".join(self._words).split())

    def _end_option(self) -> None:
        if self._option and self._open:
            value, chosen = self._option
            label = self._taken()
            option = Option(value=label if value is None else value, label=label)
            self._open = replace(
                self._open,
                options=(*self._open.options, option),
                default=(*self._open.default, *([option.value] if chosen else [])),
            )
            self._words = []
        self._option = None

    def _end_field(self, tag: str = "") -> None:
        self._end_option()
        field, self._open = self._open, None
        if field is None:
            return
        if tag == "textarea":
            field = replace(field, default=("".join(self._words).strip(),))
        else:
            field = replace(field, label=self._taken())
        if field.options and tag != "select" and len(field.options) == 1:
            # A box or a button: its label says what choosing it means.
            field = replace(field, options=(replace(field.options[0], label=field.label),))
        self._add(field)
        self._words = []

    def _add(self, field: Field) -> None:
        """Boxes and buttons of one name are one question."""
        before = self.fields.get(field.name)
        if before and before.options and field.options:
            self.fields[field.name] = replace(
                before,
                label="",
                options=(*before.options, *field.options),
                default=(*before.default, *field.default),
            )
            return
        self.fields[field.name] = replace(field, intro="\n".join(self._intro))
        self._intro = []


def _field(tag: str, given: Mapping[str, str]) -> Field | None:
    """What an element asks, as far as its attributes tell."""
    name, kind = given.get("name", ""), given.get("type", "text").lower()
    if tag == "select":
        return Field(name=name, many="multiple" in given)
    if tag == "textarea":
        return Field(name=name)
    if kind in _NOT_ASKED:
        return None
    if kind in ("checkbox", "radio"):
        value = given.get("value", "on")
        chosen = (value,) if "checked" in given else ()
        only = (Option(value=value, label=""),)
        return Field(name=name, options=only, default=chosen, many=kind == "checkbox")
    return Field(name=name, default=(given.get("value", ""),), hidden=kind == "hidden")


def settle(
    fields: Iterable[Field], old: Answers, given: Answers, where: str
) -> dict[str, list[str]]:
    """The answers to all questions: those given, else those of old that still are answers, else
    the form's own. Raises OpkgError with all that is wrong with what is given."""
    by_name = {field.name: field for field in fields}
    faults = [f"there is no question {name}" for name in given if name not in by_name]
    faults += [
        fault for name in given if name in by_name and (fault := by_name[name].fault(given[name]))
    ]
    if faults:
        names = ", ".join(by_name) or "none"
        raise OpkgError("\n".join(faults), where=where, hint=f"the questions are: {names}")
    return {name: list(_answer(field, old, given)) for name, field in by_name.items()}


def _answer(field: Field, old: Answers, given: Answers) -> Sequence[str]:
    if field.name in given:
        return given[field.name]
    before = old.get(field.name, () if field.many and old else None)
    return field.default if before is None or field.fault(before) else before


def values_text(answers: Answers) -> str:
    """The file `.configurator.values`: `<opt><name>value</name></opt>`, an element for each
    value."""
    root = Element("opt")
    for name, values in answers.items():
        for value in values:
            SubElement(root, name).text = value
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def read_values(text: str, where: str) -> dict[str, list[str]]:
    """The answers of a `.configurator.values`. Raises OpkgError."""
    try:
        root = fromstring(text)
    except (ParseError, ValueError) as error:
        raise OpkgError(
            f"not well-formed: {error}", where=where, hint="mend the file, or remove it"
        ) from error
    found: dict[str, list[str]] = {}
    for element in root:
        found.setdefault(element.tag, []).append(element.text or "")
    return found
