# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a .deb in process, for packages that hold nothing compiled.

Sources: deb(5), deb-control(5), Debian Policy chapters 5 (control fields), 12.5 (copyright) and
12.7 (changelog).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
import textwrap
from collections.abc import Iterable
from email.utils import format_datetime
from pathlib import PurePosixPath

import zstandard
from debian.changelog import Changelog

from builder.scripts import maintainer_scripts
from builder.text import wrapped
from opkg.resolve import DOC_DIR, NativePackage, NativeVersion
from opkg.spec import Kind, Opkg, Part, Relation
from opkg.target import Family, Target

_FIELDS = {
    Kind.REQUIRES: "Depends",
    Kind.RECOMMENDS: "Recommends",
    Kind.SUGGESTS: "Suggests",
    Kind.CONFLICTS: "Conflicts",
    Kind.PROVIDES: "Provides",
}
_SCRIPTS = {
    "pre-install": "preinst",
    "post-install": "postinst",
    "pre-uninstall": "prerm",
    "post-uninstall": "postrm",
}
# A licence of config.xml and the text that Debian's base-files has of it.
_COMMON_LICENCES = {"GPL": "GPL-2", "GPL-2.0": "GPL-2", "GPL-3.0": "GPL-3", "LGPL": "LGPL-2.1"}

_Member = tuple[str, bytes, int]  # path without a leading slash, content, mode


def deb_name(package: NativePackage) -> str:
    """The file's name: name_version_architecture.deb, without the epoch."""
    return f"{package.name}_{package.version.without_epoch}_{package.architecture}.deb"


def deb_bytes(opkg: Opkg, package: NativePackage, target: Target) -> bytes:
    """The whole package. The same OPKG and target give the same bytes."""
    stamp = int(opkg.changed.timestamp())
    members = _members(opkg, package)
    scripts = maintainer_scripts(package, opkg.name, Family.DEB)
    sums = "".join(f"{hashlib.md5(data).hexdigest()}  {path}\n" for path, data, _ in members)  # noqa: S324 (the format's digest)
    control = [("control", _control(opkg, package, members).encode(), 0o644)]
    control.append(("md5sums", sums.encode(), 0o644))
    control += [
        (_SCRIPTS[moment], f"#!/bin/sh\n{text}".encode(), 0o755) for moment, text in scripts.items()
    ]
    kind = target.distribution.package_compression
    suffix = {"gzip": "gz", "xz": "xz", "zstd": "zst"}[kind]
    return _ar(
        [
            ("debian-binary", b"2.0\n"),
            (f"control.tar.{suffix}", _compress(_tar(control, stamp), kind)),
            (f"data.tar.{suffix}", _compress(_tar(members, stamp), kind)),
        ],
        stamp,
    )


def _members(opkg: Opkg, package: NativePackage) -> list[_Member]:
    """The package's files, with the changelog and the copyright that every package has."""
    docs = f"{DOC_DIR}/{package.name}"
    members = {f.path: (f.origin.read_bytes(), f.mode) for f in package.files}
    members[f"{docs}/changelog.Debian.gz"] = (changelog_gz(opkg, package.version), 0o644)
    members[f"{docs}/copyright"] = (copyright_text(opkg).encode(), 0o644)
    return [(path.lstrip("/"), data, mode) for path, (data, mode) in sorted(members.items())]


