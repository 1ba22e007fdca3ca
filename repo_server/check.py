# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a published tree again, as its clients would: is everything there, whole and signed?"""

from __future__ import annotations

import contextlib
import lzma
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import createrepo_c
import zstandard
from debian.deb822 import Deb822, Release, Sources
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from opkg import index
from opkg.document import decode
from opkg.errors import OpkgError
from opkg.files import sha256_bytes, sha256_file
from repo_server.draft import Digest, measure
from repo_server.forms import unpack
from repo_server.openpgp import Verifier, verifier
from repo_server.pool import url_of
from repo_server.publish import OPENPGP_KEY, TUF_ROOT
from repo_server.repository import CURRENT

_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    RepositoryError,
    OpkgError,
    createrepo_c.CreaterepoCError,
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with one file; `path` is relative to the tree."""

    path: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """How many files the metadata name, and what is wrong."""

    files: int
    faults: tuple[Fault, ...]


def check(tree: Path, *, now: datetime | None = None) -> Report:
    """Check the published `tree`, all of it, and return every fault. Of a served tree, that is the
    live generation."""
    current = tree / CURRENT
    tree = (current if current.is_symlink() else tree).resolve()
    for path in (OPENPGP_KEY, TUF_ROOT):
        if not (tree / path).is_file():
            return Report(files=0, faults=(Fault(path=path, message="is not there"),))
    with verifier(tree / OPENPGP_KEY) as signatures:
        reader = _Reader(tree=tree, signatures=signatures, now=now or datetime.now(UTC))
        for pattern, check_folder in (
            ("deb/*/dists/*", _check_suite),
            ("rpm/*/*", _check_repodata),
            ("rpm/*/*/source", _check_repodata),
            ("opd/*/", _check_channel),
        ):
            for folder in sorted(reader.tree.glob(pattern)):
                try:
                    check_folder(reader, folder)
                except _UNREADABLE as error:
                    reader.fault(folder, f"its metadata cannot be read: {error}")
    return Report(files=len(reader.seen), faults=tuple(reader.faults))


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """The tree, and what was found in it so far."""

    tree: Path
    signatures: Verifier
    now: datetime
    seen: set[Path] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, path: Path, message: str) -> None:
        self.faults.append(Fault(path=str(path.relative_to(self.tree)), message=message))

    def expect_file(self, path: Path, size: int, sha256: str) -> bool:
        """Whether a file is what the metadata say; where not, that is a fault."""
        self.seen.add(path)
        found = _measure(path)
        if found is None:
            self.fault(path, "is not there")
        elif found != Digest(size=size, sha256=sha256):
            self.fault(path, "is not the file that the metadata name")
        else:
            return True
        return False

    def expect_signature(self, signature: Path, signed: Path | None = None) -> None:
        """Count it a fault where the repository's key does not vouch."""
        self.seen.add(signature)
        if not self.signatures.accepts(signature, signed):
            self.fault(signature, "the signature does not hold")

    def expect_future(self, path: Path, end: datetime) -> None:
        """Count it a fault where the time of validity is over."""
        if end <= self.now:
            self.fault(path, f"was valid until {end.isoformat()}: publish again")


def _measure(path: Path) -> Digest | None:
    """The digest of a file, wherever that is. Raises OpkgError where that cannot be asked."""
    if path.is_file():
        return Digest(size=path.stat().st_size, sha256=sha256_file(path))
    if url := url_of(path):
        # Only here: their library takes its time.
        from opkg.bucket import AbsentError
        from repo_server import pool_s3

        with contextlib.suppress(AbsentError):
            return measure(pool_s3.parts(url))
    return None


