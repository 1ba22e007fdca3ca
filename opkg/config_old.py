# SPDX-License-Identifier: GPL-2.0-or-later
"""The older generations of config.xml, read into the `Opkg` of today.

An OPKG was known by its directory; <name> was a title. Maintainers were those of the software,
packagers those of the OPKG. Lists of packages had filters of which any could hold, each of a
group, a distribution and an architecture; today's filters say the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from opkg.changelog_reader import read_version
from opkg.config_reader import SUMMARY_LIMIT, Children, ConfigReader
from opkg.findings import expected
from opkg.generation import CONVERT, Generation
from opkg.older import architecture_words, distribution_words, older
from opkg.older_filters import Condition, both, merged, section_of
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
from opkg.version import is_comparable
from opkg.xml_file import Element

_LISTS = ("rpmlist", "binary-package-list")
_KINDS = {"provides": Kind.PROVIDES, "conflicts": Kind.CONFLICTS, "requires": Kind.REQUIRES}
_PEOPLE = {"maintainer": "upstream", "packager": "maintainer"}
_ELEMENTS = frozenset(
    ("name", "version", "class", "summary", "license", "group", "url", "uri", "description")
) | {"filter", *_LISTS, *_KINDS, *_PEOPLE}
# What they hold is an OPKG's own.
_HOLDERS = frozenset(("package", "package-specific-attributes"))
_CURRENT_ONLY = ("authors", "filters", "serverDeps", "clientDeps", "commonDeps", "apiDeps")

_SERVER, _CLIENT = frozenset((Part.SERVER,)), frozenset((Part.CLIENT,))
_BOTH = _SERVER | _CLIENT
_GROUPS = {
    "": _BOTH,
    "oscar_server": _SERVER,
    "oscar_clients": _CLIENT,
    "oscar_client": _CLIENT,
    "oscar_api": frozenset((Part.API,)),
}
_SIDES = {"all": _BOTH, "server": _SERVER, "client": _CLIENT}

# What CVS and Subversion wrote into files that they kept: $Id: config.xml,v 1.2 2003/10/22 …$
_KEYWORD = re.compile(r"\$(?:Id|Date|Header|LastChangedDate)\b[^$\n]*\$")
_DATE = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)(?:[ T](\d\d):(\d\d):(\d\d))?", re.ASCII)
_YEARS = range(1990, 2100)
# The year in which config.xml came to be.
_NO_DATE = datetime(2002, 1, 1, tzinfo=UTC)


class OlderReader(ConfigReader):
    """Reads all generations before the current one; they differ in little but their lists."""

    def opkg(self, root: Element, kind: Generation, data: bytes) -> Opkg | None:
        """The OPKG, or None where there is too little of one. `data` are the file's bytes."""
        self.warn(
            root,
            f"this is an older generation of config.xml ({kind.value})",
            f"{CONVERT} makes it the current one",
        )
        parts = self.known_parts(root)
        children: Children = {}
        for tag, node in parts:
            children.setdefault(tag, []).append(node)
        name = self.name(root, children)
        authors = self.authors(root, parts)
        summary, description = self.texts(root, children)
        category = self.category(children)
        licence = self.licence(root, children)
        groups = self.groups(root, children)
        dependencies = self.dependencies(parts)
        availability = self.availability(children.get("filter", []))
        releases = self.releases(root, children, authors, kind, data)
        if not releases or not authors:
            return None
        return Opkg(
            name=name,
            category=category,
            summary=summary,
            description=description,
            licence=licence,
            groups=groups,
            uri=self.leaf(children, "uri") or self.leaf(children, "url"),
            authors=authors,
            availability=availability,
            dependencies=dependencies,
            releases=releases,
        )

    def known_parts(self, root: Element) -> list[tuple[str, Element]]:
        """The child elements that have a place today; a warning for each that has none."""
        gone = older().gone
        result = []
        known = _ELEMENTS | _HOLDERS | set(gone) | set(_CURRENT_ONLY)
        for tag, node in self.children(root, known):
            if tag in _HOLDERS:
                for child in node.iterchildren("*"):
                    self.gone(child, f"<{child.tag!s}> in <{tag}>", gone.get(str(child.tag)))
            elif tag in gone:
                self.gone(node, f"<{tag}>", gone[tag])
            elif tag in _CURRENT_ONLY:
                hint = "with it, <changelog> takes the place of <version>"
                self.error(node, f"<{tag}> is of the current generation of config.xml", hint)
            else:
                result.append((tag, node))
        return result

    def gone(self, node: Element, what: str, hint: str | None) -> None:
        """Warn of an element that nothing is made of today, and say all that it said."""
        said = " ".join(" ".join(str(text) for text in node.itertext()).split())
        usual = "settings of an OPKG belong into its scripts"
        self.warn(node, f"{what} has no place today, and is left out: {said}", hint or usual)

    def name(self, root: Element, children: Children) -> str:
        """The directory's name, as OSCAR knew the OPKG."""
        node = self.single(children, "name")
        name = self.directory_name(root if node is None else node)
        if node is not None and (title := self.text(node)) != name:
            self.warn(
                node,
                f"the OPKG is called {name}, as its directory; “{title}” is its title",
                "other OPKGs know it by its directory; rename that to give it another name",
            )
        return name

    def authors(self, root: Element, parts: list[tuple[str, Element]]) -> tuple[Author, ...]:
        authors = tuple(
            self.person(node, _PEOPLE[tag], self.sorted(node, ("name", "email")))
            for tag, node in parts
            if tag in _PEOPLE
        )
        if not authors:
            hint = "add <packager> with <name> and <email>"
            self.error(root, "there is neither a packager nor a maintainer", hint)
        return authors

    def texts(self, root: Element, children: Children) -> tuple[str, str]:
        """Summary and description. A summary that is too long for today is cut between words,
        and stands in full at the head of the description."""
        summary = self.needed(root, children, "summary")
        description = self.description(children)
        if len(summary) <= SUMMARY_LIMIT:
            return summary, description or summary
        short = summary[: SUMMARY_LIMIT - 1].rsplit(" ", 1)[0].rstrip(" ,;:.") + "…"
        self.warn(
            children["summary"][0],
            f"the summary has {len(summary)} characters: it is “{short}”",
            f"at most {SUMMARY_LIMIT}; the whole stands in the description",
        )
        if description.startswith(summary):
            return short, description
        return short, f"{summary}\n\n{description}".strip()

    # The version, of which one release is made

    def releases(
        self,
        root: Element,
        children: Children,
        authors: Sequence[Author],
        kind: Generation,
        data: bytes,
    ) -> tuple[Release, ...]:
        node = self.single(children, "version")
        if node is None:
            self.error(root, "<version> is missing", "add <version><major>1</major>…")
            return ()
        fields = self.sorted(node, ("major", "minor", "subversion", "release", "epoch"))
        numbers = [self.needed(node, fields, "major")]
        numbers += [self.leaf(fields, tag) for tag in ("minor", "subversion")]
        epoch, release = self.leaf(fields, "epoch"), self.leaf(fields, "release")
        text = ".".join(filter(None, numbers)) + (f"-{release}" if release else "")
        version = read_version(self, node, f"{epoch}:{text}" if epoch else text)
        if version is None or not authors:
            return ()
        date = newest_date(data)
        if date is None:
            hint = f"its release is dated {_NO_DATE:%Y-%m-%d}, the year of the first config.xml"
            self.warn(node, "the file bears no date", hint)
        packager = next((a for a in authors if a.role == "maintainer"), authors[0])
        item = f"Taken over from a config.xml of the {kind.value} generation."
        change = Change(author=packager.name, date=date or _NO_DATE, items=(item,))
        return (Release(version=version, changes=(change,)),)

    # Relations and lists of packages

    def dependencies(self, parts: list[tuple[str, Element]]) -> tuple[Dependency, ...]:
        """All relations, in the order of today's config.xml."""
        found: list[Dependency] = []
        for tag, node in parts:
            if tag in _KINDS:
                relation = self.between_opkgs(node)
                found.append(Dependency(kind=_KINDS[tag], parts=frozenset(), relations=(relation,)))
            elif tag in _LISTS:
                found += self.package_list(node)
        kinds = list(Kind)
        return tuple(sorted(found, key=lambda dep: (section_of(dep.parts), kinds.index(dep.kind))))

    def between_opkgs(self, node: Element) -> Relation:
        children = self.sorted(node, ("type", "name"))
        kind = self.leaf(children, "type") or "package"
        if kind != "package":
            self.error(children["type"][0], f"the type is “{kind}”", "expected package")
        name = self.needed(node, children, "name")
        return Relation(name=self.opkg_name(node, name) if name else "")

    def package_list(self, node: Element) -> list[Dependency]:
        """The relations of one list: one for each set of parts, distributions, architectures."""
        children = self.children(node, ("filter", "rpm", "pkg", *_SIDES))
        conditions = [self.condition(child) for tag, child in children if tag == "filter"]
        # What stands on no side is wherever a filter says, and else for server and clients.
        anywhere = frozenset(Part) if conditions else _BOTH
        packages = [(child, anywhere) for tag, child in children if tag in ("rpm", "pkg")]
        for tag, child in children:
            if tag in _SIDES:
                packages += [(rpm, _SIDES[tag]) for _, rpm in self.children(child, ("rpm", "pkg"))]
        found: dict[tuple[frozenset[Part], Filter], list[Relation]] = {}
        for child, side in packages:
            name = self.package_name(child, self.text(child, ("distro", "version")))
            dist = self.dist(child, child.get("distro", ""), child.get("version", ""))
            own = Condition(parts=side, dist=dist)
            where = merged(both(own, each) for each in conditions or [own])
            if not where:
                self.error(child, f"{name} is listed where it cannot be", "see the list's filters")
            for parts, condition in where:
                self.check_native(child, name, condition)
                found.setdefault((parts, condition), []).append(Relation(name=name))
        return [
            Dependency(
                kind=Kind.REQUIRES, parts=parts, relations=tuple(relations), filter=condition
            )
            for (parts, condition), relations in found.items()
        ]

    def condition(self, node: Element) -> Condition:
        """A <filter>, with attributes (rpmlist) or child elements (binary-package-list)."""
        attributes = ("group", "distribution", "distribution_version", "architecture")
        children = self.sorted(node, ("group", "architecture", "distribution"), attributes)
        distribution = self.single(children, "distribution")
        inner = {} if distribution is None else self.sorted(distribution, ("name", "version"))
        return self.condition_of(
            node,
            node.get("group", "") or self.leaf(children, "group"),
            node.get("distribution", "") or self.leaf(inner, "name"),
            node.get("distribution_version", "") or self.leaf(inner, "version"),
            node.get("architecture", "") or self.leaf(children, "architecture"),
        )

    def condition_of(
        self, node: Element, group: str, name: str, release: str, architecture: str
    ) -> Condition:
        """A condition by its old words."""
        if group not in _GROUPS:
            self.error(node, f"the group is “{group}”", expected(group, filter(None, _GROUPS)))
        arch = older().architectures.get(architecture.lower(), architecture.lower())
        if arch and arch not in architecture_words():
            hint = expected(arch, architecture_words())
            self.warn(node, f"no target has the architecture “{arch}”", hint)
        return Condition(
            parts=_GROUPS.get(group, _BOTH), dist=self.dist(node, name, release), arch=arch
        )

    def dist(self, node: Element, name: str, release: str) -> DistFilter | None:
        if not name:
            if release:
                hint = "name the distribution"
                self.error(node, f"release {release} of which distribution?", hint)
            return None
        if release and not is_comparable(release):
            hint = "letters, digits and . + ~ - only"
            self.error(node, f"“{release}” is not a release to compare with", hint)
            return None
        dist = older().distribution(name, release)
        if dist.name not in distribution_words():
            hint = expected(dist.name, distribution_words())
            self.warn(node, f"no target is of the distribution “{name}”", hint)
        today = older().distributions.get(dist.name)
        if today and today.name != dist.name:
            message = f"{name} {release} is no release of what is called {today.name} today"
            self.warn(node, message, f"name it if it is: {today.name}, and its release")
        return dist

    def availability(self, nodes: list[Element]) -> Filter:
        """Where the OPKG is for, as the filters at its top say."""
        found = merged(self.condition(node) for node in nodes)
        if not found:
            return EVERYWHERE
        if len(found) > 1 or found[0][0] != _BOTH:
            hint = "write one list of distributions and one of architectures, for all groups"
            self.error(nodes[0], "today's filters cannot express what these say", hint)
        return found[0][1]


def newest_date(data: bytes) -> datetime | None:
    """The newest date that version control left in a file, if there is one."""
    dates = []
    for keyword in _KEYWORD.findall(data.decode("latin-1")):
        for words in _DATE.findall(keyword):
            year, month, day, hour, minute, second = (int(word or 0) for word in words)
            try:
                dates.append(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
            except ValueError:
                continue
    return max((date for date in dates if date.year in _YEARS), default=None)
