# SPDX-License-Identifier: GPL-2.0-or-later
"""What the TUF conformance suite asks of a client (its cases by subject, in our own words), through
the command that it would drive: OPD's own trust code behind it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from opkg.index import NAME
from tests import tuf_client
from tests.opd.attacker import ROLES, Attacker
from tests.opd.conftest import serve_files

new_key = CryptoSigner.generate_ed25519


@dataclass(frozen=True)
class Client:
    """The command, with folders of its own."""

    folder: Path
    url: str

    @property
    def metadata(self) -> Path:
        return self.folder / "metadata"

    @property
    def download(self) -> list[str]:
        return [*self.known, "--target-name", NAME, "--target-base-url",
                f"{self.url}/opd/stable/targets/", "--target-dir", str(self.folder),
                "download"]  # fmt: skip

    @property
    def known(self) -> list[str]:
        return ["--metadata-dir", str(self.metadata), "--metadata-url",
                f"{self.url}/opd/stable/metadata/"]  # fmt: skip

    @property
    def refresh(self) -> list[str]:
        return [*self.known, "refresh"]

    def run(self, words: list[str]) -> int:
        return tuf_client.main(words)

    def kept(self) -> dict[str, Any]:
        """What the metadata say that it trusts, and what it fetched. (A signature may be spelled in
        more than one way.)"""
        paths = (*self.metadata.glob("*.json"), *self.folder.glob(NAME))
        found = {path.name: json.loads(path.read_bytes()) for path in paths}
        return {name: document.get("signed", document) for name, document in found.items()}

    def versions(self) -> dict[str, int]:
        roles = self.kept()
        return {role: roles[f"{role}.json"]["version"] for role in ROLES}


@pytest.fixture
def attacker(tmp_path: Path) -> Attacker:
    """Generation 5 of a repository."""
    made = Attacker(folder=tmp_path / "served")
    made.write_root()
    made.write(5)
    return made


@pytest.fixture
def client(attacker: Attacker, tmp_path: Path) -> Iterator[Client]:
    """A client that has verified generation 5."""
    with serve_files(attacker.folder) as url:
        made = Client(tmp_path / "client", url)
        start = ["--metadata-dir", str(made.metadata), "init", str(attacker.root_json)]
        assert made.run(start) == 0
        assert made.run(made.download) == 0
        yield made


@pytest.mark.slow
def test_the_command_is_one(attacker: Attacker, client: Client) -> None:
    def command(words: list[str]) -> tuple[int, str]:
        argv = [sys.executable, "-m", "tests.tuf_client", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert command(client.download) == (0, "")
    attacker.write(4)
    status, said = command(client.refresh)
    assert status == 1
    assert "Traceback" not in said


def test_what_was_fetched_is_not_fetched_again(attacker: Attacker, client: Client) -> None:
    shutil.rmtree(attacker.folder / "opd/stable/targets")
    assert client.run(client.download) == 0
    (client.folder / NAME).write_text("something else")
    assert client.run(client.download) == 1


def _root(
    attacker: Attacker, version: int, change: Callable[[Root], None] = lambda _: None
) -> Root:
    """The next root metadata of all roles, spoiled by `change`."""
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    root = Root(version=version, expires=later, consistent_snapshot=True)
    for role, signer in attacker.keys.items():
        root.add_key(signer.public_key, role)
    change(root)
    return root


def _roots_step_by_step(attacker: Attacker) -> None:
    for version in (2, 3, 4):
        before = attacker.keys[Root.type]
        attacker.keys[Root.type] = new_key()
        attacker.write_root(version, before, attacker.keys[Root.type])
    attacker.write(6)


def _root_left_out(attacker: Attacker) -> None:
    attacker.write_root(3)
    attacker.write(6)


def _root_of_another_number(attacker: Attacker) -> None:
    attacker.sign("2.root.json", _root(attacker, 3))


def _root_unsigned_by_the_old(attacker: Attacker) -> None:
    attacker.keys[Root.type] = new_key()
    attacker.write_root(2)


def _root_unsigned_by_the_new(attacker: Attacker) -> None:
    old = attacker.keys[Root.type]
    attacker.keys[Root.type] = new_key()
    attacker.write_root(2, old)


def _two_of(attacker: Attacker, *signers: CryptoSigner) -> None:
    """A root that wants two signatures, of which these are there."""
    second = new_key()

    def two(root: Root) -> None:
        root.add_key(second.public_key, Root.type)
        root.roles[Root.type].threshold = 2

    attacker.sign("2.root.json", _root(attacker, 2, two), attacker.keys[Root.type],
                  *(signers or [second]))  # fmt: skip
    attacker.write(6)


def _root_below_its_threshold(attacker: Attacker) -> None:
    _two_of(attacker, new_key())


def _root_signed_twice_by_one(attacker: Attacker) -> None:
    _two_of(attacker)
    path = attacker.metadata / "2.root.json"
    document = json.loads(path.read_text())
    document["signatures"][1] = document["signatures"][0]
    path.write_text(json.dumps(document))


def _no_key_for(role: str) -> Callable[[Attacker], None]:
    def act(attacker: Attacker) -> None:
        def revoke(root: Root) -> None:
            root.revoke_key(attacker.keys[role].public_key.keyid, role)

        attacker.sign("2.root.json", _root(attacker, 2, revoke))
        attacker.write(6)

    return act


def _keys_of_the_roles_change(attacker: Attacker) -> None:
    """After somebody had the keys, and gave numbers that nothing could follow."""
    for role in (Timestamp.type, Snapshot.type):
        attacker.keys[role] = new_key()
    attacker.write_root(2)
    attacker.write(6)


def _spoiled(role: str, change: Callable[[Any], None]) -> Callable[[Attacker], None]:
    """Generation 6, in which the metadata of a role are signed as they should be and say something
    that `change` puts there; what names them knows."""

    def act(attacker: Attacker) -> None:
        attacker.write(6)
        name = "timestamp.json" if role == Timestamp.type else f"6.{role}.json"
        content = Metadata.from_bytes((attacker.metadata / name).read_bytes()).signed
        change(content)
        data = attacker.sign(name, content)
        if role == Targets.type:
            meta = {"targets.json": MetaFile.from_data(6, data, ["sha256"])}
            data = attacker.sign(
                "6.snapshot.json", Snapshot(version=6, expires=content.expires, meta=meta)
            )
        if role != Timestamp.type:
            attacker.write_timestamp(6, MetaFile.from_data(6, data, ["sha256"]))

    return act


def _wrong(field: str, value: object) -> Callable[[Any], None]:
    def change(content: Timestamp | Snapshot | Targets) -> None:
        held: MetaFile | TargetFile
        if isinstance(content, Timestamp):
            held = content.snapshot_meta
        elif isinstance(content, Snapshot):
            held = content.meta["targets.json"]
        else:
            held = content.targets[NAME]
        setattr(held, field, value)

    return change


def _says(name: str, value: object) -> Callable[[Any], None]:
    return lambda content: content.unrecognized_fields.update({name: value})


def _raw(name: str, text: bytes) -> Callable[[Attacker], None]:
    """A file with just this content."""

    def act(attacker: Attacker) -> None:
        attacker.write(6)
        (attacker.metadata / name).write_bytes(text)

    return act


NONE = {"sha256": "0" * 64}
TAKEN = {
    "roots, step by step": (_roots_step_by_step, 4),
    "a root that comes after a gap": (_root_left_out, 1),
    "a root that two sign": (_two_of, 2),
    "new keys of roles": (_keys_of_the_roles_change, 2),
    "what nobody knows": (_spoiled(Targets.type, _says("x-more", {"any": [1]})), 1),
}
REFUSED = {
    "a root of another number": _root_of_another_number,
    "a root that the old key did not sign": _root_unsigned_by_the_old,
    "a root that its own key did not sign": _root_unsigned_by_the_new,
    "a root below its threshold": _root_below_its_threshold,
    "a root signed twice by one key": _root_signed_twice_by_one,
    **{f"no key for {role}": _no_key_for(role) for role in ROLES[1:]},
    "another digest of the snapshot": _spoiled(Timestamp.type, _wrong("hashes", NONE)),
    "another length of the snapshot": _spoiled(Timestamp.type, _wrong("length", 10)),
    "an earlier version of the snapshot": _spoiled(Timestamp.type, _wrong("version", 4)),
    "another digest of the targets": _spoiled(Snapshot.type, _wrong("hashes", NONE)),
    "another length of the targets": _spoiled(Snapshot.type, _wrong("length", 10)),
    "an earlier version of the targets": _spoiled(Snapshot.type, _wrong("version", 4)),
    "targets that went": _spoiled(Snapshot.type, lambda content: content.meta.clear()),
    "another digest of the file": _spoiled(Targets.type, _wrong("hashes", NONE)),
    "another length of the file": _spoiled(Targets.type, _wrong("length", 10)),
    "no such file": _spoiled(Targets.type, lambda content: content.targets.clear()),
    "a large timestamp": _spoiled(Timestamp.type, _says("x-more", "x" * (1 << 20))),
    "nothing": _raw("timestamp.json", b""),
    "no JSON": _raw("timestamp.json", b"<html>"),
    "JSON that is no metadata": _raw("timestamp.json", b"[]"),
    "JSON in JSON": _raw("timestamp.json", b"[" * 10_000),
    "metadata without a role": _raw("timestamp.json", b'{"signatures": [], "signed": {}}'),
    "no signature": _raw("timestamp.json", b'{"signatures": [], "signed": {"_type": "timestamp",'
                         b' "version": 6, "spec_version": "1.0.31", "expires":'
                         b' "2999-01-01T00:00:00Z", "meta": {"snapshot.json": {"version": 6}}}}'),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_this_is_taken(attacker: Attacker, client: Client, case: str) -> None:
    act, root = TAKEN[case]
    act(attacker)
    assert client.run(client.download) == 0
    assert client.versions() == {**dict.fromkeys(ROLES, 6), Root.type: root}
    assert client.kept()[NAME]["generation"] == 6


@pytest.mark.parametrize("case", REFUSED)
def test_this_is_refused(attacker: Attacker, client: Client, case: str) -> None:
    REFUSED[case](attacker)
    assert client.run(client.download) == 1
    assert client.kept()[NAME]["generation"] == 5
    assert client.versions()[Targets.type] in (5, 6)


def test_numbers_that_ran_ahead_are_forgotten_with_the_keys(
    attacker: Attacker, client: Client
) -> None:
    attacker.write(900)
    assert client.run(client.download) == 0
    attacker.write(6, targets=901)
    assert client.run(client.download) == 1
    _keys_of_the_roles_change(attacker)
    attacker.write(6, targets=901)
    assert client.run(client.download) == 0
    assert client.versions() == {"root": 2, "timestamp": 6, "snapshot": 6, "targets": 901}


@pytest.mark.slow
def test_whatever_byte_is_changed_only_what_was_signed_is_trusted(
    attacker: Attacker, client: Client, tmp_path: Path
) -> None:
    """Of all that a client reads for the next generation, one bit at a time."""
    shutil.copytree(client.folder, tmp_path / "before", symlinks=True)
    before = client.kept()
    attacker.write_root(2)
    attacker.write(6)
    assert client.run(client.download) == 0
    after = client.kept()
    assert after != before
    files = [attacker.metadata / name for name in
             ("2.root.json", "timestamp.json", "6.snapshot.json", "6.targets.json")]  # fmt: skip
    files += attacker.folder.glob(f"opd/*/targets/*.{NAME}")
    refused = 0
    for file in files:
        good = file.read_bytes()
        for place in range(0, len(good), 11):
            bad = bytearray(good)
            bad[place] ^= 1 << place % 8
            file.write_bytes(bad)
            shutil.rmtree(client.folder)
            shutil.copytree(tmp_path / "before", client.folder, symlinks=True)
            status = client.run(client.download)
            seen = client.kept()
            where = f"{file.name}, byte {place}"
            if status == 0:
                assert seen == after, where
            else:
                refused += 1
                assert all(seen[name] in (before[name], after[name]) for name in before), where
        file.write_bytes(good)
    assert refused > 100
