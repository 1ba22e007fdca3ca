# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes an `Opkg` as a config.xml of the current generation. What is written reads the same."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from lxml import etree

from opkg.config_xml import SECTIONS
from opkg.spec import Author, Dependency, Filter, Kind, Opkg, Relation, Release
from opkg.xml_file import Element

_WIDTH = 78


def config_text(opkg: Opkg) -> str:
    """The document, in the order of elements that `opkg.xsd` asks for.

    Relations of one kind and part keep their order, and so does everything else; a relation that
    is of no section (`SECTIONS`) is a mistake of the caller.
    """
    root = etree.Element("oscar")
    _leaf(root, "name", opkg.name)
    _leaf(root, "class", opkg.category)
    _leaf(root, "summary", opkg.summary)
    _leaf(root, "description", _wrapped(opkg.description))
    _leaf(root, "license", opkg.licence)
    for group in opkg.groups:
        _leaf(root, "group", group)
    if opkg.uri:
        _leaf(root, "uri", opkg.uri)
    _authors(root, opkg.authors)
    _filters(root, opkg.availability)
    _dependencies(root, [dep for dep in opkg.dependencies if not dep.parts])
    for section, parts in SECTIONS.items():
        mine = [dep for dep in opkg.dependencies if dep.parts == parts]
        if mine:
            _dependencies(etree.SubElement(root, section), mine)
    _changelog(root, opkg.releases)
    etree.indent(root, "  ")
    body = etree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _leaf(parent: Element, tag: str, text: str, **attributes: str) -> None:
    node = etree.SubElement(parent, tag, {k: v for k, v in attributes.items() if v})
    node.text = text


def _wrapped(text: str) -> str:
    """Paragraphs in lines for reading; white space is folded when they are read again."""
    return "\n\n".join(
        textwrap.fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for paragraph in text.split("\n\n")
    )


def _authors(root: Element, authors: Iterable[Author]) -> None:
    parent = etree.SubElement(root, "authors")
    for author in authors:
        node = etree.SubElement(parent, "author", cat=author.role)
        _leaf(node, "name", author.name)
        _leaf(node, "email", author.email)


def _filters(parent: Element, condition: Filter) -> None:
    if not condition.dists and not condition.archs:
        return
    node = etree.SubElement(parent, "filters")
    for dist in condition.dists:
        _leaf(node, "dist", dist.name, rel=dist.rel, version=dist.version)
    for arch in condition.archs:
        _leaf(node, "arch", arch)


def _dependencies(parent: Element, dependencies: list[Dependency]) -> None:
    for kind in Kind:
        for dep in dependencies:
            if dep.kind is kind:
                node = etree.SubElement(parent, kind.value)
                _filters(node, dep.filter)
                for relation in dep.relations:
                    _package(node, relation)


def _package(parent: Element, relation: Relation) -> None:
    _leaf(parent, "pkg", relation.name, rel=relation.rel, version=relation.version)


def _changelog(root: Element, releases: Iterable[Release]) -> None:
    parent = etree.SubElement(root, "changelog")
    for release in releases:
        entry = etree.SubElement(parent, "versionEntry", version=str(release.version))
        for change in release.changes:
            node = etree.SubElement(entry, "changelogEntry", authorName=change.author)
            node.set("date", change.date.isoformat())
            if change.closes:
                node.set("closes", " ".join(map(str, change.closes)))
            for item in change.items:
                _leaf(node, "item", item)
