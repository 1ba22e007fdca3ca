# SPDX-License-Identifier: GPL-2.0-or-later
"""The repository's TUF keys and roles: what OPD checks (TUF specification 1.0, chapter 4).

Each role has an ed25519 key of its own. A client pins the digest of the initial root; from there
on the metadata vouch for one another.
"""

from __future__ import annotations

from collections.abc import Mapping
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

from opkg.errors import OpkgError
from opkg.files import sha256_bytes, write_atomic
from repo_server.draft import Digest
from repo_server.repository import ROOT_FILE

ROLES = (Root.type, Timestamp.type, Snapshot.type, Targets.type)
ROOT_LIFETIME = timedelta(days=3653)

Role = TypeVar("Role", Root, Timestamp, Snapshot, Targets)

_READABLE = JSONSerializer()


def create(folder: Path, now: datetime) -> str:
    """Make a key for each role and the initial root, and return the root's fingerprint: the
    SHA-256 of its file."""
    folder.mkdir(mode=0o700)
    root = Root(expires=now + ROOT_LIFETIME, consistent_snapshot=True)
    signers = _give_keys(folder, root)
    data = _signed(root, signers[Root.type])
    write_atomic(folder / ROOT_FILE, data)
    return sha256_bytes(data)


def rotate(folder: Path, now: datetime) -> int:
    """Replace the keys of all roles and return the version of the new root. Clients follow to it,
    since the old root key signs it as well as the new one. Raises OpkgError without that key."""
    before = _newest(folder)
    old = _signer(folder, before, Root)
    root = Root(
        version=before.signed.version + 1, expires=now + ROOT_LIFETIME, consistent_snapshot=True
    )
    signers = _give_keys(folder, root)
    write_atomic(folder / f"{root.version}.{ROOT_FILE}", _signed(root, old, signers[Root.type]))
    return root.version


def roots(folder: Path) -> dict[str, bytes]:
    """All roots by the names that clients ask for, from the initial one on."""
    found = {f"1.{ROOT_FILE}": (folder / ROOT_FILE).read_bytes()}
    for path in folder.glob(f"*.{ROOT_FILE}"):
        found[path.name] = path.read_bytes()
    return found


def metadata(
    folder: Path, targets: Mapping[str, Digest], *, version: int, expires: datetime
) -> dict[str, bytes]:
    """The metadata files, by name, that vouch for `targets`, with the keys of `folder`. All roles
    take the same `version` and end at the same time. Raises OpkgError where a key is missing."""
    root = _newest(folder)
    files = {
        name: TargetFile(length=file.size, hashes={"sha256": file.sha256}, path=name)
        for name, file in targets.items()
    }
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


def _newest(folder: Path) -> Metadata[Root]:
    documents = [Metadata[Root].from_bytes(data) for data in roots(folder).values()]
    return max(documents, key=lambda document: document.signed.version)


def _give_keys(folder: Path, root: Root) -> dict[str, CryptoSigner]:
    """Make a key for each role and put it into the folder and the root."""
    signers = {role: CryptoSigner.generate_ed25519() for role in ROLES}
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
        path = _key_file(folder, role, signer.public_key.keyid)
        write_atomic(path, signer.private_bytes, mode=0o600)
    return signers


def _signed(content: Role, *signers: Signer) -> bytes:
    document = Metadata(content)
    for signer in signers:
        document.sign(signer, append=True)
    return document.to_bytes(_READABLE)


def _signer(folder: Path, root: Metadata[Root], role: type[Signed]) -> Signer:
    key = root.signed.keys[root.signed.roles[role.type].keyids[0]]
    path = _key_file(folder, role.type, key.keyid)
    if not path.exists():
        raise OpkgError(
            f"the TUF key of the role {role.type} is not there",
            where=str(path),
            hint="put it back from where it is kept",
        )
    return Signer.from_priv_key_uri(f"file2:{path}", key)


def _key_file(folder: Path, role: str, keyid: str) -> Path:
    return folder / f"{role}-{keyid[:16]}.pem"
