# SPDX-License-Identifier: GPL-2.0-or-later
"""What `opkg-repo add` takes, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from opkg.document import encode
from opkg.files import sha256_file
from opkg.manifest import read_manifest
from opkg.run import run


def damaged(package: Path, folder: Path, how: str) -> Path:
    """A copy of a package that lost its end, or had a byte changed near it."""
    copy = folder / package.name
    shutil.copy(package, copy)
    data = bytearray(copy.read_bytes())
    if how == "truncated":
        del data[-100:]
    else:
        data[-400] ^= 0xFF
    copy.write_bytes(data)
    return copy


@pytest.mark.slow
def test_manifest_brings_all_its_artifacts(make_repo, debs):
    repo = make_repo()
    added = repo.json("add", "--channel", "testing", debs.manifest)
    assert {(row["target"], row["name"]) for row in added} == {
        ("debian-12-x86_64", name)
        for name in ("opkg-alpha", "opkg-alpha-server", "opkg-alpha-client", "alpha")
    }
    assert all(row["new"] for row in added)
    assert [row["generation"] for row in repo.json("list")] == [None] * 4


def test_debs_stay_as_they_came(make_repo, debs):
    repo = make_repo()
    for row in repo.json("add", "--channel", "testing", debs.manifest):
        pooled = repo.directory / "pool" / row["sha256"][:2] / row["sha256"]
        assert sha256_file(pooled) == row["sha256"]
        assert row["sha256"] in {sha256_file(package) for package in debs.packages}


@pytest.mark.slow
def test_same_again_is_harmless(make_repo, debs, rpms):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    before = repo.state()
    again = repo.json("add", "--channel", "testing", debs.manifest, *rpms.packages, rpms.manifest)
    assert not any(row["new"] for row in again)
    assert repo.state() == before


@pytest.mark.slow
def test_second_channel_shares_the_signed_package(make_repo, rpms):
    repo = make_repo()
    first = repo.json("add", "--channel", "testing", rpms.manifest)
    second = repo.json("add", "--channel", "stable", rpms.manifest)
    assert [row["sha256"] for row in first] == [row["sha256"] for row in second]
    assert all(row["new"] for row in second)
    repo.run("publish")
    assert repo.json("check")["faults"] == []


def test_rpms_are_signed_on_the_way_in(make_repo, rpms):
    repo = make_repo()
    key = repo.directory / "live/keys/repository.asc"
    database = repo.directory / "db"
    run(["rpmkeys", "--dbpath", database, "--import", key])
    for row in repo.json("add", "--channel", "testing", rpms.manifest):
        pooled = repo.directory / "pool" / row["sha256"][:2] / row["sha256"]
        verify = ["rpmkeys", "--dbpath", database, "--define", "_pkgverify_level all", "-K"]
        assert "digests signatures OK" in run([*verify, pooled]).stdout


@pytest.mark.slow
def test_published_rpm_is_known_again(make_repo, rpms):
    repo = make_repo()
    repo.run("add", "--channel", "testing", *rpms.packages)
    repo.run("publish")
    served = sorted(repo.live.glob("rpm/testing/*/packages/*.rpm"))
    assert len(served) == 3
    again = repo.json("add", "--channel", "testing", *served)
    assert not any(row["new"] for row in again)


def test_tag_tells_the_target_of_single_packages(make_repo, debs, rpms):
    repo = make_repo()
    added = repo.json("add", "--channel", "testing", debs.packages[3], rpms.packages[0])
    assert [row["target"] for row in added] == ["debian-12-x86_64", "demo-rpm-9-x86_64"]


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "none"])
def test_every_compression_of_debs_is_read(make_repo, tmp_path, build, compression):
    package = build.deb(tmp_path, "beta", "1-1~deb12", compression=compression)
    assert make_repo().json("add", "--channel", "testing", package)[0]["new"]


def test_package_without_tag_needs_a_target(make_repo, tmp_path, build):
    repo = make_repo()
    package = build.deb(tmp_path, "beta", "1-1")
    assert "tag" in repo.refusal(package)
    added = repo.json("add", "--channel", "testing", "--target", "debian-12-x86_64", package)
    assert added[0]["target"] == "debian-12-x86_64"


@pytest.mark.slow
def test_target_must_fit(make_repo, debs, rpms):
    repo = make_repo()
    assert "does not fit" in repo.refusal("--target", "rocky-9-x86_64", debs.packages[0])
    assert "does not fit" in repo.refusal("--target", "debian-12-aarch64", debs.packages[3])
    assert "does not fit" in repo.refusal("--target", "debian-12-x86_64", rpms.packages[0])


@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_damaged_deb_is_refused(make_repo, tmp_path, debs, how):
    error = make_repo().refusal(*debs.packages[:2], damaged(debs.packages[2], tmp_path, how))
    assert "not a whole Debian package" in error


@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_damaged_rpm_is_refused(make_repo, tmp_path, rpms, how):
    error = make_repo().refusal(*rpms.packages[:2], damaged(rpms.packages[2], tmp_path, how))
    assert "not a whole RPM package" in error


@pytest.mark.parametrize("suffix", [".deb", ".rpm"])
def test_what_is_no_package_is_refused(make_repo, tmp_path, suffix):
    fake = tmp_path / f"fake{suffix}"
    fake.write_bytes(b"not a package at all")
    assert "not a whole" in make_repo().refusal(fake)


@pytest.mark.slow
def test_every_damaged_part_of_a_deb_is_found(make_repo, tmp_path, build):
    """No byte of the two archives can change unseen, wherever it is."""
    package = build.deb(tmp_path, "beta", "1-1~deb12", compression="gzip")
    data = package.read_bytes()
    start = data.index(b"control.tar") + 60
    repo = make_repo()
    copy = tmp_path / "copy.deb"
    for position in (start + 30, start + 200, len(data) // 2, len(data) - 20):
        copy.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert "not a whole Debian package" in repo.refusal(copy)


def test_digest_must_be_the_manifests(make_repo, tmp_path, rpms):
    folder = tmp_path / "copy"
    shutil.copytree(rpms.manifest.parent, folder)
    manifest = read_manifest(folder / "manifest.json")
    changed = folder / manifest.artifacts[1].file
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    error = make_repo().refusal(folder / "manifest.json")
    assert changed.name in error
    assert manifest.artifacts[1].sha256 in error
    assert sha256_file(changed) in error


@pytest.mark.slow
@pytest.mark.parametrize(("family", "version"), [("deb", "1-1~deb12"), ("rpm", "1-1.demo9")])
def test_same_version_with_other_content_is_refused(make_repo, tmp_path, build, family, version):
    repo = make_repo()
    folders = [tmp_path / content for content in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    make = getattr(build, family)
    old, new = (make(folder, "beta", version, content=folder.name) for folder in folders)
    repo.run("add", "--channel", "testing", old)
    error = repo.refusal(new)
    assert sha256_file(old) in error
    assert sha256_file(new) in error


def test_manifest_must_not_change_what_an_opkg_is(make_repo, tmp_path, debs):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    folder = tmp_path / "copy"
    shutil.copytree(debs.manifest.parent, folder, ignore=shutil.ignore_patterns("*.root"))
    manifest = read_manifest(folder / "manifest.json")
    fewer = type(manifest)(
        format=1,
        target=manifest.target,
        tools={},
        inputs=(),
        opkgs=manifest.opkgs,
        artifacts=manifest.artifacts[:3],
    )
    (folder / "manifest.json").write_bytes(encode(fewer))
    assert "other content" in repo.refusal(folder / "manifest.json")


def test_manifest_must_not_lead_out_of_its_folder(make_repo, tmp_path, debs):
    text = debs.manifest.read_text()
    name = debs.packages[0].name
    manifest = tmp_path / "manifest.json"
    manifest.write_text(text.replace(f'"{name}"', f'"../../{name}"'))
    assert "not in its folder" in make_repo().refusal(manifest)


@pytest.mark.slow
def test_rpm_signed_by_another_is_refused(make_repo, tmp_path, rpms):
    other = type(make_repo())(directory=tmp_path / "other")
    other.run("init")
    other.run("add", "--channel", "testing", rpms.packages[0])
    other.run("publish")
    signed = next(other.live.glob("rpm/testing/*/packages/*.rpm"))
    assert "key that is not this repository's" in make_repo().refusal(signed)


def test_name_that_leads_out_of_the_tree_is_refused(make_repo, tmp_path, build):
    package = build.deb(tmp_path, "beta", "1-1~deb12", source="../../../beta")
    assert "cannot be" in make_repo().refusal(package)


def test_other_files_are_refused(make_repo, tmp_path):
    repo = make_repo()
    (tmp_path / "notes.txt").write_text("hello")
    assert "neither a package nor a manifest" in repo.refusal(tmp_path / "notes.txt")
    assert "cannot be copied" in repo.refusal(tmp_path / "missing.deb")
    assert "cannot be read" in repo.refusal(tmp_path / "missing.json")


def test_channel_names_are_folder_names(make_repo, debs):
    repo = make_repo()
    _, err = repo.run("add", "--channel", "../x", debs.manifest, status=1)
    assert "cannot name a channel" in err


def test_usage_errors_are_status_2(make_repo, debs):
    repo = make_repo()
    repo.run("add", debs.manifest, status=2)
    repo.run("add", "--channel", "testing", status=2)


def test_there_must_be_a_repository(tmp_path, debs, make_repo):
    absent = type(make_repo())(directory=tmp_path / "absent")
    for command in (("add", "--channel", "testing", debs.manifest), ("publish",), ("list",)):
        _, err = absent.run(*command, status=1)
        assert "opkg-repo init" in err
    assert not absent.directory.exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"format": 1', '"format": 2', "format is 2"),
        ('"opkgs": [', '"opkgs_": [', "not a readable manifest"),
        ('"version": "1.0-1",\n      "category"', '"version": "one",\n      "category"', "alpha: "),
        ('"opkg": "alpha"', '"opkg": "gamma"', "an OPKG that it does not list"),
        ('"target": "debian-12-x86_64"', '"target": "nowhere-1"', "no target"),
        ('"name": "opkg-alpha"', '"name": "opkg-beta"', "its manifest calls it opkg-beta"),
    ],
)
def test_manifest_must_fit_together(make_repo, tmp_path, debs, old, new, reason):
    folder = tmp_path / "copy"
    shutil.copytree(debs.manifest.parent, folder, ignore=shutil.ignore_patterns("*.root"))
    text = debs.manifest.read_text()
    assert old in text
    (folder / "manifest.json").write_text(text.replace(old, new))
    assert reason in make_repo().refusal(folder / "manifest.json")


def test_options_come_from_the_environment(make_repo, debs, monkeypatch):
    monkeypatch.setenv("OPKG_REPO_ADD_CHANNEL", "nightly")
    repo = make_repo()
    assert {row["channel"] for row in repo.json("add", debs.manifest)} == {"nightly"}
