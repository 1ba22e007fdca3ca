# SPDX-License-Identifier: GPL-2.0-or-later
"""The repository's TUF keys and roles: what OPD checks (TUF specification 1.0, chapter 4).

Each role has an ed25519 key of its own. A client pins the digest of the initial root; from there
on the metadata vouch for one another.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from opkg.files import sha256_bytes, write_atomic

ROLES = (Root.type, Timestamp.type, Snapshot.type, Targets.type)
ROOT_FILE = "root.json"
ROOT_LIFETIME = timedelta(days=3653)

Role = TypeVar("Role", Root, Timestamp, Snapshot, Targets)

_READABLE = JSONSerializer()


def create(folder: Path, now: datetime) -> str:
    """Make a key for each role and the initial root, and return the root's fingerprint: the
    SHA-256 of its file."""
    folder.mkdir(mode=0o700)
    root = Root(expires=now + ROOT_LIFETIME, consistent_snapshot=True)
    signers = {role: CryptoSigner.generate_ed25519() for role in ROLES}
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
        write_atomic(_key_file(folder, role), signer.private_bytes, mode=0o600)
    data = _signed(root, signers[Root.type])
    write_atomic(folder / ROOT_FILE, data)
    return sha256_bytes(data)


def metadata(
    folder: Path, targets: dict[str, bytes], *, version: int, expires: datetime
) -> dict[str, bytes]:
    """The metadata files, by name, that vouch for `targets` (their content by name), with the
    keys of `folder`. All roles take the same `version` and end at the same time."""
    root = Metadata[Root].from_file(str(folder / ROOT_FILE))
    files = {name: TargetFile.from_data(name, data) for name, data in targets.items()}
    targets_data = _signed(
        Targets(version=version, expires=expires, targets=files), _signer(folder, root, Targets)
    )
    snapshot = Snapshot(
        version=version,
        expires=expires,
        meta={"targets.json": MetaFile.from_data(version, targets_data, ["sha256"])},
    )
    snapshot_data = _signed(snapshot, _signer(folder, root, Snapshot))
    timestamp = Timestamp(
        version=version,
        expires=expires,
        snapshot_meta=MetaFile.from_data(version, snapshot_data, ["sha256"]),
    )
    return {
        f"{version}.targets.json": targets_data,
        f"{version}.snapshot.json": snapshot_data,
        "timestamp.json": _signed(timestamp, _signer(folder, root, Timestamp)),
    }


def _signed(content: Role, signer: Signer) -> bytes:
    document = Metadata(content)
    document.sign(signer)
    return document.to_bytes(_READABLE)


def _signer(folder: Path, root: Metadata[Root], role: type[Signed]) -> Signer:
    key = root.signed.keys[root.signed.roles[role.type].keyids[0]]
    return Signer.from_priv_key_uri(f"file2:{_key_file(folder, role.type)}", key)


def _key_file(folder: Path, role: str) -> Path:
    return folder / f"{role}.pem"
