# SPDX-License-Identifier: GPL-2.0-or-later
"""Mirrors of apt and rpm-md repositories of somebody else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opkg.files import sha256_file
from opkg.run import run
from tests.programs import forked
from tests.repo_server.clients import any_web_server, apt_client
from tests.repo_server.conftest import DEB_TARGET, RPM_TARGET, fill
from tests.repo_server.upstreams import (
    SUITE,
    Flaky,
    Mirrors,
    files,
    flaky,
    index_apt,
    index_rpm,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def apt_archive(tmp_path_factory, build, by) -> Path:
    archive = tmp_path_factory.mktemp("archive")
    pool = archive / "pool"
    pool.mkdir()
    work = tmp_path_factory.mktemp("work")
    for name, version, depends in [
        ("tool", "1.0-1", ""),
        ("tool", "1.1-1", "libtool1 (>= 2), elsewhere | other"),
        ("libtool1", "2.0-1", ""),
        ("noise", "1.0-1", ""),
    ]:
        package = build.deb(work, name, version, depends=depends, source=name)
        shutil.copy(package, pool)
    index_apt(archive, by, valid_until="86400")
    return archive


@pytest.fixture
def upstream(apt_archive, tmp_path) -> Iterator[Flaky]:
    copy = tmp_path / "upstream"
    shutil.copytree(apt_archive, copy)
    with flaky(copy) as served:
        yield served


def test_an_apt_repository_is_copied_with_its_signatures(mirrors, upstream, by, tmp_path):
    mirrors.add_apt(upstream, by)
    mirrors.sync()
    state = mirrors.health()
    assert (state["complete"], state["error"], state["lacking"]) == (True, "", 0)
    ours, theirs = files(mirrors.shown), files(upstream.folder)
    assert {path for path in theirs if path.endswith(".deb")} < set(ours)
    assert all(theirs[path] == digest for path, digest in ours.items())
    with any_web_server(mirrors.repo.live) as url:
        (tmp_path / "keys/keys").mkdir(parents=True)
        shutil.copy(by.key, tmp_path / "keys/keys/repository.asc")
        apt = apt_client(tmp_path / "apt", tmp_path / "keys", url)
        source = tmp_path / "apt/etc/test.sources"
        text = source.read_text().replace("deb/testing", "mirror/other")
        source.write_text(text.replace("debian-12", SUITE))
        done = apt("update", "--error-on=any")
        assert done.status == 0, done.stderr
        done = apt("download", "tool")
        assert done.status == 0, done.stderr
    assert (tmp_path / "apt/tool_1.1-1_all.deb").is_file()


def test_what_did_not_change_is_not_asked_for(mirrors, upstream, by, tmp_path, build):
    mirrors.add_apt(upstream, by)
    mirrors.sync()
    assert len(upstream.packages) == 4
    upstream.asked.clear()
    mirrors.sync()
    assert {path.rpartition("/")[2] for path, _ in upstream.asked} == {
        "InRelease",
        "Release",
        "Release.gpg",
    }
    shutil.copy(build.deb(tmp_path, "noise", "1.1-1"), upstream.folder / "pool")
    index_apt(upstream.folder, by)
    upstream.asked.clear()
    mirrors.sync()
    assert upstream.packages == ["noise_1.1-1_all.deb"]
    assert (mirrors.shown / "pool/noise_1.1-1_all.deb").is_file()


def test_a_broken_download_goes_on_at_the_byte(mirrors, upstream, by):
    mirrors.add_apt(upstream, by)
    name = "tool_1.1-1_all.deb"
    upstream.breaks[name] = 700
    assert "broke off after 700" in mirrors.sync(status=1)
    state = mirrors.health()
    assert (state["complete"], state["lacking"], state["age"]) == (False, 1, None)
    assert not mirrors.shown.exists()
    upstream.breaks.clear()
    upstream.asked.clear()
    mirrors.sync()
    assert [row for row in upstream.asked if row[0].endswith(".deb")] == [(f"/pool/{name}", 700)]
    assert mirrors.health()["complete"] is True


def test_a_killed_mirror_knows_that_it_is_incomplete(mirrors, upstream, by):
    mirrors.add_apt(upstream, by)
    name = "tool_1.1-1_all.deb"
    upstream.breaks[name] = 700
    upstream.go_on.clear()
    words = [sys.executable, "-m", "repo_server", "mirror", "sync", mirrors.repo.directory, "other"]
    with subprocess.Popen([str(word) for word in words], stderr=subprocess.DEVNULL) as process:
        store = mirrors.repo.directory / "mirrors/other/store"
        while not any(path.stat().st_size == 700 for path in store.glob("??/*.part")):
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    assert mirrors.health()["complete"] is False
    assert not mirrors.shown.exists()
    upstream.breaks.clear()
    upstream.asked.clear()
    mirrors.sync()
    assert (f"/pool/{name}", 700) in upstream.asked
    assert mirrors.health()["complete"] is True


def test_of_two_at_once_the_second_waits(mirrors, upstream, by):
    mirrors.add_apt(upstream, by)
    upstream.breaks["tool_1.1-1_all.deb"] = 700
    upstream.go_on.clear()
    words = [sys.executable, "-m", "repo_server", "mirror", "sync", mirrors.repo.directory, "other"]
    command = [str(word) for word in words]
    store = mirrors.repo.directory / "mirrors/other/store"
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first,
        subprocess.Popen(
            [sys.executable, "-c", _AFTER, store, *command], stderr=subprocess.PIPE, text=True
        ) as second,
    ):
        assert second.stderr
        assert first.stderr
        said = next(line for line in second.stderr if "waiting for another command" in line)
        assert "mirror other" in said
        upstream.breaks.clear()
        upstream.asked.clear()
        upstream.go_on.set()
        first.stderr.read()
        rest = second.stderr.read()
    assert (first.returncode, second.returncode) == (0, 0), rest
    assert [row for row in upstream.asked if row[0].endswith(".deb")] == [
        ("/pool/tool_1.1-1_all.deb", 700)
    ]
    assert mirrors.health()["complete"] is True
    assert not list(store.glob("??/*.part"))


# A command, once a download of the store has come to its 700 bytes.
_AFTER = """
import os, pathlib, sys, time
while not any(p.stat().st_size == 700 for p in pathlib.Path(sys.argv[1]).glob("??/*.part")):
    time.sleep(0.02)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_full_disk_leaves_what_was_and_the_next_goes_on(
    mirrors, upstream, by, tmp_path, build, small_disk
):
    moved = small_disk / "repo"
    shutil.copytree(mirrors.repo.directory, moved, symlinks=True)
    mirrors = Mirrors(type(mirrors.repo)(directory=moved))
    mirrors.add_apt(upstream, by)
    mirrors.sync()
    before = files(mirrors.shown)
    big = build.deb(tmp_path, "big", "1.0-1", content=os.urandom(400 << 10).hex())
    shutil.copy(big, upstream.folder / "pool")
    index_apt(upstream.folder, by)
    for leave in (0, 16 << 10, 128 << 10):
        ballast = fill(small_disk, leave=leave)
        assert "the disk is full" in mirrors.sync(status=1)
        assert files(mirrors.shown) == before
        ballast.unlink()
    [part] = (moved / "mirrors/other/store").glob("??/*.part")
    came = part.stat().st_size
    assert 0 < came < big.stat().st_size
    upstream.asked.clear()
    mirrors.sync()
    assert (f"/pool/{big.name}", came) in upstream.asked
    assert (mirrors.shown / f"pool/{big.name}").is_file()
    assert mirrors.health()["complete"] is True


