# SPDX-License-Identifier: GPL-2.0-or-later
"""The changelog of a config.xml of the current generation: versions, and what came with them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from opkg.config_reader import ConfigReader, content, loose_text
from opkg.errors import OpkgError
from opkg.spec import Author, Change, Release
from opkg.version import Version
from opkg.xml_file import Element

_HIGHEST_EPOCH = 2**31 - 1
# What the time stamps of packages can express, with a day to spare.
_LATEST = 2**32 - 24 * 3600
# XML Schema, part 2, chapter 3.2.7, as far as clocks show it.
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)
_BEGINNING = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?(?!\d)", re.ASCII)
_DATE_HINT = "write it like 2026-03-01T12:00:00+01:00"


def read_changelog(
    reader: ConfigReader, root: Element, nodes: Sequence[Element], authors: Sequence[Author]
) -> tuple[Release, ...]:
    """The releases in the order of the document; none that is without a change. Findings go to
    `reader`; the first author stands in for one who is not named."""
    for extra in nodes[1:]:
        hint = "put its entries into the first"
        reader.warn(extra, "a second <changelog> is read as more of the first", hint)
    entries = [entry for node in nodes for _, entry in reader.children(node, ("versionEntry",))]
    if not entries:
        hint = '<changelog><versionEntry version="1.0-1">…'
        reader.error(nodes[0] if nodes else root, "there is no changelog, so no version", hint)
    result = []
    for entry in entries:
        version = read_version(reader, entry, entry.get("version", ""))
        changes = [
            _change(reader, node, authors)
            for _, node in reader.children(entry, ("changelogEntry",), ("version",))
        ]
        told = tuple(change for change in changes if change)
        if not changes:
            reader.error(entry, f"version {version} has no <changelogEntry>", "say what changed")
        if version and told:
            result.append(Release(version=version, changes=told))
    return tuple(result)


def read_version(reader: ConfigReader, node: Element, text: str) -> Version | None:
    """A version of an OPKG. One without a release is release 1; an underscore, which Debian does
    not allow in a version, is a dot."""
    given = text.strip()
    meant = given.replace("_", ".") + ("-1" if given and "-" not in given else "")
    try:
        version = Version.parse(meant)
    except OpkgError as error:
        reader.error(node, f"“{given}” is not a version", error.hint)
        return None
    if not meant.isascii() or version.epoch > _HIGHEST_EPOCH:
        reader.error(node, f"“{given}” is a version that no package can have", "write a plain one")
        return None
    if given != meant:
        reader.warn(node, f"the version “{given}” is read as {version}", f"write {version}")
    return version


def _change(reader: ConfigReader, node: Element, authors: Sequence[Author]) -> Change | None:
    author = " ".join(node.get("authorName", "").split())
    if not author and authors:
        author = authors[0].name
        reader.warn(node, f"authorName is missing: it is {author}", 'add authorName="…"')
    date = read_date(reader, node, node.get("date", "").strip())
    closes = _numbers(reader, node)
    items = _items(reader, node)
    if date is None:
        return None
    return Change(author=author, date=date, items=items, closes=closes)


def _items(reader: ConfigReader, node: Element) -> tuple[str, ...]:
    """What changed; lines that stand in no <item> are taken for items."""
    loose = content(node)
    if loose_text(node):
        reader.warn(node, "a text in <changelogEntry> is read as items", "write <item>…</item>")
        node.text = None
        for child in node:
            child.tail = None
    lines = [line.strip().lstrip("-*").strip() for line in loose.splitlines()]
    children = reader.children(node, ("item",), ("authorName", "date", "closes"))
    told = [reader.text(child) for _, child in children]
    items = tuple(item for item in (*lines, *told) if item)
    if not items:
        reader.warn(node, "the entry does not say what changed", "add <item>…</item>")
    return items or ("No details are known.",)


def _numbers(reader: ConfigReader, node: Element) -> tuple[int, ...]:
    words = node.get("closes", "").replace(",", " ").split()
    numbers = [re.fullmatch(r"#?([1-9][0-9]{0,8})", word) for word in words]
    if not all(numbers):
        hint = "write the numbers of what is closed, with spaces between them"
        reader.warn(node, f"closes “{' '.join(words)}” is not read in full", hint)
    return tuple(int(number[1]) for number in numbers if number)


def read_date(reader: ConfigReader, node: Element, text: str) -> datetime | None:
    """A date of XML Schema's dateTime; one with a slip in it is read as far as it makes sense."""
    date = _iso(text)
    if date is None or not _DATE.fullmatch(text):
        date = date or _beginning(text)
        if date:
            message = f"the date “{text}” is read as {date.date()}"
            reader.warn(node, message, _DATE_HINT)
    if date is None:
        reader.error(node, f"“{text}” is not a date", _DATE_HINT)
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    if not 0 <= date.timestamp() < _LATEST:
        reader.error(node, f"no package can be of {date.date()}", "from 1970 to 2105")
        return None
    return date


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _beginning(text: str) -> datetime | None:
    """The day that a text begins with; where there is no such day, the first one of its month,
    or of its year."""
    found = _BEGINNING.match(text)
    if found is None:
        return None
    year, month, day = (int(number or 1) for number in found.groups())
    for numbers in ((year, month, day), (year, month, 1), (year, 1, 1)):
        with contextlib.suppress(ValueError):
            return datetime(*numbers, tzinfo=UTC)
    return None
