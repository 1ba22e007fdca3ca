# SPDX-License-Identifier: GPL-2.0-or-later
"""The real dput (dput-ng) on the real server."""

from __future__ import annotations

import shutil

import pytest

from opkg.run import run

pytestmark = pytest.mark.slow

CONTROL = """Source: {name}
Section: misc
Priority: optional
Maintainer: Some Body <some@body.example>
Standards-Version: 4.6.2

Package: {name}
Architecture: all
Description: A package for tests
 It holds nothing.
"""
CHANGELOG = """{name} ({version}) {distribution}; urgency=medium

  * Made for tests.

 -- Some Body <some@body.example>  Mon, 01 Jan 2024 00:00:00 +0000
"""
RULES = """#!/usr/bin/make -f
build clean build-arch build-indep:
binary binary-indep:
\tmkdir -p debian/tmp/DEBIAN
\tdpkg-gencontrol
\tdpkg-deb --root-owner-group --build debian/tmp ..
binary-arch:
"""


def changes(folder, version, distribution="bookworm", name="delta"):
    """A .changes with a source and a binary package, by dpkg-buildpackage."""
    root = folder / f"{name}-{version.partition('-')[0]}"
    (root / "debian/source").mkdir(parents=True)
    words = {"name": name, "version": version, "distribution": distribution}
    for file, text in (("control", CONTROL), ("changelog", CHANGELOG)):
        (root / "debian" / file).write_text(text.format(**words))
    (root / "debian/rules").write_text(RULES)
    (root / "debian/rules").chmod(0o755)
    (root / "debian/source/format").write_text("3.0 (native)\n")
    run(["dpkg-buildpackage", "-us", "-uc", "-d"], cwd=root)
    shutil.rmtree(root)
    (found,) = folder.glob(f"{name}_*.changes")
    return found


@pytest.fixture
def dput(make_repo, tmp_path):
    """Runs dput with somebody's token for the channel testing."""
    repo = make_repo()
    words = ("create", "anna", "--channel", "testing", "--action", "upload")
    token = repo.json("token", *words)["token"]

    def send(url, path, password=token):
        host = url.replace("//", f"//anna:{password}@").rstrip("/")
        (tmp_path / "dput.cf").write_text(
            f"[opkg]\nmethod = http\nfqdn = {host}\n"
            "incoming = /api/v1/dput/testing\nallow_unsigned_uploads = 1\nrun_lintian = 0\n"
        )
        command = ["dput", "--no-upload-log", "-c", tmp_path / "dput.cf", "opkg", path]
        return run(command, check=False, env={"HOME": str(tmp_path)})

    return repo, send


def test_dput_uploads_source_and_binary(dput, tmp_path):
    repo, send = dput
    path = changes(tmp_path, "1.0~deb12")
    with repo.served() as url:
        done = send(url, path)
    assert done.status == 0, done.stdout + done.stderr
    rows = repo.json("list")
    assert sorted((row["name"], row["architecture"]) for row in rows) == [
        ("delta", "all"),
        ("delta", "source"),
    ]
    assert {row["target"] for row in rows} == {"debian-12-x86_64"}
    assert all(row["generation"] == repo.number for row in rows)
    assert (repo.live / rows[0]["file"]).exists()
    (inbox,) = (repo.directory / "uploads").glob("dput-*")
    assert list(inbox.iterdir()) == []


def test_distribution_says_the_target_where_the_version_does_not(dput, tmp_path):
    repo, send = dput
    path = changes(tmp_path, "1.0", "bookworm")
    with repo.served() as url:
        done = send(url, path)
    assert done.status == 0, done.stdout + done.stderr
    assert {row["target"] for row in repo.json("list")} == {"debian-12-x86_64"}


def test_dput_without_a_good_token_is_refused(dput, tmp_path):
    repo, send = dput
    path = changes(tmp_path, "1.0~deb12")
    before = repo.state()
    with repo.served() as url:
        done = send(url, path, password="opkg_000000000000_" + "a" * 43)
    assert done.status != 0
    assert "401" in done.stdout + done.stderr
    assert repo.state() == before


def test_file_that_is_not_what_the_changes_mean_is_refused(dput, tmp_path):
    repo, send = dput
    path = changes(tmp_path, "1.0~deb12")
    text = path.read_text()
    with repo.served() as url:
        assert send(url, path).status == 0
        before = repo.state()
        # The same version again, with other content.
        for old in tmp_path.glob("delta_*"):
            old.unlink()
        other = changes(tmp_path, "1.0~deb12", "unstable")
        assert other.read_text() != text
        done = send(url, other)
    assert done.status != 0
    assert "other content" in done.stdout + done.stderr
    assert repo.state() == before