def _check_suite(reader: _Reader, folder: Path) -> None:
    archive = folder.parent.parent
    reader.expect_signature(folder / "InRelease")
    reader.expect_signature(folder / "Release.gpg", folder / "Release")
    release = Release((folder / "InRelease").read_text())
    if release != Release((folder / "Release").read_text()):
        reader.fault(folder / "Release", "says something else than InRelease")
    reader.expect_future(folder / "InRelease", parsedate_to_datetime(release["Valid-Until"]))
    listed = {
        folder / entry["name"]: (int(entry["size"]), entry["sha256"]) for entry in release["SHA256"]
    }
    lists: dict[Path, bytes] = {}
    for path, (size, sha256) in listed.items():
        # The plain form is no file.
        if not path.suffix:
            continue
        reader.expect_file(path.parent / "by-hash/SHA256" / sha256, size, sha256)
        if not reader.expect_file(path, size, sha256):
            continue
        text = unpack(path.suffix[1:], path.read_bytes())
        plain = path.with_suffix("")
        lists[plain] = text
        if (len(text), sha256_bytes(text)) != listed[plain]:
            reader.fault(path, f"holds something else than {plain.name}")
    for plain, text in lists.items():
        if plain.name == "Sources":
            _check_sources(reader, archive, text)
            continue
        for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False):
            reader.expect_file(archive / stanza["Filename"], int(stanza["Size"]), stanza["SHA256"])


def _check_sources(reader: _Reader, archive: Path, text: bytes) -> None:
    for stanza in Sources.iter_paragraphs(text, use_apt_pkg=False):
        for entry in stanza["Checksums-Sha256"]:
            path = archive / stanza["Directory"] / entry["name"]
            reader.expect_file(path, int(entry["size"]), entry["sha256"])


def _check_repodata(reader: _Reader, folder: Path) -> None:
    repomd = folder / "repodata/repomd.xml"
    reader.expect_signature(repomd.with_name("repomd.xml.asc"), repomd)
    if repomd.with_name("repomd.xml.key").read_bytes() != (reader.tree / OPENPGP_KEY).read_bytes():
        reader.fault(repomd.with_name("repomd.xml.key"), "is not the repository's key")

    def expect_package(package: createrepo_c.Package) -> None:
        reader.expect_file(folder / package.location_href, package.size_package, package.pkgId)

    for record in createrepo_c.Repomd(str(repomd)).records:
        path = folder / record.location_href
        if reader.expect_file(path, record.size, record.checksum) and record.type == "primary":
            createrepo_c.xml_parse_primary(str(path), pkgcb=expect_package, do_files=False)


def _newest_root(reader: _Reader, metadata: Path) -> Root:
    """The root that clients come to from the initial one, each vouching for the next."""
    path = metadata / "1.root.json"
    reader.seen.add(path)
    if path.read_bytes() != (reader.tree / TUF_ROOT).read_bytes():
        reader.fault(path, "is not the initial root")
    root = Metadata[Root].from_file(str(reader.tree / TUF_ROOT)).signed
    while (path := metadata / f"{root.version + 1}.root.json").exists():
        reader.seen.add(path)
        document = Metadata[Root].from_file(str(path))
        root.verify_delegate(Root.type, document.signed_bytes, document.signatures)
        root = document.signed
    reader.expect_future(path, root.expires)
    return root


def _check_channel(reader: _Reader, folder: Path) -> None:
    metadata = folder / "metadata"
    root = _newest_root(reader, metadata)

    def trusted(role: str, path: Path) -> bytes:
        reader.seen.add(path)
        data = path.read_bytes()
        document = Metadata.from_bytes(data)
        root.verify_delegate(role, document.signed_bytes, document.signatures)
        reader.expect_future(path, document.signed.expires)
        return data

    data = trusted(Timestamp.type, metadata / "timestamp.json")
    meta = Metadata[Timestamp].from_bytes(data).signed.snapshot_meta
    data = trusted(Snapshot.type, metadata / f"{meta.version}.snapshot.json")
    meta.verify_length_and_hashes(data)
    meta = Metadata[Snapshot].from_bytes(data).signed.meta["targets.json"]
    data = trusted(Targets.type, metadata / f"{meta.version}.targets.json")
    meta.verify_length_and_hashes(data)
    target = Metadata[Targets].from_bytes(data).signed.targets[index.NAME]
    path = folder / f"targets/{target.hashes['sha256']}.{index.NAME}"
    if not reader.expect_file(path, target.length, target.hashes["sha256"]):
        return
    document = decode(path.read_bytes(), index.Index, where=str(path))
    if document.channel != folder.name:
        reader.fault(path, f"is the index of the channel {document.channel}")
    if document.keys != ((reader.tree / OPENPGP_KEY).read_text(),):
        reader.fault(path, "names other keys than the repository's")
    for offer in document.offers:
        for artifact in offer.artifacts:
            reader.expect_file(reader.tree / artifact.file, artifact.size, artifact.sha256)
