# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository's index under TUF metadata that a test may forge in any way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from opkg.document import encode
from opkg.index import NAME, Index

LATER = timedelta(days=1)
ROLES = (Root.type, Timestamp.type, Snapshot.type, Targets.type)


def _index(generation: int) -> bytes:
    return encode(
        Index(
            format=1, channel="stable", generation=generation, published="2026-03-01T12:00:00Z",
            keys=(), sources={}, offers=(),
        )
    )  # fmt: skip


@dataclass(kw_only=True)
class Attacker:
    """Has the keys of all roles, and writes what a test asks for below `folder`, the tree that is
    served. `lasts` is how long each role's metadata are valid."""

    folder: Path
    keys: dict[str, CryptoSigner] = field(
        default_factory=lambda: {role: CryptoSigner.generate_ed25519() for role in ROLES}
    )
    lasts: dict[str, timedelta] = field(default_factory=dict)

    @property
    def metadata(self) -> Path:
        return self.folder / "opd/stable/metadata"

    @property
    def root_json(self) -> Path:
        return self.folder / "keys/root.json"

    def _expires(self, role: str) -> datetime:
        return datetime.now(UTC).replace(microsecond=0) + self.lasts.get(role, LATER)

    def sign(self, name: str, content: Root | Timestamp | Snapshot | Targets,
             *signers: CryptoSigner) -> bytes:  # fmt: skip
        """Write a metadata file, signed by the role's own key or by others."""
        document = Metadata(content)
        for signer in signers or (self.keys[content.type],):
            document.sign(signer, append=True)
        data = document.to_bytes()
        self.metadata.mkdir(parents=True, exist_ok=True)
        (self.metadata / name).write_bytes(data)
        return data

    def write_root(self, version: int = 1, *signers: CryptoSigner) -> None:
        root = Root(version=version, expires=self._expires(Root.type), consistent_snapshot=True)
        for role, signer in self.keys.items():
            root.add_key(signer.public_key, role)
        data = self.sign(f"{version}.root.json", root, *signers)
        if version == 1:
            self.root_json.parent.mkdir(parents=True)
            self.root_json.write_bytes(data)

    def write(self, version: int, **older: int) -> None:
        """Write all of a generation, signed as it should be; a role named in `older` has that
        version instead."""
        data = _index(version)
        file = TargetFile.from_data(NAME, data, ["sha256"])
        targets = self.folder / "opd/stable/targets"
        targets.mkdir(parents=True, exist_ok=True)
        (targets / f"{file.hashes['sha256']}.{NAME}").write_bytes(data)
        number = older.get(Targets.type, version)
        inner = self.sign(
            f"{number}.targets.json",
            Targets(version=number, expires=self._expires(Targets.type), targets={NAME: file}),
        )
        meta = {"targets.json": MetaFile.from_data(number, inner, ["sha256"])}
        number = older.get(Snapshot.type, version)
        inner = self.sign(
            f"{number}.snapshot.json",
            Snapshot(version=number, expires=self._expires(Snapshot.type), meta=meta),
        )
        self.write_timestamp(
            older.get(Timestamp.type, version), MetaFile.from_data(number, inner, ["sha256"])
        )

    def write_timestamp(
        self, version: int, snapshot: MetaFile | None = None, *signers: CryptoSigner
    ) -> None:
        path = self.metadata / "timestamp.json"
        named = snapshot or Metadata[Timestamp].from_bytes(path.read_bytes()).signed.snapshot_meta
        expires = self._expires(Timestamp.type)
        self.sign(
            path.name, Timestamp(version=version, expires=expires, snapshot_meta=named), *signers
        )

    def version_of(self, name: str) -> int:
        return int(json.loads((self.metadata / name).read_text())["signed"]["version"])
