# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading elements of config.xml, and what all its generations have in common.

Strict about what would be lost (an unknown element, a text between elements), generous about what
is harmless (a capital letter, a plural that is missing): that gives a warning.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path

from opkg.findings import Findings, expected
from opkg.licence import read_licence
from opkg.names import Names
from opkg.naming import NAME, is_possible, legal_name
from opkg.resolve import applies
from opkg.spec import Author, Filter
from opkg.target import Family, Target, known_targets
from opkg.xml_file import Element

CLASSES = ("core", "base", "included", "third-party")
SUMMARY_LIMIT = 67  # ", server part" is added, and Debian's limit is 80
# Nobody can be reached there (RFC 2606, chapter 2).
NO_EMAIL = "unknown@example.invalid"

_SLIPS = {"selected": "included", "third-part": "third-party"}

# The child elements of one element, by their names.
Children = dict[str, list[Element]]


class ConfigReader:
    """Walks the tree of a config.xml, and collects what is found wrong on the way."""

    def __init__(self, path: Path, names: Names) -> None:
        self.path = path
        self.names = names
        self.findings = Findings(path)

    def error(self, node: Element, message: str, hint: str = "") -> None:
        self.findings.error(node.sourceline or 0, message, hint)

    def warn(self, node: Element, message: str, hint: str = "") -> None:
        self.findings.warn(node.sourceline or 0, message, hint)

    # What an element holds

    def children(
        self, node: Element, known: Collection[str], attributes: Collection[str] = ()
    ) -> list[tuple[str, Element]]:
        """The child elements with their names, in order. What is not known there would be lost:
        an error; unless it is a known name, misspelled a little."""
        self.attributes(node, attributes)
        if loose := loose_text(node):
            message = f"the text “{loose}” in <{node.tag!s}> is in no element of its own"
            self.error(node, message, "take it away, or write an element around it")
        result = []
        for child in node:
            if not isinstance(child.tag, str):
                continue  # a comment or a processing instruction
            tag = self.known(child, child.tag, known)
            if tag:
                result.append((tag, child))
            else:
                hint = expected(child.tag, known, "text")
                self.error(child, f"<{child.tag}> is not known in <{node.tag!s}>", hint)
        return result

    def known(self, node: Element, tag: str, known: Collection[str]) -> str:
        """The known name that a tag stands for, with a warning where it is not quite the same;
        "" for none."""
        if tag in known:
            return tag
        stem = tag.lower().rstrip("s")
        meant = next((name for name in known if name.lower().rstrip("s") == stem), "")
        if meant:
            self.warn(node, f"<{tag}> is read as <{meant}>", f"write <{meant}>")
        return meant

    def sorted(
        self, node: Element, known: Collection[str], attributes: Collection[str] = ()
    ) -> Children:
        """The child elements by name."""
        result: Children = {}
        for tag, child in self.children(node, known, attributes):
            result.setdefault(tag, []).append(child)
        return result

    def attributes(self, node: Element, known: Collection[str]) -> None:
        """Refuse attributes that would be lost. Those of other namespaces are not ours."""
        for name in node.attrib:
            if name not in known and not str(name).startswith("{"):
                hint = expected(str(name), known, "no attribute")
                self.error(node, f"<{node.tag!s}> has an unknown attribute “{name!s}”", hint)

    def text(self, node: Element, attributes: Collection[str] = ()) -> str:
        """The element's text with white space folded; elements inside are an error."""
        self.attributes(node, attributes)
        for child in node:
            if isinstance(child.tag, str):
                self.error(child, f"<{child.tag}> is not known in <{node.tag!s}>", "expected text")
        return " ".join(content(node).split())

    def single(self, children: Children, tag: str) -> Element | None:
        """The only child of a name, or None; a second one is an error."""
        nodes = children.get(tag, [])
        for extra in nodes[1:]:
            self.error(
                extra, f"a second <{tag}>", f"one is allowed: see line {nodes[0].sourceline}"
            )
        return nodes[0] if nodes else None

    def leaf(self, children: Children, tag: str) -> str:
        """The text of the only child of a name, or ""."""
        node = self.single(children, tag)
        return "" if node is None else self.text(node)

    def needed(self, parent: Element, children: Children, tag: str) -> str:
        """The text of a child that must be there; an error where it is not, or empty."""
        text = self.leaf(children, tag)
        if tag not in children:
            self.error(parent, f"<{tag}> is missing", f"add <{tag}>…</{tag}>")
        elif not text:
            self.error(children[tag][0], f"<{tag}> is empty", "write its text")
        return text

    # What all generations have

    def directory_name(self, node: Element) -> str:
        """The name that the OPKG's directory gives it: small letters, and dashes for what is
        not allowed. An error where that leaves nothing."""
        directory = self.path.absolute().parent
        name = legal_name(directory.resolve().name)
        if not NAME.fullmatch(name):
            hint = "small letters, digits, + - and ., at least two of them: rename the directory"
            self.error(node, f"the directory “{directory.name}” gives no name for an OPKG", hint)
        return name

    def opkg_name(self, node: Element, text: str) -> str:
        """The name of another OPKG."""
        name = self.package_name(node, text)
        legal = legal_name(name)
        if not NAME.fullmatch(legal):
            self.error(
                node, f"“{name}” is not the name of an OPKG", "see the OPKG's own config.xml"
            )
        elif name != legal:
            self.warn(node, f"the OPKG “{name}” is read as “{legal}”", f"write {legal}")
        return legal

    def package_name(self, node: Element, text: str) -> str:
        """A native or generic name; an error where no package manager has such a name."""
        if not text:
            self.error(node, f"<{node.tag!s}> names nothing", "write one package's name")
        elif not is_possible(text):
            hint = 'one package\'s name; a version goes into rel="…" and version="…"'
            self.error(node, f"“{text}” is not the name of a package", hint)
        return text

    def check_native(self, node: Element, name: str, condition: Filter) -> None:
        """Warn where a package's name is impossible on a target that it is for, and the table of
        names does not say what it is called there."""
        if NAME.fullmatch(name) or not is_possible(name):
            return
        refused = [
            target.platform
            for target in _deb_targets()
            if applies(replace(condition, archs=()), target)
            and not all(NAME.fullmatch(native) for native in self.names.native(name, target))
        ]
        if refused:
            self.warn(
                node,
                f"“{name}” cannot be the name of a package on {', '.join(refused)}",
                f"say in names.toml what it is called there: perhaps {legal_name(name)}",
            )

    def category(self, children: Children) -> str:
        node = self.single(children, "class")
        if node is None:
            return "third-party"
        text = self.text(node)
        word = text.lower().partition(" ")[0]
        category = _SLIPS.get(word, word)
        if category not in CLASSES:
            self.error(node, f"the class is “{text}”", expected(word, CLASSES))
        elif category != text:
            self.warn(node, f"the class “{text}” is read as “{category}”", f"write {category}")
        return category

    def licence(self, parent: Element, children: Children) -> str:
        text = self.needed(parent, children, "license")
        if not text:
            return ""
        licence, complaint, hint = read_licence(text)
        if complaint:
            self.warn(children["license"][0], complaint, hint)
        return licence

    def groups(self, parent: Element, children: Children) -> tuple[str, ...]:
        texts = [self.text(node) for node in children.get("group", [])]
        groups = tuple(text for text in texts if text)
        if groups:
            return groups
        usual = "Applications/System"
        self.warn(parent, f"there is no <group>: it is “{usual}”", f"add <group>{usual}</group>")
        return (usual,)

    def description(self, children: Children) -> str:
        """The description, one line a paragraph, an empty line between two."""
        node = self.single(children, "description")
        if node is None:
            return ""
        self.text(node)
        paragraphs = re.split(r"\n\s*\n", content(node).strip())
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    def person(self, node: Element, role: str, children: Children) -> Author:
        """An author by name and email. Who left out one of the two is not kept out of a package:
        it can be built, with a warning."""
        name, email = self.leaf(children, "name"), self.leaf(children, "email")
        if not email:
            self.warn(node, f"no email: it is {NO_EMAIL}", "add <email>…</email>")
            email = NO_EMAIL
        elif "@" not in email or " " in email:
            self.warn(node, f"“{email}” is not an email address", "write it like a@example.org")
        if not name:
            self.warn(node, f"no name: it is {email}", "add <name>…</name>")
        return Author(role=role, name=name or email, email=email)


@cache
def _deb_targets() -> tuple[Target, ...]:
    """A target for each release of the family that is strict about names."""
    table = known_targets()
    architecture = next(iter(table.architectures))
    return tuple(
        table.find(f"{name}-{architecture}")
        for name, distribution in table.distributions.items()
        if distribution.family is Family.DEB
    )


def content(node: Element) -> str:
    """The text of an element as it is written, with what comments and elements stand between."""
    return (node.text or "") + "".join(child.tail or "" for child in node)


def loose_text(node: Element) -> str:
    """The text of an element that should have none, with white space folded."""
    return " ".join(content(node).split())
