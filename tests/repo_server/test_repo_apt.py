# SPDX-License-Identifier: GPL-2.0-or-later
"""apt on the published tree: it installs from it, and refuses it once it was changed."""

from __future__ import annotations

import pytest

from opkg.files import sha256_file
from opkg.run import run
from opkg.target import known_targets
from tests.lab.roots import debian_root, overlay, unpacked
from tests.repo_server.clients import (
    SERVER,
    add_published,
    any_web_server,
    apt_client,
    commands_for,
    spoil,
)

pytestmark = pytest.mark.slow


def test_apt_installs_into_a_debian_root(published, tmp_path):
    base = unpacked(debian_root())
    with published.served() as url, overlay(base) as root:
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        (root / "etc/apt/apt.conf.d/test").write_text(
            'APT::Update::Error-Mode "any"; APT::Sandbox::User "root";'
        )
        run(["chroot", root, "sh", "-e"], stdin=commands_for(url, "apt"))
        run(["chroot", root, "apt-get", "-y", "install", SERVER])
        query = ["dpkg-query", "--root", root, "-W", "-f", "${Package} ${Version} ${Status}\n"]
        installed = run([*query, "opkg-alpha*", "alpha"]).stdout.splitlines()
        assert {line for line in installed if line.endswith("install ok installed")} == {
            f"{name} 1.0-1~deb12 install ok installed" for name in ("alpha", "opkg-alpha", SERVER)
        }
        assert (root / "usr/share/alpha/content").is_file()


@pytest.mark.parametrize(
    ("suite", "platform"), [("bookworm", "debian-12"), ("trixie", "debian-13")]
)
def test_apt_installs_upgrades_and_removes(make_repo, tmp_path, build, suite, platform):
    """Each release with its own apt, in its own root; trixie's checks signatures with sqv."""
    tag = known_targets().find(platform).distribution.tag
    repo = make_repo()
    add_published(repo, build.deb(tmp_path, "beta", f"1-1{tag}"))
    with repo.served() as url, overlay(unpacked(debian_root(suite=suite))) as root:
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        (root / "etc/apt/apt.conf.d/test").write_text(
            'APT::Update::Error-Mode "any"; APT::Sandbox::User "root";'
        )

        def apt(*words: str) -> str:
            run(["chroot", root, "apt-get", "-y", *words])
            query = ["dpkg-query", "--root", root, "-W", "-f", "${Version} ${db:Status-Status}"]
            return run([*query, "beta"], check=False).stdout

        run(["chroot", root, "sh", "-e"], stdin=commands_for(url, "apt"))
        assert apt("install", "beta") == f"1-1{tag} installed"
        add_published(repo, build.deb(tmp_path, "beta", f"1-2{tag}"))
        apt("update")
        assert apt("upgrade") == f"1-2{tag} installed"
        assert "installed" not in apt("purge", "beta")


def test_apt_downloads_what_was_added(mirror, tmp_path, debs):
    with any_web_server(mirror) as url:
        apt = apt_client(tmp_path / "apt", mirror, url)
        assert apt("update", "--error-on=any").status == 0
        done = apt("download", SERVER)
        assert done.status == 0, done.stderr
        [package] = (tmp_path / "apt").glob("*.deb")
        assert sha256_file(package) in {sha256_file(path) for path in debs.packages}


@pytest.mark.parametrize("patterns", [
    ["deb/*/dists/*/InRelease"],
    ["deb/*/dists/*/*/*/Packages*", "deb/*/dists/*/*/*/by-hash/*/*"],
])  # fmt: skip
def test_apt_refuses_changed_metadata(mirror, tmp_path, patterns):
    spoil(mirror, *patterns)
    with any_web_server(mirror) as url:
        done = apt_client(tmp_path / "apt", mirror, url)("update", "--error-on=any")
    assert done.status != 0
    assert not list((tmp_path / "apt/state/lists").glob("*Packages*"))


@pytest.mark.parametrize("part", ["Origin: ", "\n\n", "SHA256:"])
def test_apt_refuses_any_part_of_inrelease_changed(mirror, tmp_path, part):
    path = mirror / "deb/testing/dists/debian-12/InRelease"
    data = path.read_bytes()
    spoil(mirror, "deb/*/dists/*/InRelease", at=data.rindex(part.encode()) + len(part) + 8)
    with any_web_server(mirror) as url:
        assert apt_client(tmp_path / "apt", mirror, url)("update", "--error-on=any").status != 0


def test_apt_refuses_a_changed_package(mirror, tmp_path):
    spoil(mirror, f"deb/*/pool/*/*/{SERVER}_*.deb")
    with any_web_server(mirror) as url:
        apt = apt_client(tmp_path / "apt", mirror, url)
        assert apt("update", "--error-on=any").status == 0
        done = apt("download", SERVER)
    assert done.status != 0
    assert "Hash Sum mismatch" in done.stderr
