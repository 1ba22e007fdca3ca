# SPDX-License-Identifier: GPL-2.0-or-later
"""What was there before: the lines that the first OPD printed for other programs, and the master
list of repositories that it read (oscar_repositories.xml)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import getaddresses
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from opd.oda import Repository
from opd.repository import Known
from opkg.errors import OpkgError
from opkg.index import Offer
from opkg.spec import Kind
from opkg.version import Version

_LARGEST = 4 << 20  # bytes of a master list
_OURS = re.compile(r"(?P<url>.+)/opd/(?P<channel>[^/]+)")


@dataclass(frozen=True, kw_only=True)
class Site:
    """A repository of a master list; `title` is for people."""

    name: str
    title: str
    url: str
    channel: str
    mirrors: tuple[str, ...]


def repository_line(row: Repository) -> str:
    """A trusted repository: name, location, address. Nobody is asked for a location today."""
    return _line([row.name, "", row.url])


def package_line(known: Known, offers: Sequence[Offer]) -> str:
    """An OPKG in 29 fields, in the first OPD's order. What is not known today, or has no meaning
    any more, is empty: the OSCAR version, the MD5 and SHA-1 sums."""
    opkg = offers[0].opkg
    version = Version.parse(opkg.version)
    major, minor, subversion = [*version.upstream.split(".", 2), "", ""][:3]
    packagers = getaddresses([opkg.maintainer])
    related = {
        kind: [relation.name for relation in opkg.relations if relation.kind is kind]
        for kind in (Kind.PROVIDES, Kind.REQUIRES, Kind.CONFLICTS)
    }
    files = {artifact.file: None for offer in offers for artifact in offer.artifacts}
    return _line(
        [
            opkg.name,
            *(major, minor, version.release, subversion, str(version.epoch)),
            *[""] * 5,
            _list(name for name, _ in packagers),
            _list(address for _, address in packagers),
            " ".join(opkg.description.split()),
            opkg.licence,
            "1",
            _list(opkg.groups),
            " ".join(opkg.summary.split()),
            opkg.uri,
            opkg.category,
            *("", ""),
            _list(url for file in files for url in known.urls(file)),
            *(
                text
                for names in related.values()
                for text in (_list(names), _list("package" for _ in names))
            ),
        ]
    )


def _line(fields: Iterable[str]) -> str:
    """Fields as the first OPD separated them; it had no way to write the separator in a text."""
    return '"' + '":"'.join(field.replace('":"', "':'") for field in fields) + '"'


def _list(words: Iterable[str]) -> str:
    return '","'.join(words)


def read_master(path: Path) -> list[Site]:
    """Read a master list. An address that ends in /opd/CHANNEL names a channel of one of our
    repositories, any other the channel stable; a site's further addresses are mirrors. Raises
    OpkgError for what is no such list."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OpkgError(error.strerror or str(error), where=str(path)) from error
    if len(content) > _LARGEST:
        raise OpkgError("this is too long for a list of repositories", where=str(path))
    try:
        root = fromstring(content, forbid_dtd=True)
    except ParseError as error:
        raise OpkgError(f"this is no XML: {error}", where=str(path)) from error
    except DefusedXmlException as error:
        raise OpkgError("a list of repositories has no DOCTYPE", where=str(path)) from error
    sites = [_site(element, path) for element in root.iter("site")]
    if not sites:
        raise OpkgError("this list names no site", where=str(path))
    return sites


def _site(element: Element, path: Path) -> Site:
    name = (element.findtext("name") or "").strip()
    uris = [text.strip().rstrip("/") for uri in element.iter("uri") if (text := uri.text)]
    if not name or not all(uris) or not uris:
        raise OpkgError("a site lacks its name or its uri", where=str(path))
    # A name here is a part of paths; there it was a title.
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "site"
    found = [_OURS.fullmatch(uri) for uri in uris]
    channel = next((match["channel"] for match in found if match), "stable")
    tops = [match["url"] if match else uri for match, uri in zip(found, uris, strict=True)]
    location = (element.findtext("location") or "").strip()
    return Site(
        name=word[:64],
        title=f"{word[:64]} ({location})" if location else word[:64],
        url=tops[0],
        channel=channel,
        mirrors=tuple(tops[1:]),
    )
