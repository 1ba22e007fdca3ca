# SPDX-License-Identifier: GPL-2.0-or-later
"""config.xml, the metadata of an OPKG, read into an `Opkg` with every fault in its line.

Strict about what would be lost (an unknown element, a relation without a name), generous about
what is harmless (the order of elements, a date with a typing error): that gives a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree

from opkg.errors import Diagnostic, InvalidInputError, OpkgError
from opkg.spec import (
    EVERYWHERE,
    Author,
    Change,
    Dependency,
    DistFilter,
    Filter,
    Kind,
    Opkg,
    Part,
    Relation,
    Release,
)
from opkg.version import Version

Element = etree._Element

# More than a hundred times what the largest known file has.
SIZE_LIMIT = 4 * 1024 * 1024

CLASSES = ("core", "base", "included", "third-party")
ROLES = ("upstream", "maintainer", "uploader")
RELATIONS = ("=", "<", "<=", ">", ">=")
SUMMARY_LIMIT = 67  # ", server part" is added, and Debian's limit is 80
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")

_KINDS = {kind.value: kind for kind in Kind}
_SECTIONS = {
    "serverDeps": frozenset((Part.SERVER,)),
    "clientDeps": frozenset((Part.CLIENT,)),
    "commonDeps": frozenset((Part.SERVER, Part.CLIENT)),
    "apiDeps": frozenset((Part.API,)),
}
_KNOWN = {
    "name", "class", "summary", "description", "license", "group", "uri", "authors", "filters",
    "changelog", *_KINDS, *_SECTIONS,
}  # fmt: skip


def read_config(path: Path) -> tuple[Opkg, tuple[Diagnostic, ...]]:
    """Read a config.xml. Returns the OPKG (without its files) and the warnings.

    Raises InvalidInputError with all faults when anything would be lost or is missing.
    """
    reader = _Reader(path)
    root = _parse(path)
    if root.tag != "oscar" or root.find("version") is not None:
        reader.error(
            root,
            "this is an older generation of config.xml",
            "write it in the current form: <oscar> with serverDeps, clientDeps and changelog",
        )
        raise reader.refusal()
    opkg = reader.opkg(root)
    if opkg is None or reader.failed:
        raise reader.refusal()
    return opkg, tuple(reader.found)


def _parse(path: Path) -> Element:
    """The root element, from a parser that follows no reference out of the file."""

    def refuse(line: int, message: str, hint: str) -> InvalidInputError:
        found = Diagnostic(severity="error", path=str(path), line=line, message=message, hint=hint)
        return InvalidInputError(f"{path} cannot be read", [found])

    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise refuse(0, f"larger than {SIZE_LIMIT >> 20} MiB", "this is no config.xml")
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        tree = etree.fromstring(path.read_bytes(), parser).getroottree()
    except OSError as error:
        raise refuse(0, error.strerror or str(error), "an OPKG has a config.xml") from error
    except etree.XMLSyntaxError as error:
        raise refuse(error.lineno or 0, f"not well-formed XML: {error.msg}", "") from error
    dtd = tree.docinfo.internalDTD
    if dtd is not None and list(dtd.iterentities()):
        raise refuse(1, "defines entities", "write the text itself: entities are not expanded")
    return tree.getroot()


class _Reader:
    """Walks the tree, collecting what is found wrong on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[Diagnostic] = []

    @property
    def failed(self) -> bool:
        return any(found.severity == "error" for found in self.found)

    def refusal(self) -> InvalidInputError:
        errors = sum(found.severity == "error" for found in self.found)
        return InvalidInputError(
            f"{self.path} has {errors} error{'s' if errors > 1 else ''}", self.found
        )

    def error(self, node: Element, message: str, hint: str = "") -> None:
        self._add("error", node, message, hint)

    def warn(self, node: Element, message: str, hint: str = "") -> None:
        self._add("warning", node, message, hint)

    def _add(self, severity: str, node: Element, message: str, hint: str) -> None:
        line = node.sourceline or 0
        self.found.append(
            Diagnostic(
                severity=severity, path=str(self.path), line=line, message=message, hint=hint
            )
        )

    # What an element holds

    def children(self, node: Element, known: Iterable[str]) -> list[tuple[str, Element]]:
        """The child elements by name; an unknown one is an error, since it would be lost."""
        allowed = set(known)
        result = []
        for child in node:
            tag = child.tag
            if not isinstance(tag, str):
                continue  # a comment or a processing instruction
            if tag not in allowed and f"{tag}s" in allowed:
                self.warn(child, f"<{tag}> is read as <{tag}s>", f"write <{tag}s>")
                tag += "s"
            if tag in allowed:
                result.append((tag, child))
            else:
                self.error(
                    child,
                    f"<{tag}> is not known in <{node.tag!s}>",
                    "expected " + ", ".join(f"<{name}>" for name in sorted(allowed)),
                )
        return result

    def text(self, node: Element) -> str:
        """The element's text with white space folded; elements inside are an error."""
        self.children(node, ())
        return " ".join(_content(node).split())

    def one(self, node: Element, tag: str, *, needed: bool = True) -> str:
        """The text of the only child `tag`, or "" where there is none."""
        found = node.findall(tag)
        if not found:
            if needed:
                self.error(node, f"<{tag}> is missing", f"add <{tag}>…</{tag}>")
            return ""
        for extra in found[1:]:
            self.error(extra, f"a second <{tag}>", "one is allowed")
        text = self.text(found[0])
        if needed and not text:
            self.error(found[0], f"<{tag}> is empty", "write its text")
        return text

    def choice(self, node: Element, value: str, what: str, allowed: Sequence[str]) -> str:
        if value not in allowed:
            self.error(node, f"{what} is “{value}”", "expected one of " + ", ".join(allowed))
        return value

    # The document

    def opkg(self, root: Element) -> Opkg | None:
        parts = self.children(root, _KNOWN)
        name = self.one(root, "name")
        if name and not NAME.fullmatch(name):
            hint = re.sub(r"[^a-z0-9+.-]", "-", name.lower())
            self.error(
                _first(root, "name"),
                f"“{name}” is not a name for an OPKG",
                f"small letters, digits, + - and . only: perhaps {hint}",
            )
        category = self.one(root, "class", needed=False) or "third-party"
        self.choice(_first(root, "class"), category, "class", CLASSES)
        summary = self.one(root, "summary")
        if len(summary) > SUMMARY_LIMIT:
            self.error(
                _first(root, "summary"),
                f"the summary has {len(summary)} characters",
                f"at most {SUMMARY_LIMIT}",
            )
        releases = self.changelog(root)
        authors = self.authors(root)
        groups = tuple(self.text(node) for node in root.findall("group"))
        if not groups:
            self.error(root, "<group> is missing", "add <group>Applications/System</group>")
        licence = self.one(root, "license")
        if not releases or not authors:
            return None
        return Opkg(
            name=name,
            category=category,
            summary=summary,
            description=self.description(root) or summary,
            licence=licence,
            groups=groups,
            uri=self.one(root, "uri", needed=False),
            authors=authors,
            availability=self.filter(root),
            dependencies=self.dependencies(parts),
            releases=releases,
        )

    def description(self, root: Element) -> str:
        """The description, one line a paragraph, an empty line between two."""
        node = root.find("description")
        if node is None:
            return ""
        self.children(node, ())
        paragraphs = re.split(r"\n\s*\n", _content(node).strip())
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    def authors(self, root: Element) -> tuple[Author, ...]:
        result = []
        for node in root.findall("authors/author"):
            self.children(
                node, ("name", "nickname", "email", "institution", "beginYear", "endYear")
            )
            role = self.choice(node, node.get("cat", ""), "the author's cat", ROLES)
            result.append(
                Author(role=role, name=self.one(node, "name"), email=self.one(node, "email"))
            )
        if not result:
            self.error(root, "there is no author", "add <authors> with at least one <author>")
        return tuple(result)

    def filter(self, parent: Element) -> Filter:
        node = parent.find("filters")
        if node is None:
            return EVERYWHERE
        dists, archs = [], []
        for tag, child in self.children(node, ("dist", "arch")):
            text = self.text(child)
            if tag == "arch":
                archs.append(text)
                continue
            if text != text.lower():
                self.warn(child, f"the distribution “{text}” is read as “{text.lower()}”")
            rel, version = self.bound(child)
            dists.append(DistFilter(name=text.lower(), rel=rel, version=version))
        return Filter(dists=tuple(dists), archs=tuple(archs))

    def bound(self, node: Element) -> tuple[str, str]:
        """The attributes rel and version; a version alone means “=”."""
        rel, version = node.get("rel", ""), node.get("version", "").strip()
        if rel and rel not in RELATIONS:
            self.error(node, f"rel is “{rel}”", "expected one of " + ", ".join(RELATIONS))
        if rel and not version:
            self.error(node, "rel without a version", 'add version="…" or take rel away')
        return (rel or "=", version) if version else ("", "")

    def dependencies(self, parts: list[tuple[str, Element]]) -> tuple[Dependency, ...]:
        result = []
        for tag, node in parts:
            if tag in _KINDS:
                result.append(self.dependency(_KINDS[tag], frozenset(), node))
            elif tag in _SECTIONS:
                result += [
                    self.dependency(_KINDS[kind], _SECTIONS[tag], child)
                    for kind, child in self.children(node, _KINDS)
                ]
        return tuple(result)

    def dependency(self, kind: Kind, parts: frozenset[Part], node: Element) -> Dependency:
        relations = []
        for tag, child in self.children(node, ("filters", "pkg")):
            if tag == "pkg":
                name = self.text(child)
                if not name or " " in name:
                    self.error(child, f"<pkg> names “{name}”", "one package's name")
                rel, version = self.bound(child)
                relations.append(Relation(name=name, rel=rel, version=version))
        if not relations:
            self.error(node, f"<{kind.value}> names no package", "add <pkg>…</pkg>")
        return Dependency(
            kind=kind, parts=parts, relations=tuple(relations), filter=self.filter(node)
        )

    # The changelog

    def changelog(self, root: Element) -> tuple[Release, ...]:
        result = []
        for node in root.findall("changelog/versionEntry"):
            try:
                version = Version.parse(node.get("version", "").strip())
            except OpkgError as error:
                self.error(node, error.message, error.hint)
                continue
            changes = [self.change(child) for child in node.findall("changelogEntry")]
            told = tuple(change for change in changes if change)
            if not told:
                self.error(node, f"version {version} has no <changelogEntry>", "say what changed")
            result.append(Release(version=version, changes=told))
        if not result and not self.failed:
            self.error(
                root,
                "there is no changelog, so no version",
                '<changelog><versionEntry version="1.0-1">…',
            )
        return tuple(result)

    def change(self, node: Element) -> Change | None:
        author = node.get("authorName", "").strip()
        if not author:
            self.error(node, "the attribute authorName is missing", "say who made the change")
        items = tuple(self.text(child) for _, child in self.children(node, ("item",)))
        date = self.date(node, node.get("date", "").strip())
        closes = tuple(int(word) for word in node.get("closes", "").split() if word.isdigit())
        if date is None:
            return None
        return Change(author=author, date=date, items=items, closes=closes)

    def date(self, node: Element, text: str) -> datetime | None:
        """A date of XML Schema's dateTime; one with a slip in it is read as far as its day."""
        try:
            date = datetime.fromisoformat(text)
            return date if date.tzinfo else date.replace(tzinfo=UTC)
        except ValueError:
            pass
        day = re.match(r"(\d{4})-(\d{1,2})-(\d{1,2})", text)
        try:
            year, month, number = (int(group) for group in day.groups()) if day else (0, 0, 0)
            date = datetime(year, month, number, tzinfo=UTC)
        except ValueError:
            self.error(node, f"“{text}” is not a date", "write it like 2026-03-01T12:00:00+01:00")
            return None
        self.warn(
            node,
            f"the date “{text}” is read as {date:%Y-%m-%d}",
            "write it like 2026-03-01T12:00:00+01:00",
        )
        return date


def _content(node: Element) -> str:
    return "".join(str(text) for text in node.itertext())


def _first(root: Element, tag: str) -> Element:
    found = root.find(tag)
    return root if found is None else found
