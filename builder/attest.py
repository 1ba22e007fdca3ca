# SPDX-License-Identifier: GPL-2.0-or-later
"""Adds to what was built what others can trust it by: bills of materials and, with a key,
signatures and provenance."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from builder.job import Job
from builder.openpgp import SigningKey
from opkg.document import encode
from opkg.errors import IntegrityError
from opkg.files import locked, sha256_bytes, sha256_file, write_atomic
from opkg.manifest import NAME, Artifact, Manifest, Record, SourceFile, read_manifest
from opkg.target import Target

Made = TypeVar("Made", Artifact, SourceFile)
Kind = Literal["sbom", "provenance"]


def attest(jobs: Iterable[Job], out: Path, key: SigningKey | None) -> None:
    """See to it that all that stands under `out` of the jobs' OPKGs has its bills of materials
    and, with a `key`, signatures and provenance by it. What has them already is left as it is, so
    a run that was killed is completed by the next one. Raises OpkgError."""
    targets: dict[str, tuple[Target, set[str]]] = {}
    for job in jobs:
        targets.setdefault(job.target.name, (job.target, set()))[1].add(job.opkg.name)
    for target, names in targets.values():
        folder = out / target.name
        if (folder / NAME).exists():
            with locked(folder / ".lock"):
                _complete(folder, target, names, key)


def _complete(folder: Path, target: Target, names: set[str], key: SigningKey | None) -> None:
    old = manifest = read_manifest(folder / NAME)
    for info in old.opkgs:
        if info.name in names and not _is_complete(manifest, info.name, folder, key):
            if key:
                manifest = _with_signatures(manifest, info.name, folder, key)
            manifest = _with_sboms(manifest, info.name, folder, target)
            if key:
                manifest = _with_provenance(manifest, info.name, folder, key)
    if manifest is not old:
        write_atomic(folder / NAME, encode(manifest))


def _is_complete(manifest: Manifest, name: str, folder: Path, key: SigningKey | None) -> bool:
    records = [record for record in manifest.records if record.opkg == name]
    boms = sum(record.kind == "sbom" for record in records)
    if boms != sum(artifact.opkg == name for artifact in manifest.artifacts):
        return False
    if key is None:
        return True
    from builder.provenance import signer_of

    found = [folder / record.file for record in records if record.kind == "provenance"]
    try:
        return any(signer_of(path) == key.fingerprint for path in found)
    except IntegrityError:
        return False


def _with_signatures(manifest: Manifest, name: str, folder: Path, key: SigningKey) -> Manifest:
    def signed(entries: tuple[Made, ...]) -> tuple[Made, ...]:
        return tuple(
            _signed(entry, folder, key)
            if entry.opkg == name and entry.file.endswith(".rpm")
            else entry
            for entry in entries
        )

    return msgspec.structs.replace(
        manifest, artifacts=signed(manifest.artifacts), sources=signed(manifest.sources)
    )


def _signed(entry: Made, folder: Path, key: SigningKey) -> Made:
    path = folder / entry.file
    if sha256_file(path) != entry.sha256:
        raise IntegrityError(
            "not the file that its manifest means, so it is not signed",
            where=str(path),
            hint="remove it, and build again",
        )
    with tempfile.TemporaryDirectory(dir=folder, prefix=".sign-") as work:
        copy = Path(shutil.copy2(path, work))
        key.sign_rpm(copy)
        copy.replace(path)
    return msgspec.structs.replace(entry, size=path.stat().st_size, sha256=sha256_file(path))


def _with_sboms(manifest: Manifest, name: str, folder: Path, target: Target) -> Manifest:
    # Only here: a build with nothing to do need not wait for the libraries.
    from builder.sbom import Subject, sbom

    info = next(info for info in manifest.opkgs if info.name == name)
    made_from = next(entry for entry in manifest.inputs if entry.opkg == name)
    boms = []
    for artifact in manifest.artifacts:
        if artifact.opkg == name:
            subject = Subject(artifact=artifact, info=info, made_from=made_from, target=target)
            data = sbom(subject, folder / artifact.file)
            boms.append(_written(folder, name, "sbom", f"sbom/{artifact.file}.cdx.json", data))
    return _with_records(manifest, name, "sbom", boms)


def _with_provenance(manifest: Manifest, name: str, folder: Path, key: SigningKey) -> Manifest:
    from builder.provenance import envelope, statement

    files = [e for e in manifest.files if e.opkg == name and not _is(e, "provenance")]
    data = envelope(statement(manifest, name, files), key)
    record = _written(folder, name, "provenance", f"provenance/{name}.dsse.json", data)
    return _with_records(manifest, name, "provenance", [record])


def _is(entry: Artifact | SourceFile, kind: str) -> bool:
    return isinstance(entry, Record) and entry.kind == kind


def _written(folder: Path, name: str, kind: Kind, file: str, data: bytes) -> Record:
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return Record(opkg=name, kind=kind, file=file, size=len(data), sha256=sha256_bytes(data))


def _with_records(manifest: Manifest, name: str, kind: Kind, records: Iterable[Record]) -> Manifest:
    kept = [entry for entry in manifest.records if (entry.opkg, entry.kind) != (name, kind)]
    every = sorted([*kept, *records], key=lambda record: record.file)
    return msgspec.structs.replace(manifest, records=tuple(every))
