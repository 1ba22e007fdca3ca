# SPDX-License-Identifier: GPL-2.0-or-later
"""The two lists that the first OPD of OSCAR read: oscar_repositories.xml, of repositories, and in
each of these oscar_packages.xml, of OPKGs. Neither is signed, as it was then."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from email.utils import parseaddr
from xml.etree.ElementTree import Element, SubElement, tostring

from opkg import index
from opkg.spec import Kind, Part
from opkg.version import Version

REPOSITORIES = "oscar_repositories.xml"
PACKAGES = "oscar_packages.xml"

_HEAD = b"<?xml version='1.0' encoding='UTF-8'?>\n"
_RELATIONS = (Kind.PROVIDES, Kind.REQUIRES, Kind.CONFLICTS)
# What XML 1.0 cannot hold.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def repositories(origin: str, url: str, channels: Iterable[str]) -> bytes:
    """The list of repositories: one for each channel below the tree's `url`."""
    root = Element("repositories")
    _tell(SubElement(root, "files"), {"package_listing": PACKAGES})
    for channel in channels:
        site = SubElement(root, "site")
        address = f"{url.rstrip('/')}/opd/{channel}"
        _tell(site, {"name": f"{origin}: {channel}", "location": url, "uri": address})
    return _HEAD + tostring(root) + b"\n"


def packages(entries: Iterable[bytes]) -> Iterator[bytes]:
    """The list of packages with its `entries`."""
    yield _HEAD + b"<packages>\n"
    yield from entries
    yield b"</packages>\n"


def entry(offer: index.Offer) -> bytes:
    """What the list says of an OPKG for one target. The download is its package opkg-NAME, by its
    path from the list; the digests that it could have are older than SHA-256, and left out."""
    info = offer.opkg
    root = Element("package")
    _tell(root, {"name": info.name})
    version = Version.parse(info.version)
    numbers = [*version.upstream.split(".", 2), "", ""]
    words = ("major", "minor", "subversion")
    parts = {**dict(zip(words, numbers, strict=False)), "release": version.release}
    _tell(SubElement(root, "version"), {**parts, "epoch": str(version.epoch or "")})
    _tell(
        root,
        {
            "class": info.category,
            "summary": info.summary,
            "license": info.licence,
            "group": info.groups[0] if info.groups else "",
            "url": info.uri,
            "description": info.description,
            "installable": "1",
        },
    )
    name, address = parseaddr(info.maintainer)
    _tell(SubElement(root, "maintainer"), {"name": name, "email": address})
    for relation in info.relations:
        if relation.kind in _RELATIONS:
            words_of = {"name": relation.name, "type": "package"}
            _tell(SubElement(root, relation.kind.value), words_of)
    for artifact in offer.artifacts:
        if artifact.part is Part.API:
            download = {"uri": f"../../{artifact.file}", "size": str(artifact.size)}
            _tell(SubElement(root, "download"), download)
    return tostring(root) + b"\n"


def _tell(parent: Element, fields: Mapping[str, str]) -> None:
    """Put elements with a text into `parent`; what is empty is left out."""
    for name, value in fields.items():
        if value:
            SubElement(parent, name).text = _CONTROL.sub(" ", value)
