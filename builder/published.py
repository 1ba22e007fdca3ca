# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of a published repository (opkg-repo) that recipes are built with.

What a repository offers is read from its native lists, once the signature over them is checked; so
a build knows before it begins what it will be given, by digest.

Sources: Debian wiki, RepositoryFormat; rpm-md as createrepo_c writes it.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key
from xml.etree import ElementTree as ET

import requests
import zstandard
from debian.deb822 import Packages, Release

from builder import deb_archive, rpm_archive
from builder.openpgp import PublicKeys
from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_bytes
from opkg.manifest import PublishedPackage
from opkg.native.installer import PackageSource
from opkg.spec import Relation
from opkg.target import Family, Target

_NAME = "published"
_COMPONENT = "main"
_TIMEOUT = 30
_UNPACK: Mapping[str, Callable[[bytes], bytes]] = {
    "gz": gzip.decompress,
    "zst": lambda data: zstandard.ZstdDecompressor().stream_reader(data).read(),
}
_REPO = "{http://linux.duke.edu/metadata/repo}"
_COMMON = "{http://linux.duke.edu/metadata/common}"
_RPM = "{http://linux.duke.edu/metadata/rpm}"
_HOLDS = {Family.DEB: deb_archive.holds, Family.RPM: rpm_archive.holds}


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """A package in a list: what it is called, too, and what it needs."""

    package: PublishedPackage
    names: frozenset[str]
    requires: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A channel of the repository at `url`, signed by one of `keys`."""

    url: str
    channel: str
    keys: PublicKeys
    _offers: dict[str, Mapping[str, Sequence[_Offer]]] = field(default_factory=dict, compare=False)

    def source(self, target: Target) -> PackageSource:
        """What a target's package manager is told of it."""
        return PackageSource(
            name=_NAME,
            url=self._folder(target),
            keys=self.keys.armored,
            suite=target.platform,
            component=_COMPONENT,
        )

    def used_for(self, needed: Iterable[Relation], target: Target) -> tuple[PublishedPackage, ...]:
        """Those of its packages that a root with what is `needed` gets: the newest that fit, and
        what these require in turn. Raises OpkgError where the repository cannot be read, and
        IntegrityError where it is not signed by the key."""
        if target.name not in self._offers:
            self._offers[target.name] = self._read(target)
        offers, holds = self._offers[target.name], _HOLDS[target.family]
        todo, found = list(needed), dict[str, PublishedPackage]()
        while todo:
            one = todo.pop()
            fitting = (
                offer
                for offer in offers.get(one.name, ())
                if not one.rel or holds(offer.package.version, one.rel, one.version)
            )
            offer = next(fitting, None)
            if offer and offer.package.name not in found:
                found[offer.package.name] = offer.package
                todo += [Relation(name=name) for name in offer.requires]
        return tuple(found[name] for name in sorted(found))

    def _read(self, target: Target) -> Mapping[str, Sequence[_Offer]]:
        """What is offered for a target by each name, the newest first."""
        holds = _HOLDS[target.family]

        def order(one: _Offer, other: _Offer) -> int:
            ours, theirs = one.package.version, other.package.version
            return holds(ours, "<", theirs) - holds(ours, ">", theirs)

        read = _debs if target.family is Family.DEB else _rpms
        found: dict[str, list[_Offer]] = {}
        for offer in sorted(read(self, target), key=cmp_to_key(order)):
            for name in offer.names:
                found.setdefault(name, []).append(offer)
        return found

    def _folder(self, target: Target) -> str:
        """The archive, or the folder with repodata/, that is for a target."""
        if target.family is Family.DEB:
            return f"{self.url}/deb/{self.channel}"
        return f"{self.url}/rpm/{self.channel}/{target.name}"

    def _signed(self, url: str, signature: str) -> bytes:
        """A file that the key must have signed, in a file beside it."""
        data = _get(url)
        try:
            self.keys.check(data, _get(signature))
        except IntegrityError as error:
            error.where = url
            error.hint = "is it the repository's own key? it serves that as keys/repository.asc"
            raise
        return data


def _debs(repository: Published, target: Target) -> Iterator[_Offer]:
    folder = f"{repository._folder(target)}/dists/{target.platform}"
    release = Release(repository._signed(f"{folder}/Release", f"{folder}/Release.gpg"))
    listed = {entry["name"]: entry["sha256"] for entry in release.get("SHA256") or []}
    plain = f"{_COMPONENT}/binary-{target.native_architecture}/Packages"
    forms = [form for form in _UNPACK if f"{plain}.{form}" in listed]
    if not forms:
        raise OpkgError(f"there are no packages for {target.name}", where=folder)
    name = f"{plain}.{forms[0]}"
    text = _UNPACK[forms[0]](_checked(f"{folder}/{name}", listed[name]))
    for stanza in Packages.iter_paragraphs(text, use_apt_pkg=False):
        yield _deb(stanza)


def _deb(stanza: Packages) -> _Offer:
    def first(kind: str) -> Iterator[str]:
        """The first of the alternatives: what apt takes where none is installed."""
        yield from (group[0]["name"] for group in stanza.relations[kind] or () if group)

    package = PublishedPackage(
        name=stanza["Package"], version=stanza["Version"], sha256=stanza["SHA256"]
    )
    return _Offer(
        package=package,
        names=frozenset({package.name, *first("provides")}),
        requires=(*first("depends"), *first("pre-depends")),
    )


def _rpms(repository: Published, target: Target) -> Iterator[_Offer]:
    folder = repository._folder(target)
    index = f"{folder}/repodata/repomd.xml"
    data = ET.fromstring(repository._signed(index, f"{index}.asc"))  # noqa: S314 (signed)
    entry = data.find(f"{_REPO}data[@type='primary']")
    place = entry.find(f"{_REPO}location") if entry is not None else None
    if entry is None or place is None:
        raise OpkgError("no list of packages is named", where=index)
    href = place.get("href", "")
    listed = _checked(f"{folder}/{href}", entry.findtext(f"{_REPO}checksum", ""))
    text = _UNPACK[href.rpartition(".")[2]](listed)
    for package in ET.fromstring(text).iter(f"{_COMMON}package"):  # noqa: S314 (signed)
        yield _rpm(package)


def _rpm(entry: ET.Element) -> _Offer:
    def named(kind: str) -> list[str]:
        found = entry.iterfind(f"{_COMMON}format/{_RPM}{kind}/{_RPM}entry")
        return [each.get("name", "") for each in found]

    version = entry.find(f"{_COMMON}version")
    words = version.attrib if version is not None else {}
    epoch = f"{words['epoch']}:" if words.get("epoch", "0") != "0" else ""
    package = PublishedPackage(
        name=entry.findtext(f"{_COMMON}name", ""),
        version=f"{epoch}{words.get('ver', '')}-{words.get('rel', '')}",
        sha256=entry.findtext(f"{_COMMON}checksum", ""),
    )
    return _Offer(
        package=package,
        names=frozenset({package.name, *named("provides")}),
        requires=tuple(named("requires")),
    )


def _get(url: str) -> bytes:
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
        answer.raise_for_status()
    except (OSError, ValueError) as error:
        raise OpkgError(
            f"the published repository cannot be read: {error}",
            where=url,
            hint="--repo names the address of its tree, a channel, and the file of its key",
        ) from error
    return answer.content


def _checked(url: str, sha256: str) -> bytes:
    """A file that must have this digest."""
    data = _get(url)
    if sha256_bytes(data) != sha256:
        raise IntegrityError(
            "this is not what the repository signed", where=url, hint="is it being published?"
        )
    return data
