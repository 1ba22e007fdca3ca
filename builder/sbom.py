# SPDX-License-Identifier: GPL-2.0-or-later
"""The bill of materials of a native package.

Sources: CycloneDX 1.6; the package-url specification.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import rpm_rs
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from debian.deb822 import PkgRelation
from debian.debfile import DebFile
from packageurl import PackageURL

from opkg import licence
from opkg.manifest import Artifact, Input, InputSource, OpkgInfo
from opkg.target import Family, Target

_OURS = "oscar"
# Begins what is ours among the properties of components.
_PREFIX = "oscar:"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A package, its OPKG, and what it was made from."""

    artifact: Artifact
    info: OpkgInfo
    made_from: Input
    target: Target


def sbom(subject: Subject, path: Path) -> bytes:
    """The bill of materials of the package at `path`, in CycloneDX's JSON: the package, its
    licence, the sources it was made from, and the native packages that it requires. The same
    package and inputs give the same bytes."""
    artifact, info = subject.artifact, subject.info
    bom = Bom(
        serial_number=uuid.uuid5(
            uuid.NAMESPACE_URL, f"{artifact.sha256} {subject.made_from.sha256} {artifact.file}"
        )
    )
    bom.metadata.timestamp = datetime.fromisoformat(info.changed)
    main = _package(subject)
    bom.metadata.component = main
    tools = subject.made_from.tools.items()
    bom.metadata.tools.components = [
        Component(name=name, version=version, type=ComponentType.APPLICATION)
        for name, version in tools
    ]
    # What only the three plain packages hold comes from the OPKG's directory.
    compiled = artifact.part is None
    parts = [_source(source) for source in subject.made_from.sources if compiled]
    needed = [
        _needed(name, version, subject.target)
        for name, version in sorted(set(_requirements(path, subject.target.family)))
    ]
    bom.components = [*parts, *needed]
    bom.register_dependency(main, [*parts, *needed])
    return (JsonV1Dot6(bom).output_as_string(indent=2) + "\n").encode()


def _package(subject: Subject) -> Component:
    artifact, info = subject.artifact, subject.info
    return Component(
        bom_ref=artifact.file,
        type=ComponentType.APPLICATION,
        name=artifact.name,
        version=artifact.version,
        description=info.summary,
        licenses=[_licence(info.licence)],
        publisher=info.maintainer,
        purl=_purl(_OURS, artifact.name, artifact.version, artifact.architecture, subject.target),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=artifact.sha256)],
        external_references=[
            ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(info.uri))
        ]
        if info.uri
        else [],
        properties=[
            Property(name=f"{_PREFIX}opkg", value=f"{info.name} {info.version}"),
            Property(name=f"{_PREFIX}directory", value=subject.made_from.directory),
        ],
    )


def _licence(text: str) -> DisjunctiveLicense | LicenseExpression:
    if text in licence.NAMES:
        return DisjunctiveLicense(name=text)
    return LicenseExpression(text)


def _purl(namespace: str, name: str, version: str, architecture: str, target: Target) -> PackageURL:
    epoch, colon, rest = version.partition(":")
    qualifiers = {"arch": architecture, "distro": target.platform}
    if target.family is Family.RPM and colon:
        version, qualifiers["epoch"] = rest, epoch
    known = {key: value for key, value in qualifiers.items() if value}
    return PackageURL(target.family.value, namespace, name, version or None, known)


def _source(source: InputSource) -> Component:
    hashes = []
    properties = [
        Property(name=f"{_PREFIX}patch:{patch.file}", value=patch.sha256)
        for patch in source.patches
    ]
    references = []
    if source.kind == "url":
        kind = ExternalReferenceType.SOURCE_DISTRIBUTION
        references = [ExternalReference(type=kind, url=XsUri(source.place))]
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=source.sha256)]
    elif source.kind == "git":
        references = [ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(source.place))]
    elif source.sha256:
        properties.append(Property(name=f"{_PREFIX}digest", value=source.sha256))
    return Component(
        bom_ref=f"source:{source.name}",
        type=ComponentType.FILE if source.kind == "path" else ComponentType.LIBRARY,
        name=source.name if source.kind != "path" else source.place,
        version=source.commit or None,
        description="a source, replaced by its builder" if source.replaced else "a source",
        hashes=hashes,
        external_references=references,
        properties=properties,
    )


@cache
def _needed(name: str, version: str, target: Target) -> Component:
    distribution = target.platform.rpartition("-")[0]
    ours = name.startswith("opkg-")
    # A capability, such as a library's name or a file, is no package.
    is_package = not set(name) & set("/()")
    return Component(
        bom_ref=f"{name} {version}".strip(),
        type=ComponentType.LIBRARY,
        name=name,
        version=version or None,
        purl=_purl(_OURS if ours else distribution, name, version, "", target)
        if is_package
        else None,
    )


def _requirements(path: Path, family: Family) -> Iterator[tuple[str, str]]:
    """What a package requires, with its version where just one will do."""
    if family is Family.RPM:
        for entry in rpm_rs.PackageMetadata.open(str(path)).requires():
            if not entry.name.startswith(("rpmlib(", "config(")):
                exact = entry.flags & _RANGE == rpm_rs.DependencyFlags.EQUAL
                yield entry.name, entry.version if exact else ""
        return
    fields = DebFile(str(path)).debcontrol()
    for field in {"Pre-Depends", "Depends"} & {*fields}:
        for alternatives in PkgRelation.parse_relations(fields[field]):
            for entry in alternatives:
                rel, version = entry.get("version") or ("", "")
                yield entry["name"], version if rel == "=" else ""


_RANGE = rpm_rs.DependencyFlags.EQUAL | rpm_rs.DependencyFlags.LESS | rpm_rs.DependencyFlags.GREATER