def test_a_state_that_was_not_noted_does_not_touch_what_is_shown(mirrors, upstream, by):
    """Killed after the swap, before the note."""
    mirrors.add_apt(upstream, by)
    note = mirrors.repo.directory / "mirrors/other/state.json"
    mirrors.sync()
    old = note.read_bytes()
    index_apt(upstream.folder, by, date=datetime.now(UTC) + timedelta(minutes=1))
    mirrors.sync()
    note.write_bytes(old)
    seen = mirrors.shown.resolve()
    index_apt(upstream.folder, by, date=datetime.now(UTC) + timedelta(minutes=2))
    mirrors.sync()
    assert mirrors.shown.resolve() != seen
    assert mirrors.health()["generation"] == int(mirrors.shown.resolve().name)


def test_what_came_before_is_shown_until_the_new_is_whole(mirrors, upstream, by, tmp_path, build):
    mirrors.add_apt(upstream, by)
    mirrors.sync()
    before = files(mirrors.shown)
    shutil.copy(build.deb(tmp_path, "noise", "1.1-1"), upstream.folder / "pool")
    (upstream.folder / "pool/tool_1.0-1_all.deb").unlink()
    index_apt(upstream.folder, by)
    upstream.breaks["noise_1.1-1_all.deb"] = 10
    mirrors.sync(status=1)
    assert files(mirrors.shown) == before
    state = mirrors.health()
    assert (state["complete"], state["lacking"], state["generation"]) == (False, 1, 1)
    upstream.breaks.clear()
    mirrors.sync()
    # For a client that read the old list a moment ago; the next copy goes without it.
    assert (mirrors.shown / "pool/tool_1.0-1_all.deb").is_file()
    index_apt(upstream.folder, by, valid_until="1000")
    mirrors.sync()
    assert not (mirrors.shown / "pool/tool_1.0-1_all.deb").exists()


