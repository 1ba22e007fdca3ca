# SPDX-License-Identifier: GPL-2.0-or-later
"""`opkg-repo check` names whatever is wrong in a tree."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from repo_server.check import check


@pytest.fixture
def tree(published, tmp_path) -> Path:
    copy = tmp_path / "tree"
    shutil.copytree(published.live, copy)
    return copy


CHECKED = [
    "deb/testing/dists/debian-12/InRelease",
    "deb/testing/dists/debian-12/Release",
    "deb/testing/dists/debian-12/Release.gpg",
    "deb/testing/dists/debian-12/main/binary-amd64/Packages.gz",
    "deb/testing/dists/debian-12/main/binary-amd64/Packages.zst",
    "deb/testing/dists/debian-12/main/binary-amd64/by-hash/SHA256/*",
    "deb/testing/pool/o/opkg-alpha/*",
    "rpm/testing/demo-rpm-9-x86_64/repodata/*",
    "rpm/testing/demo-rpm-9-x86_64/packages/*",
    "opd/testing/metadata/*.json",
    "opd/testing/targets/*",
]


def test_whole_tree_has_no_fault(tree):
    assert check(tree).faults == ()


@pytest.mark.parametrize("pattern", CHECKED)
def test_every_changed_byte_is_found(tree, pattern):
    for path in list(tree.glob(pattern)):
        data = path.read_bytes()
        path.write_bytes(
            data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
        )
        assert check(tree).faults, path
        path.write_bytes(data)
    assert check(tree).faults == ()


@pytest.mark.parametrize("pattern", ["keys/*", *CHECKED])
def test_every_missing_file_is_found(tree, pattern):
    paths = list(tree.glob(pattern))
    assert paths
    for path in paths:
        data = path.read_bytes()
        path.unlink()
        assert check(tree).faults, path
        path.write_bytes(data)


def test_fault_names_the_file(tree):
    [package] = tree.glob("deb/testing/pool/*/*/opkg-alpha-server_*.deb")
    package.unlink()
    assert str(package.relative_to(tree)) in {fault.path for fault in check(tree).faults}


def test_end_of_validity_is_found(tree):
    faults = check(tree, now=datetime.now(UTC) + timedelta(days=15)).faults
    assert {Path(fault.path).name for fault in faults} == {
        "InRelease",
        "timestamp.json",
        "2.snapshot.json",
        "2.targets.json",
    }


@pytest.mark.slow
def test_command_fails_and_prints_the_faults(make_repo, debs):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    victim = repo.live / "deb/testing/dists/debian-12/Release.gpg"
    victim.unlink()
    out, _ = repo.run("check", status=1)
    assert "Release.gpg" in out
    report = repo.json("check", status=1)
    assert [fault["path"] for fault in report["faults"]] == [
        "deb/testing/dists/debian-12/Release.gpg"
    ]
