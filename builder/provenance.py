# SPDX-License-Identifier: GPL-2.0-or-later
"""Signed statements of what was made from what.

Sources: in-toto Attestation Framework 1.0; SLSA provenance 1.0; DSSE 1.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signature

from builder.openpgp import PublicKeys, SigningKey
from opkg.errors import IntegrityError
from opkg.manifest import Artifact, Input, InputSource, Manifest, Record, SourceFile

PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
# What the fields below mean is said in docs/opkgc.md.
BUILD_TYPE = "urn:oscar-opkg:build:1"
BUILDER = "urn:oscar-opkg:opkgc"

Files = Sequence[Artifact | SourceFile]


def statement(manifest: Manifest, name: str, files: Files) -> dict[str, Any]:
    """The in-toto statement of SLSA provenance for an OPKG's `files`, its records among them."""
    info = next(info for info in manifest.opkgs if info.name == name)
    made_from = next(entry for entry in manifest.inputs if entry.opkg == name)
    replaced = [source.name for source in made_from.sources if source.replaced]
    return {
        "_type": STATEMENT,
        "subject": [_described(e.file, sha256=e.sha256) for e in files],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "opkg": name,
                    "version": info.version,
                    "target": manifest.target,
                    "replacedSources": replaced,
                },
                "internalParameters": {"tools": made_from.tools, "buildRoot": made_from.root},
                "resolvedDependencies": list(_dependencies(made_from, files)),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"opkgc": made_from.tools.get("opkgc", "")}},
                "metadata": {"invocationId": made_from.sha256},
            },
        },
    }


def _dependencies(made_from: Input, files: Files) -> Iterator[dict[str, Any]]:
    """The resources that a build was given (in-toto's ResourceDescriptors)."""
    # Not the digest of one file, so not by the name of its algorithm alone.
    yield _described("directory", opkgDirectory=made_from.directory)
    if made_from.commit:
        changed = ", with changes" if made_from.commit.endswith("+") else ""
        yield _described(f"commit{changed}", gitCommit=made_from.commit.rstrip("+"))
    yield _described("settings", sha256=made_from.settings)
    for source in made_from.sources:
        yield _source(source)
        yield from (_described(patch.file, sha256=patch.sha256) for patch in source.patches)
    for package in made_from.packages:
        yield _described(package.file, sha256=package.sha256)
    for each in made_from.published:
        yield _described(f"published {each.name} {each.version}", sha256=each.sha256)
    for record in files:
        if isinstance(record, Record) and record.kind == "packages":
            yield _described(record.file, sha256=record.sha256)


def _source(source: InputSource) -> dict[str, Any]:
    name = f"source {source.name}"
    if source.commit:
        return {**_described(name, gitCommit=source.commit), "uri": f"git+{source.place}"}
    if source.kind == "url" and not source.replaced:
        return {**_described(name, sha256=source.sha256), "uri": source.place}
    return _described(f"{name}: {source.place}", opkgDirectory=source.sha256)


def _described(name: str, **digest: str) -> dict[str, Any]:
    return {"name": name, "digest": digest}


def envelope(payload: dict[str, Any], key: SigningKey) -> bytes:
    """A statement in a DSSE envelope; the signature is an armored OpenPGP one over DSSE's
    pre-authentication encoding."""
    data = json.dumps(payload, indent=2, sort_keys=True).encode()
    made = Envelope(data, PAYLOAD, {})
    signature = Signature(key.fingerprint, key.sign(made.pae()).hex())
    made.signatures[key.fingerprint] = signature
    return json.dumps(made.to_dict(), indent=2).encode() + b"\n"


def signer_of(path: Path) -> str:
    """The fingerprint of the key that is said to have signed an envelope."""
    return next(iter(_read(path).signatures), "")


def check(path: Path, files: Files, keys: PublicKeys) -> None:
    """Raise IntegrityError unless the envelope at `path` is signed by one of `keys`, and speaks
    of these `files`."""
    made = _read(path)
    if made.payload_type != PAYLOAD or not made.signatures:
        raise IntegrityError("no signed statement", where=str(path))
    for signature in made.signatures.values():
        keys.check(made.pae(), bytes.fromhex(signature.signature))
    told = json.loads(made.payload)
    subjects = {entry["name"]: entry["digest"].get("sha256") for entry in told["subject"]}
    for entry in files:
        if subjects.get(entry.file) != entry.sha256:
            message = f"does not speak of {entry.file} as the manifest has it"
            raise IntegrityError(message, where=str(path))


def _read(path: Path) -> Envelope:
    try:
        return Envelope.from_dict(msgspec.json.decode(path.read_bytes()))
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"no DSSE envelope: {error}", where=str(path)) from error
