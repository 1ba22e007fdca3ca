# SPDX-License-Identifier: GPL-2.0-or-later
"""config.xml, the metadata of an OPKG, read into an `Opkg` with every finding in its line.

The current generation is read here (`docs/opkg-format.md` and `opkg.xsd` say what it is), its
changelog in `changelog_reader`, the older generations in `config_old`.
"""

from __future__ import annotations

from pathlib import Path

from opkg.changelog_reader import read_changelog
from opkg.config_old import OlderReader
from opkg.config_reader import SUMMARY_LIMIT, Children, ConfigReader
from opkg.errors import Diagnostic
from opkg.findings import expected
from opkg.generation import Generation, generation
from opkg.names import Names, shipped_names
from opkg.naming import NAME, legal_name
from opkg.older import architecture_words, distribution_words
from opkg.spec import EVERYWHERE, Author, Dependency, DistFilter, Filter, Kind, Opkg, Part, Relation
from opkg.version import is_comparable
from opkg.xml_file import Element, read_xml

__all__ = ["NAME", "read_config"]

ROLES = ("upstream", "maintainer", "uploader")
KINDS = {kind.value: kind for kind in Kind}
SECTIONS = {
    "serverDeps": frozenset((Part.SERVER,)),
    "clientDeps": frozenset((Part.CLIENT,)),
    "commonDeps": frozenset((Part.SERVER, Part.CLIENT)),
    "apiDeps": frozenset((Part.API,)),
}
_ELEMENTS = frozenset(
    ("name", "class", "summary", "description", "license", "group", "uri", "authors", "filters")
) | {"changelog", *KINDS, *SECTIONS}
# What older generations had, and what says it now.
_MOVED = {
    "version": 'write <changelog><versionEntry version="1.0-1">…',
    "packager": 'write <authors><author cat="maintainer">…',
    "maintainer": 'write <authors><author cat="upstream">…',
    "rpmlist": "write <serverDeps>, <clientDeps> or <commonDeps>",
    "binary-package-list": "write <serverDeps>, <clientDeps> or <commonDeps>",
    "url": "write <uri>",
}
_PERSON = ("name", "nickname", "email", "institution", "beginYear", "endYear")

_RELATIONS = ("=", "<", "<=", ">", ">=")
_SPELLED = {
    "==": "=", "eq": "=", "lt": "<", "<<": "<", "le": "<=", "=<": "<=", "gt": ">", ">>": ">",
    "ge": ">=", "=>": ">=",
}  # fmt: skip


def read_config(path: Path, names: Names | None = None) -> tuple[Opkg, tuple[Diagnostic, ...]]:
    """Read a config.xml of any generation. Returns the OPKG (without its files) and the warnings.

    `names` is the table that its packages' names are looked up in; without it, the shipped one.
    Raises InvalidInputError with all findings when anything would be lost or is missing.
    """
    root, data = read_xml(path)
    table = names or shipped_names()
    kind = generation(root)
    if kind is Generation.CURRENT:
        current = CurrentReader(path, table)
        opkg, findings = current.opkg(root), current.findings
    else:
        older = OlderReader(path, table)
        opkg, findings = older.opkg(root, kind, data), older.findings
    if opkg is None or findings.failed:
        raise findings.refusal()
    return opkg, findings.sorted()


