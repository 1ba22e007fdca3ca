# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian source packages: a .dsc (dsc(5)), the files that it names, and what Sources says of them
(deb-src-control(5); https://wiki.debian.org/DebianRepository/Format)."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from debian.deb822 import Dsc

from opkg.errors import OpkgError
from opkg.target import Family
from repo_server.debs import STANZA, pool_folder
from repo_server.package import SOURCE, Companion, Package, check_words

SUFFIX = ".dsc"
_LARGEST = 1 << 20

# The fields that list files, with what python-debian calls their digests.
_LISTS = {"Files": "md5sum", "Checksums-Sha1": "sha1", "Checksums-Sha256": "sha256"}
# What the archive says of a source package, not its .dsc.
_OURS = ("Package", "Directory")
_NEEDED = ("Format", "Source", "Version", "Maintainer", *_LISTS)


def read_dsc(path: Path, sha256: str, *, where: str) -> Package:
    """Read a .dsc whose digest is `sha256`; a signature around it is not looked at, since apt
    checks source packages through the signed lists. The files that it names are the package's
    companions: whether they are there and whole is for the caller to see. Raises OpkgError."""
    if path.stat().st_size > _LARGEST:
        raise OpkgError("too large for a .dsc", where=where, hint="a .dsc holds a page of text")
    data = path.read_bytes()
    try:
        control = Dsc(data)
        missing = [name for name in _NEEDED if not control.get(name)]
        files = [] if missing else _files(control)
    except (ValueError, KeyError) as error:
        raise OpkgError(
            f"not a .dsc: {error}", where=where, hint="make it with dpkg-source --build"
        ) from error
    if missing:
        raise OpkgError(f"it has no {' and no '.join(missing)}", where=where)
    name, version = control["Source"], control["Version"]
    check_words(name, version, *(file.path for file in files), where=where)
    folder = pool_folder(name)
    file_name = f"{name}_{version.partition(':')[2] or version}{SUFFIX}"
    return Package(
        family=Family.DEB,
        name=name,
        version=version,
        architecture=SOURCE[Family.DEB],
        path=f"{folder}/{file_name}",
        size=len(data),
        sha256=sha256,
        source_sha256=sha256,
        fragments={STANZA: _stanza(control, folder, file_name, data)},
        companions=tuple(
            Companion(path=f"{folder}/{file.path}", size=file.size, sha256=file.sha256)
            for file in files
        ),
    )


def _files(control: Dsc) -> list[Companion]:
    """The files that all three lists name alike. Raises ValueError."""
    listed = [{entry["name"]: int(entry["size"]) for entry in control[field]} for field in _LISTS]
    if any(sizes != listed[0] for sizes in listed):
        raise ValueError(f"{', '.join(_LISTS)} name different files")
    for name in listed[0]:
        if PurePosixPath(name).suffix in (SUFFIX, ".deb"):
            raise ValueError(f"“{name}” cannot be a file of a source package")
    return [
        Companion(path=entry["name"], size=int(entry["size"]), sha256=entry["sha256"].lower())
        for entry in control["Checksums-Sha256"]
    ]


def _stanza(control: Dsc, folder: str, file_name: str, data: bytes) -> str:
    """What Sources says of a source package: its .dsc is one more of its files there."""
    for field, key in _LISTS.items():
        digest = hashlib.new(key.removesuffix("sum"), data, usedforsecurity=False).hexdigest()
        control[field].insert(0, {key: digest, "size": str(len(data)), "name": file_name})
    control["Package"], control["Directory"] = control.pop("Source"), folder
    for field in reversed(_OURS):
        control.order_first(field)
    # An empty line ends it.
    return f"{control}\n"