def _control(opkg: Opkg, package: NativePackage, members: list[_Member]) -> str:
    # As dpkg-gencontrol counts: a folder is 1 KiB, and so are the root and its control folder.
    folders = len(_folders(members)) + 2
    size = sum((len(data) + 1023) // 1024 for _, data, _ in members) + folders
    fields = {
        "Package": package.name,
        "Source": "" if package.part is Part.API else Part.API.package(opkg.name),
        "Version": str(package.version),
        "Architecture": package.architecture,
        "Maintainer": f"{opkg.maintainer.name} <{opkg.maintainer.email}>",
        "Installed-Size": str(size),
        **relation_fields(package.relations),
        "Section": "admin",
        "Priority": "optional",
        "Homepage": opkg.uri,
        "Description": description(package.summary, package.description),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def relation_fields(relations: Iterable[tuple[Kind, Relation]]) -> dict[str, str]:
    """Relations as control fields, in the fields' usual order (Debian Policy, chapter 7)."""
    listed: dict[str, list[str]] = {field: [] for field in _FIELDS.values()}
    for kind, relation in relations:
        listed[_FIELDS[kind]].append(_relation(relation))
    return {field: ", ".join(entries) for field, entries in listed.items() if entries}


def _relation(relation: Relation) -> str:
    if not relation.rel:
        return relation.name
    rel = {"<": "<<", ">": ">>"}.get(relation.rel, relation.rel)
    return f"{relation.name} ({rel} {relation.version})"


def description(summary: str, text: str) -> str:
    """A Description field: the summary, then the text in lines of 79, paragraphs apart."""
    lines = wrapped(text).split("\n")
    return "\n".join([summary, *(f" {line}" if line else " ." for line in lines)])


def changelog(opkg: Opkg, version: NativeVersion) -> str:
    """The OPKG's history in Debian's form; the newest entry bears the native version."""
    document = Changelog()
    for release in reversed(opkg.releases):
        newest = release is opkg.releases[0]
        last = max(release.changes, key=lambda change: change.date)
        items = [
            line
            for change in release.changes
            for item in change.items
            for line in textwrap.wrap(item, 76, initial_indent="  * ", subsequent_indent="    ")
        ]
        document.new_block(
            package=Part.API.package(opkg.name),
            version=str(version if newest else release.version),
            distributions="unstable",
            urgency="medium",
            changes=["", *items, ""],
            author=f"{last.author} <{opkg.email(last.author)}>",
            date=format_datetime(last.date),
        )
    return str(document)


def changelog_gz(opkg: Opkg, version: NativeVersion) -> bytes:
    """The changelog as it is installed (Debian Policy, chapter 12.7)."""
    return gzip.compress(changelog(opkg, version).encode(), 9, mtime=0)


def copyright_text(opkg: Opkg) -> str:
    """Who made the OPKG and under which licence (Debian Policy, chapter 12.5)."""
    people = "\n".join(f"  {a.name} <{a.email}> ({a.role})" for a in opkg.authors)
    years = sorted({c.date.year for release in opkg.releases for c in release.changes})
    span = str(years[0]) if len(years) == 1 else f"{years[0]}-{years[-1]}"
    words = opkg.licence.replace("(", " ").replace(")", " ").split()
    bases = [word.removesuffix("-only").removesuffix("-or-later") for word in words]
    known = [_COMMON_LICENCES[base] for base in bases if base in _COMMON_LICENCES]
    text = "".join(f"\nIts text is in /usr/share/common-licenses/{name}.\n" for name in known)
    home = f"\nIts home is {opkg.uri}\n" if opkg.uri else ""
    return (
        f"The OPKG {opkg.name} is the work of\n{people}\n{home}\n"
        f"Copyright © {span} the authors named above\nLicence: {opkg.licence}\n{text}"
    )


def _folders(members: list[_Member]) -> list[str]:
    return sorted({str(up) for path, _, _ in members for up in PurePosixPath(path).parents} - {"."})


def _tar(members: list[_Member], stamp: int) -> bytes:
    """A tar archive of files and the folders above them, all of root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        content = {path: (data, mode) for path, data, mode in members}
        for path in ["", *sorted([*_folders(members), *content])]:
            data, mode = content.get(path, (b"", 0o755))
            info = tarfile.TarInfo(f"./{path}")
            info.type = tarfile.REGTYPE if path in content else tarfile.DIRTYPE
            info.size, info.mode, info.mtime = len(data), mode, stamp
            info.uname = info.gname = "root"
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _compress(data: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(data, 9, mtime=0)
    if kind == "xz":
        return lzma.compress(data)
    return zstandard.ZstdCompressor(level=19).compress(data)


def _ar(members: list[tuple[str, bytes]], stamp: int) -> bytes:
    """The archive around it all, in the common ar format (deb(5))."""
    parts = [b"!<arch>\n"]
    for name, data in members:
        header = f"{name:<16}{stamp:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        parts += [header.encode("ascii"), data, b"\n" if len(data) % 2 else b""]
    return b"".join(parts)