class CurrentReader(ConfigReader):
    """Reads the current generation."""

    def opkg(self, root: Element) -> Opkg | None:
        """The OPKG, or None where there is too little of one."""
        if root.tag != "oscar":
            hint = "expected <oscar>, in no namespace: compare with docs/opkg-format.md"
            self.error(root, f"the root element is <{root.tag!s}>", hint)
            return None
        parts = self.children(root, _ELEMENTS | set(_MOVED))
        children: Children = {}
        for tag, node in parts:
            if tag in _MOVED:
                message = f"<{tag}> is of an older generation of config.xml"
                self.error(node, message, _MOVED[tag])
            children.setdefault(tag, []).append(node)
        authors = self.authors(root, children)
        releases = read_changelog(self, root, children.get("changelog", []), authors)
        name = self.name(root, children)
        summary = self.summary(root, children) or name
        category = self.category(children)
        licence = self.licence(root, children)
        groups = self.groups(root, children)
        dependencies = self.dependencies(parts)
        availability = self.filter(self.single(children, "filters"))
        if not releases or not authors:
            return None
        return Opkg(
            name=name,
            category=category,
            summary=summary,
            description=self.description(children) or summary,
            licence=licence,
            groups=groups,
            uri=self.leaf(children, "uri"),
            authors=authors,
            availability=availability,
            dependencies=dependencies,
            releases=releases,
        )

    def name(self, root: Element, children: Children) -> str:
        """The OPKG's name: what <name> says, or the directory's where that is a title."""
        node = self.single(children, "name")
        if node is None:
            self.error(root, "<name> is missing", f"add <name>{self.directory_name(root)}</name>")
            return ""
        name = self.text(node)
        if NAME.fullmatch(name):
            return name
        directory = self.directory_name(node)
        self.warn(
            node,
            f"“{name}” is not a name for an OPKG; its directory says {directory}",
            f"write <name>{legal_name(name) or directory}</name>: small letters, digits, + - and .",
        )
        return directory

    def summary(self, root: Element, children: Children) -> str:
        node = self.single(children, "summary")
        if node is None:
            self.error(root, "<summary> is missing", "say in one line what the software is")
            return ""
        summary = self.text(node)
        if not summary:
            self.warn(node, "<summary> is empty: it is the name", "say what the software is")
        elif len(summary) > SUMMARY_LIMIT:
            hint = f"at most {SUMMARY_LIMIT}; all else belongs into <description>"
            self.error(node, f"the summary has {len(summary)} characters", hint)
        return summary

    def authors(self, root: Element, children: Children) -> tuple[Author, ...]:
        result = []
        for parent in children.get("authors", []):
            for _, node in self.children(parent, ("author",)):
                role = node.get("cat", "")
                if role not in ROLES:
                    self.error(node, f"the author's cat is “{role}”", expected(role, ROLES))
                result.append(self.person(node, role, self.sorted(node, _PERSON, ("cat",))))
        if not result:
            self.error(root, "there is no author", "add <authors> with at least one <author>")
        return tuple(result)

    # Relations and filters

    def dependencies(self, parts: list[tuple[str, Element]]) -> tuple[Dependency, ...]:
        result = []
        for tag, node in parts:
            if tag in KINDS:
                result.append(self.dependency(KINDS[tag], frozenset(), node))
            elif tag in SECTIONS:
                result += [
                    self.dependency(KINDS[kind], SECTIONS[tag], child)
                    for kind, child in self.children(node, KINDS)
                ]
        return tuple(result)

    def dependency(self, kind: Kind, parts: frozenset[Part], node: Element) -> Dependency:
        children = self.sorted(node, ("filters", "pkg"))
        condition = self.filter(self.single(children, "filters"))
        relations = tuple(
            self.relation(child, parts, condition) for child in children.get("pkg", [])
        )
        if not relations:
            self.error(node, f"<{kind.value}> names no package", "add <pkg>…</pkg>")
        return Dependency(kind=kind, parts=parts, relations=relations, filter=condition)

    def relation(self, node: Element, parts: frozenset[Part], condition: Filter) -> Relation:
        text = self.text(node, ("rel", "version"))
        rel, version = self.bound(node)
        if not parts:
            return Relation(name=self.opkg_name(node, text), rel=rel, version=version)
        name = self.package_name(node, text)
        self.check_native(node, name, condition)
        return Relation(name=name, rel=rel, version=version)

    def filter(self, node: Element | None) -> Filter:
        if node is None:
            return EVERYWHERE
        dists, archs = [], []
        for tag, child in self.children(node, ("dist", "arch")):
            if tag == "dist":
                dists.append(self.distribution(child))
            else:
                archs.append(self.architecture(child))
        return Filter(dists=tuple(dists), archs=tuple(archs))

    def distribution(self, node: Element) -> DistFilter:
        text = self.text(node, ("rel", "version"))
        name = text.lower()
        if text != name:
            self.warn(node, f"the distribution “{text}” is read as “{name}”", f"write {name}")
        if name not in distribution_words():
            hint = expected(name, distribution_words())
            self.warn(node, f"no target is of the distribution “{name}”", hint)
        rel, version = self.bound(node)
        return DistFilter(name=name, rel=rel, version=version)

    def architecture(self, node: Element) -> str:
        text = self.text(node)
        if text not in architecture_words():
            hint = expected(text, architecture_words())
            self.warn(node, f"no target has the architecture “{text}”", hint)
        return text

    def bound(self, node: Element) -> tuple[str, str]:
        """The attributes rel and version; a version alone means “=”."""
        given, version = node.get("rel", "").strip(), node.get("version", "").strip()
        rel = _SPELLED.get(given, given) or "="
        if rel not in _RELATIONS:
            self.error(node, f"rel is “{given}”", "expected one of " + " ".join(_RELATIONS))
        elif given in _SPELLED:
            self.warn(node, f"rel “{given}” is read as “{rel}”", f'write rel="{rel}"')
        if not version:
            if "rel" in node.attrib or "version" in node.attrib:
                hint = 'add version="…", or take rel away'
                self.warn(node, "rel without a version means any version", hint)
            return "", ""
        if not is_comparable(version):
            hint = "letters, digits and . + ~ - only, a colon behind an epoch"
            self.error(node, f"“{version}” is not a version to compare with", hint)
            return "", ""
        return rel, version
