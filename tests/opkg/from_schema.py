# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents made at random after an XML schema: whatever the schema allows is drawn sometimes.

It knows as much of XML Schema as opkg.xsd uses, and stops at anything else. Types marked “old”
are left out unless asked for.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from hypothesis import strategies as st
from lxml import etree

_XS = "{http://www.w3.org/2001/XMLSchema}"
# Without the characters that XML does not have.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
TEXT = st.text(CHARACTERS, max_size=12)

Element = etree._Element


class Schema:
    """A schema whose documents can be drawn."""

    def __init__(self, path: Path, *, old: bool) -> None:
        self.root = etree.parse(path).getroot()
        self.old = old
        # Kept, since making one takes longer than drawing from it.
        self.made: dict[str | Element, st.SearchStrategy[str]] = {}
        self.named = {
            (node.tag, node.get("name")): node
            for node in self.root
            if isinstance(node.tag, str) and node.get("name")
        }

    def document(self, draw: st.DrawFn, root: str) -> Element:
        return self.element(draw, self.named[f"{_XS}element", root])

    def element(self, draw: st.DrawFn, declared: Element) -> Element:
        node = etree.Element(declared.get("name"))
        kind = declared.get("type")
        inline = declared.find(f"{_XS}complexType")
        complex_type = self.named.get((f"{_XS}complexType", kind)) if kind else inline
        if complex_type is None:
            node.text = draw(self.simple(kind or declared.find(f"{_XS}simpleType")))
        else:
            self.fill(draw, node, complex_type)
        return node

    def fill(self, draw: st.DrawFn, node: Element, complex_type: Element) -> None:
        for part in complex_type:
            if part.tag == f"{_XS}sequence":
                for child in part:
                    self.repeat(draw, node, child)
            elif part.tag == f"{_XS}simpleContent":
                extension = part[0]
                node.text = draw(self.simple(extension.get("base")))
                self.fill(draw, node, extension)
            elif part.tag == f"{_XS}attributeGroup":
                self.fill(draw, node, self.named[part.tag, part.get("ref")])
            elif part.tag == f"{_XS}attribute":
                if part.get("use") == "required" or draw(st.booleans()):
                    kind = part.get("type") or part.find(f"{_XS}simpleType")
                    node.set(part.get("name"), draw(self.simple(kind)))
            else:
                raise NotImplementedError(part.tag)

    def repeat(self, draw: st.DrawFn, node: Element, child: Element) -> None:
        if not isinstance(child.tag, str):
            return
        assert child.tag == f"{_XS}element"
        least = int(child.get("minOccurs", "1"))
        most = child.get("maxOccurs", "1")
        times = draw(st.integers(least, least + 2 if most == "unbounded" else int(most)))
        for _ in range(times):
            node.append(self.element(draw, child))

    def simple(self, kind: str | Element) -> st.SearchStrategy[str]:
        """The texts of a simple type, by its name or its definition."""
        if kind not in self.made:
            self.made[kind] = self.texts(kind)
        return self.made[kind]

    def texts(self, kind: str | Element) -> st.SearchStrategy[str]:
        if isinstance(kind, str):
            if kind.startswith("xs:"):
                return _builtin(kind)
            kind = self.named[f"{_XS}simpleType", kind]
        body = kind[-1]
        if body.tag == f"{_XS}union":
            members = [name for name in body.get("memberTypes").split() if self.allows(name)]
            return st.one_of([self.simple(name) for name in members])
        if body.tag == f"{_XS}list":
            return st.lists(self.simple(body.get("itemType")), max_size=3).map(" ".join)
        assert body.tag == f"{_XS}restriction"
        return _restricted(body)

    def allows(self, name: str) -> bool:
        marks = self.named[f"{_XS}simpleType", name].itertext(f"{_XS}appinfo")
        return self.old or "old" not in marks


def _restricted(body: Element) -> st.SearchStrategy[str]:
    facets = [(facet.tag.removeprefix(_XS), facet.get("value")) for facet in body]
    if not facets:
        return _builtin(body.get("base"))
    kind, value = facets[0]
    if kind == "enumeration":
        return st.sampled_from([word for _, word in facets])
    assert len(facets) == 1
    if body.get("base") == "xs:dateTime":
        years = dates(datetime(1971, 1, 1), datetime(2099, 12, 31))
        return years.filter(lambda text: re.fullmatch(value, text))
    if kind == "pattern":
        return st.from_regex(value, fullmatch=True, alphabet=CHARACTERS)
    assert kind == "maxLength"
    return TEXT.filter(lambda text: len(text) <= int(value))


def _builtin(name: str) -> st.SearchStrategy[str]:
    if name == "xs:positiveInteger":
        return st.integers(1, 10**6).map(str)
    if name == "xs:anyURI":
        return st.sampled_from(["", "https://a.example/", "mailto:a@b.example", "a", "#b"])
    if name == "xs:dateTime":
        return dates(datetime(1, 1, 2), datetime(9999, 12, 30))
    assert name == "xs:string", name
    return TEXT


def dates(first: datetime, last: datetime) -> st.SearchStrategy[str]:
    """Texts of xs:dateTime, with and without a time zone."""
    moments = st.datetimes(first, last)
    zones = st.sampled_from(["", "Z", "+01:00", "-12:30"])
    return st.builds(lambda moment, zone: f"{moment.isoformat()}{zone}", moments, zones)
