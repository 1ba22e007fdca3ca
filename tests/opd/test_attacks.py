# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacks that TUF's specification lists (1.5.2), through the real command: each is refused in
one message, and what was verified before stays in use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from tests.opd.attacker import Attacker
from tests.opd.conftest import Opd, serve_files

pytestmark = pytest.mark.slow

REFUSED = "is not what its pinned key vouches for"
PAST = timedelta(days=-1)


@pytest.fixture
def attacker(tmp_path: Path) -> Attacker:
    """Generation 5 of a repository, so that there are earlier ones; nobody trusts it yet."""
    made = Attacker(folder=tmp_path / "served")
    made.write_root()
    made.write(5)
    return made


@pytest.fixture
def victim(tmp_path: Path, attacker: Attacker, env: dict[str, str]) -> Iterator[Opd]:
    """An administrator who has verified generation 5."""
    (tmp_path / "headnode").mkdir()
    opd = Opd(tmp_path / "state", tmp_path / "headnode", env)
    with serve_files(attacker.folder) as url:
        opd.run("repo", "add", url, "--root-key", attacker.root_json, "--name", "it")
        yield opd


def trusts(opd: Opd) -> int:
    """The generation that is in use, without asking the server."""
    path = opd.state / "repositories/it/index.json"
    return int(path.read_text().partition('"generation":')[2].split(",")[0])


def refused(opd: Opd) -> str:
    done = opd.run("update", status=1)
    assert REFUSED in done.err
    assert trusts(opd) == 5
    return done.err


def test_what_is_newer_and_signed_is_taken(attacker: Attacker, victim: Opd) -> None:
    attacker.write(6)
    victim.run("update")
    assert trusts(victim) == 6


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
def test_another_signature_is_refused(attacker: Attacker, victim: Opd, role: str) -> None:
    attacker.keys[role] = CryptoSigner.generate_ed25519()
    attacker.write(6)
    assert role in refused(victim)


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
def test_expired_metadata_are_refused(attacker: Attacker, victim: Opd, role: str) -> None:
    attacker.lasts[role] = PAST
    attacker.write(6)
    assert "expired" in refused(victim)


def test_an_expired_root_is_refused(attacker: Attacker, victim: Opd) -> None:
    attacker.lasts[Root.type] = PAST
    attacker.write_root(2)
    assert "expired" in refused(victim)


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
def test_an_earlier_version_is_refused(attacker: Attacker, victim: Opd, role: str) -> None:
    attacker.write(6, **{role: 4})
    refused(victim)


def test_a_server_that_stands_still_is_noticed(attacker: Attacker, victim: Opd) -> None:
    """Freeze: what is served is whole, signed and known, and got old since it was verified."""
    attacker.write(6)
    victim.run("update")
    attacker.lasts[Timestamp.type] = PAST
    attacker.write_timestamp(6)
    ours = victim.state / "repositories/it/metadata/timestamp.json"
    shutil.copyfile(attacker.metadata / ours.name, ours)
    assert "expired" in victim.run("update", status=1).err
    assert trusts(victim) == 6


@pytest.mark.parametrize("role", [Snapshot.type, Targets.type])
def test_parts_of_two_generations_are_refused(attacker: Attacker, victim: Opd, role: str) -> None:
    """Mix and match: each part is signed, but they were never published together."""
    attacker.write(6)
    other = Attacker(folder=attacker.folder.parent / "other", keys=attacker.keys)
    other.write(7, **{role: 6})
    shutil.copyfile(other.metadata / f"6.{role}.json", attacker.metadata / f"6.{role}.json")
    refused(victim)


def test_new_keys_are_followed_only_from_the_old_ones(attacker: Attacker, victim: Opd) -> None:
    old = attacker.keys[Root.type]
    attacker.keys = {role: CryptoSigner.generate_ed25519() for role in attacker.keys}
    attacker.write_root(2)  # by the new key alone
    attacker.write(6)
    refused(victim)
    attacker.write_root(2, old, attacker.keys[Root.type])
    victim.run("update")
    assert trusts(victim) == 6


class _Endless(SimpleHTTPRequestHandler):
    """Serves files, and for one of them bytes for ever."""

    def __init__(self, endless: str, sent: list[int], *arguments: object, **named: object) -> None:
        self.endless, self.sent = endless, sent
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if not self.path.endswith(self.endless):
            super().do_GET()
            return
        self.send_response(200)
        self.end_headers()
        try:
            while sum(self.sent) < 1 << 30:
                self.wfile.write(b" " * 65536)
                self.sent.append(65536)
        except OSError:  # the client has had enough
            pass

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.mark.parametrize(
    "name", ["2.root.json", "timestamp.json", "5.snapshot.json", "5.targets.json", ".index.json"]
)
def test_endless_data_are_cut_off(
    attacker: Attacker, tmp_path: Path, env: dict[str, str], name: str
) -> None:
    (tmp_path / "headnode").mkdir()
    opd = Opd(tmp_path / "state", tmp_path / "headnode", env)
    sent: list[int] = []
    with serve_files(attacker.folder, partial(_Endless, name, sent)) as url:
        done = opd.run("repo", "add", url, "--root-key", attacker.root_json, status=1)
    assert url in done.err
    assert sum(sent) < 32 << 20
    assert opd.json("repo", "list") == []