def _spoil(path: Path, at: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda top, _: _spoil(top / "pool/tool_1.1-1_all.deb"), "not the file that was signed"),
        (lambda top, _: (top / "pool/tool_1.1-1_all.deb").unlink(), "are not there"),
        (lambda top, _: _spoil(top / f"dists/{SUITE}/InRelease"), "do not vouch"),
        (
            lambda top, _: [
                _spoil(path) for path in top.glob(f"dists/{SUITE}/main/binary-amd64/Packages*")
            ],
            "not the file that was signed",
        ),
        (lambda top, by: index_apt(top, by, valid_until="-5"), "was valid until"),
    ],
)
def test_a_damaged_repository_is_refused(mirrors, upstream, by, damage, reason):
    mirrors.add_apt(upstream, by)
    mirrors.sync()
    before = files(mirrors.shown)
    shutil.rmtree(mirrors.repo.directory / "mirrors/other/store")
    damage(upstream.folder, by)
    assert reason in mirrors.sync(status=1)
    assert files(mirrors.shown) == before
    assert reason in str(mirrors.health()["error"])
    assert mirrors.health()["complete"] is False


def test_an_apt_repository_does_not_go_back(mirrors, upstream, by, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(upstream.folder, old)
    mirrors.add_apt(upstream, by)
    # apt-ftparchive's dates are in whole seconds.
    index_apt(upstream.folder, by, date=datetime.now(UTC) + timedelta(minutes=1))
    mirrors.sync()
    before = files(mirrors.shown)
    shutil.rmtree(upstream.folder / "dists")
    shutil.copytree(old / "dists", upstream.folder / "dists")
    assert "older than what was taken before" in mirrors.sync(status=1)
    assert files(mirrors.shown) == before
    # After a failure, too; and the same again is not older.
    assert "older than what was taken before" in mirrors.sync(status=1)
    index_apt(upstream.folder, by, date=datetime.now(UTC) + timedelta(minutes=2))
    mirrors.sync()
    mirrors.sync()
    assert mirrors.health()["complete"] is True


def test_another_key_does_not_vouch(mirrors, upstream, published):
    key = published.live / "keys/repository.asc"
    mirrors.run("add", "other", upstream.url, "--suite", SUITE, "--key", key)
    assert "do not vouch" in mirrors.sync(status=1)


@pytest.mark.parametrize("name", ["../../../escaped.deb", "/etc/escaped.deb", "pool/../x.deb"])
def test_paths_do_not_lead_out_of_the_copy(mirrors, upstream, by, name):
    listed = upstream.folder / f"dists/{SUITE}/main/binary-amd64/Packages"
    text = listed.read_text().replace("Filename: pool/noise_1.0-1_all.deb", f"Filename: {name}")
    listed.write_text(text)
    run(["xz", "-kf", listed])
    run(["gzip", "-nkf", listed])
    release = upstream.folder / f"dists/{SUITE}/Release"
    head = release.read_text().partition("MD5Sum:")[0]
    digests = [
        f" {sha256_file(path)} {path.stat().st_size} main/binary-amd64/{path.name}\n"
        for path in sorted(listed.parent.iterdir())
    ]
    release.write_text(f"{head}SHA256:\n{''.join(digests)}")
    by.clear(release, release.with_name("InRelease"))
    mirrors.add_apt(upstream, by)
    assert "outside of itself" in mirrors.sync(status=1)


def test_a_part_goes_into_a_channel_under_our_key(mirrors, upstream, by, tmp_path):
    words = ("--filter", "too*", "--newest", "1", "--into", "extra", "--target", DEB_TARGET)
    mirrors.add_apt(upstream, by, *words)
    mirrors.sync()
    assert sorted(upstream.packages) == ["libtool1_2.0-1_all.deb", "tool_1.1-1_all.deb"]
    rows = mirrors.repo.json("list", "--channel", "extra")
    assert {(row["name"], row["version"]) for row in rows} == {
        ("tool", "1.1-1"),
        ("libtool1", "2.0-1"),
    }
    assert all(row["generation"] for row in rows)
    generation = mirrors.repo.number
    upstream.asked.clear()
    mirrors.sync()
    assert (upstream.packages, mirrors.repo.number) == ([], generation)


def test_a_part_without_a_channel_is_refused(mirrors, upstream, by):
    words = ("add", "other", upstream.url, "--suite", SUITE, "--key", by.key, "--newest", "1")
    assert "cannot keep that repository’s signatures".replace("’", "'") in mirrors.run(
        *words, status=1
    )
    assert (
        json.loads(forked("repo_server", "mirror", "list", "--json", mirrors.repo.directory).stdout)
        == []
    )


def test_a_mirror_is_carried_on_a_disk(mirrors, upstream, by, make_repo, tmp_path):
    mirrors.add_apt(upstream, by)
    mirrors.sync()
    disk = tmp_path / "disk"
    mirrors.run("export", "other", disk)
    far = Mirrors(make_repo())
    far.add_apt(Flaky(tmp_path, url="http://127.0.0.1:9"), by)
    far.run("import", "other", disk)
    assert files(far.shown) == files(mirrors.shown)
    assert far.health()["complete"] is True
    assert "0 files copied" in mirrors.run("export", "other", disk)
    _spoil(disk / "pool/tool_1.1-1_all.deb")
    shutil.rmtree(far.repo.directory / "mirrors/other/store")
    assert "not the file that was signed" in far.run("import", "other", disk, status=1)


def test_export_loses_nothing_of_a_folder_that_is_not_its_own(mirrors, upstream, by, tmp_path):
    mirrors.add_apt(upstream, by)
    mirrors.sync()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/one").touch()
    assert "would be lost" in mirrors.run("export", "other", tmp_path / "letters", status=1)
    assert (tmp_path / "letters/one").exists()


def test_a_removed_mirror_leaves_nothing(mirrors, upstream, by):
    mirrors.add_apt(upstream, by)
    mirrors.sync()
    mirrors.run("remove", "other")
    assert not list((mirrors.repo.live / "mirror").iterdir())
    assert not list((mirrors.repo.directory / "mirrors").iterdir())
    assert "no mirror named" in mirrors.run("remove", "other", status=1)


@pytest.fixture
def rpm_upstream(tmp_path, build, by) -> Iterator[Flaky]:
    folder = tmp_path / "rpms"
    (folder / "p").mkdir(parents=True)
    for name, version, requires in [
        ("gadget", "1.0-1.demo9", ""),
        ("gadget", "1.2-1.demo9", "libgadget >= 2"),
        ("libgadget", "2.0-1.demo9", ""),
        ("noise", "1.0-1.demo9", ""),
    ]:
        shutil.copy(build.rpm(tmp_path, name, version, requires=requires), folder / "p")
    index_rpm(folder, by)
    with flaky(folder) as served:
        yield served


def test_an_rpm_repository_is_copied(mirrors, rpm_upstream, by, tmp_path):
    mirrors.run("add", "other", rpm_upstream.url, "--key", by.key)
    mirrors.sync()
    assert files(mirrors.shown) == files(rpm_upstream.folder)
    _spoil(rpm_upstream.folder / "repodata/repomd.xml")
    assert "do not vouch" in mirrors.sync(status=1)
    (tmp_path / "repos").mkdir()
    (tmp_path / "repos/test.repo").write_text(
        f"[test]\nname=test\nbaseurl=file://{mirrors.shown}/\ngpgkey=file://{by.key}\n"
        "gpgcheck=0\nrepo_gpgcheck=1\n"
    )
    (tmp_path / "dnf.conf").write_text("[main]\n")
    words = [
        *("unshare", "--pid", "--fork", "--mount", "--mount-proc", "dnf", "-y"),
        *("--config", tmp_path / "dnf.conf", "--installroot", tmp_path / "root"),
        *("--releasever", "9", f"--setopt=reposdir={tmp_path}/repos"),
    ]
    done = run([*words, "repoquery", "gadget"], env={"HOME": str(tmp_path)}, check=False)
    assert "gadget-0:1.2-1.demo9.noarch" in done.stdout, done.stderr


@pytest.mark.parametrize("into", [(), ("--into", "extra", "--target", RPM_TARGET)])
def test_an_rpm_repository_does_not_go_back(mirrors, rpm_upstream, by, into):
    mirrors.run("add", "other", rpm_upstream.url, "--key", by.key, *into)
    index_rpm(rpm_upstream.folder, by, "--revision", "12")
    mirrors.sync()
    index_rpm(rpm_upstream.folder, by, "--revision", "9")
    err = mirrors.sync(status=1)
    assert "revision 9, older than what was taken before, of revision 12" in err
    assert mirrors.health()["complete"] is False
    index_rpm(rpm_upstream.folder, by, "--revision", "13")
    mirrors.sync()
    assert mirrors.health()["complete"] is True


def test_a_part_of_an_rpm_repository_goes_into_a_channel(mirrors, rpm_upstream, by):
    words = ("--filter", "gadget", "--newest", "1", "--into", "extra", "--target", RPM_TARGET)
    mirrors.run("add", "other", rpm_upstream.url, "--key", by.key, *words)
    mirrors.sync()
    rows = mirrors.repo.json("list", "--channel", "extra")
    assert {row["name"] for row in rows} == {"gadget", "libgadget"}
    assert len(rows) == 2
    assert mirrors.repo.json("check")["faults"] == []
