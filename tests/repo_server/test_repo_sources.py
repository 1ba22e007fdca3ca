# SPDX-License-Identifier: GPL-2.0-or-later
"""Source packages: published beside the built ones, where clients that want them look."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import createrepo_c
import msgspec
import pytest
from debian.deb822 import Sources

from opkg.document import encode
from opkg.files import sha256_file
from opkg.manifest import SourceFile, read_manifest
from opkg.run import run
from repo_server.forms import unpack
from repo_server.garbage import collect
from repo_server.history import KEPT
from repo_server.publish import publish
from repo_server.repository import open_repository
from tests.repo_server.clients import any_web_server, apt_client, dnf_client, spoil

pytestmark = pytest.mark.slow

FOLDER = "rpm/testing/demo-rpm-9-x86_64"
SOURCES = f"{FOLDER}/source"


def source_rpm(folder: Path, version: str) -> Path:
    """The source package of what `build.rpm` built there last."""
    run(["rpmbuild", "--quiet", "--define", f"_topdir {folder}/top", "-bs", folder / "beta.spec"])
    return folder / f"top/SRPMS/beta-{version}.src.rpm"


@pytest.fixture
def repo(make_repo, tmp_path, build):
    """A repository with a package in both forms."""
    repo = make_repo()
    built = build.rpm(tmp_path, "beta", "1-1.demo9")
    repo.run("add", "--channel", "testing", built, source_rpm(tmp_path, "1-1.demo9"))
    repo.run("publish")
    return repo


def packages(repodata: Path) -> dict[str, tuple[str, ...]]:
    """What a repository's lists say, by digest."""
    reader = createrepo_c.RepositoryReader.from_path(str(repodata))
    found, _warnings = reader.parse_packages(only_primary=False)
    for package in found.values():
        package.time_file = 0  # of the copy
    return {digest: createrepo_c.xml_dump(package) for digest, package in found.items()}


def test_source_packages_have_a_repository_of_their_own(repo, tmp_path):
    assert repo.json("check")["faults"] == []
    assert {row["architecture"] for row in repo.json("list")} == {"noarch", "src"}
    for folder in (FOLDER, SOURCES):
        ours = packages(repo.live / folder)
        theirs = tmp_path / folder
        theirs.mkdir(parents=True)
        run(["createrepo_c", "--no-database", "--outputdir", theirs, repo.live / folder])
        assert len(ours) == 1
        assert ours.items() <= packages(theirs).items()


def test_damaged_source_package_is_a_fault(repo):
    [path] = (repo.live / SOURCES / "packages").iterdir()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    assert [fault["path"] for fault in repo.json("check", status=1)["faults"]] == [
        f"{SOURCES}/packages/{path.name}"
    ]


def test_repository_stays_when_its_last_source_package_goes(repo):
    repo.run("remove", "--channel", "testing", "beta")
    repo.run("publish")
    assert packages(repo.live / SOURCES) == {}
    assert repo.json("check")["faults"] == []


def test_source_package_goes_with_a_promotion(repo):
    repo.run("promote", "testing", "stable")
    repo.run("publish")
    assert packages(repo.live / SOURCES) == packages(
        repo.live / SOURCES.replace("testing", "stable")
    )


def test_dnf_finds_source_packages(repo, tmp_path):
    with repo.served() as url:
        dnf = dnf_client(tmp_path / "client", repo.live, url, SOURCES)
        done = dnf("repoquery", "--arch", "src", "--location")
    assert done.status == 0, done.stdout + done.stderr
    assert done.stdout.split() == [f"{url}{SOURCES}/packages/beta-1-1.demo9.src.rpm"]


# Debian

DEB_FOLDER = "deb/testing/dists/debian-12/main/source"
CONTROL = """Source: beta
Section: misc
Priority: optional
Maintainer: Some Body <some@body.example>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2
Homepage: http://beta.example/

Package: beta
Architecture: all
Description: A package
 for tests.
"""
CHANGELOG = """beta ({version}) unstable; urgency=medium

  * Made for tests.

 -- Some Body <some@body.example>  Mon, 01 Jan 2024 00:00:00 +0000
"""


def debian_source(folder: Path, version: str, *, upstream: str = "all of it\n") -> Path:
    """A source package, by dpkg-source: a .dsc, upstream's archive and Debian's."""
    tree = folder / "beta-1.0"
    (tree / "debian/source").mkdir(parents=True)
    (tree / "upstream").write_text(upstream)
    run(["tar", "-czf", folder / "beta_1.0.orig.tar.gz", "-C", folder, tree.name])
    (tree / "debian/control").write_text(CONTROL)
    (tree / "debian/changelog").write_text(CHANGELOG.format(version=version))
    (tree / "debian/rules").write_text("#!/usr/bin/make -f\n%:\n\tdh $@\n")
    (tree / "debian/source/format").write_text("3.0 (quilt)\n")
    run(["dpkg-source", "--build", tree.name], cwd=folder)
    return folder / f"beta_{version}.dsc"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A source package of Debian."""
    return debian_source(tmp_path_factory.mktemp("source"), "1.0-1~deb12")


def sources(repo) -> list[dict[str, object]]:
    """What Sources says, each form alike."""
    texts = {
        unpack(path.suffix[1:], path.read_bytes())
        for path in (repo.live / DEB_FOLDER).glob("Sources.*")
    }
    [text] = texts
    return [dict(stanza) for stanza in Sources.iter_paragraphs(text, use_apt_pkg=False)]


@pytest.mark.parametrize("signed", [False, True])
def test_sources_says_what_apt_ftparchive_says(make_repo, source, tmp_path, signed):
    repo = make_repo()
    if signed:
        run(["cp", "-a", source.parent, tmp_path / "signed"])
        source = tmp_path / "signed" / source.name
        source.write_bytes(open_repository(repo.directory).keys.clearsign(source.read_text()))
    repo.run("add", "--channel", "testing", source)
    repo.run("publish")
    assert repo.json("check")["faults"] == []
    archive = repo.live.resolve() / "deb/testing"
    # Ours has none of SHA-512, since the .dsc has none.
    told = run(["apt-ftparchive", "--no-sha512", "sources", "pool/"], cwd=archive).stdout
    [theirs] = Sources.iter_paragraphs(told, use_apt_pkg=False)
    assert sources(repo) == [dict(theirs)]


def test_apt_gets_and_unpacks_a_source_package(make_repo, source, tmp_path):
    repo = make_repo()
    repo.run("add", "--channel", "testing", source)
    repo.run("publish")
    with any_web_server(repo.live) as url:
        apt = apt_client(tmp_path / "apt", repo.live, url, types="deb deb-src")
        done = apt("update", "--error-on=any")
        assert done.status == 0, done.stderr
        done = apt("source", "beta")
        assert done.status == 0, done.stderr
        assert (tmp_path / "apt/beta-1.0/upstream").read_text() == "all of it\n"
        assert (tmp_path / "apt/beta-1.0/debian/changelog").is_file()


def test_apt_refuses_changed_sources(make_repo, source, tmp_path):
    repo = make_repo()
    repo.run("add", "--channel", "testing", source)
    repo.run("publish")
    spoil(repo.live / "packages", "deb/testing/pool/b/beta/*.orig.tar.gz")
    [fault] = repo.json("check", status=1)["faults"]
    assert fault["path"] == "deb/testing/pool/b/beta/beta_1.0.orig.tar.gz"
    with any_web_server(repo.live) as url:
        apt = apt_client(tmp_path / "apt", repo.live, url, types="deb-src")
        assert apt("update", "--error-on=any").status == 0
        assert "Hash Sum mismatch" in apt("source", "beta").stderr


def test_suite_without_sources_can_be_asked_for_them(make_repo, debs, tmp_path):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.packages[0])
    repo.run("publish")
    with any_web_server(repo.live) as url:
        apt = apt_client(tmp_path / "apt", repo.live, url, types="deb deb-src")
        done = apt("update", "--error-on=any")
        assert done.status == 0, done.stderr
    assert sources(repo) == []


def test_repair_brings_a_source_package_back(make_repo, source):
    repo = make_repo()
    repo.run("add", "--channel", "testing", source)
    repo.run("publish")
    for path in (repo.live / "packages/deb/testing/pool/b/beta").iterdir():
        path.unlink()
    assert len(repo.json("check", status=1)["faults"]) == 3
    assert repo.json("check", "--repair")["faults"] == []


def test_source_package_goes_from_the_disk_as_a_whole(make_repo, source):
    repo = make_repo()
    repo.run("add", "--channel", "testing", source)
    repo.run("publish")
    repo.run("promote", "testing", "stable")
    repo.run("remove", "--channel", "testing", "beta")
    repo.run("publish")
    assert len(list((repo.live / "deb/stable/pool/b/beta").iterdir())) == 3
    repo.run("remove", "--channel", "stable", "beta")
    repository, later = open_repository(repo.directory), datetime.now(UTC) + timedelta(days=1)
    for number in range(KEPT + 1):
        publish(repository, lambda _: None, now=later + timedelta(hours=number))
    collect(repository, None, lambda _: None, now=later + timedelta(hours=KEPT + 1))
    assert [path for path in (repo.directory / "pool").rglob("*") if path.is_file()] == []
    assert repo.json("check")["faults"] == []


def test_packages_may_share_a_file_but_not_a_name(make_repo, source, tmp_path):
    repo = make_repo()
    repo.run("add", "--channel", "testing", source)
    (tmp_path / "other").mkdir()
    other = debian_source(tmp_path / "other", "1.0-2~deb12", upstream="something else\n")
    assert "other content" in repo.refusal(other)
    (tmp_path / "same").mkdir()
    for name in ("beta_1.0.orig.tar.gz", "beta-1.0"):
        run(["cp", "-a", source.parent / name, tmp_path / "same"])
    tree = tmp_path / "same/beta-1.0"
    (tree / "debian/changelog").write_text(CHANGELOG.format(version="1.0-2~deb12"))
    run(["dpkg-source", "--build", tree.name], cwd=tmp_path / "same")
    repo.run("add", "--channel", "testing", tmp_path / "same/beta_1.0-2~deb12.dsc")
    repo.run("publish")
    assert len(sources(repo)) == 2
    shared = repo.live / "deb/testing/pool/b/beta/beta_1.0.orig.tar.gz"
    digest = sha256_file(shared)
    assert shared.samefile(repo.directory / "pool" / digest[:2] / digest)
    assert repo.json("check")["faults"] == []


@pytest.mark.parametrize(("old", "new", "message"), [
    ("beta_1.0.orig.tar.gz", "../beta_1.0.orig.tar.gz", "by a name that cannot be"),
    ("beta_1.0.orig.tar.gz", "beta_1.0_all.deb", "cannot be a file of a source package"),
    ("Checksums-Sha256", "Checksums-Sha224", "it has no Checksums-Sha256"),
    ("Format: 3.0 (quilt)", "Nothing", "it has no Format"),
    ("Format: 3.0 (quilt)", "Format: " + "3" * (1 << 20), "too large for a .dsc"),
])  # fmt: skip
def test_dsc_that_cannot_be_is_refused(make_repo, source, tmp_path, old, new, message):
    folder = tmp_path / "spoiled"
    run(["cp", "-a", source.parent, folder])
    path = folder / source.name
    path.write_text(path.read_text().replace(old, new))
    assert message in make_repo().refusal(path)


def test_missing_or_damaged_file_of_a_source_package_is_refused(make_repo, source, tmp_path):
    repo = make_repo()
    run(["cp", "-a", source.parent, tmp_path / "spoiled"])
    path = tmp_path / "spoiled/beta_1.0.orig.tar.gz"
    path.write_bytes(path.read_bytes()[:-1])
    assert "not what its .dsc says" in repo.refusal(path.parent / source.name)
    path.unlink()
    assert "cannot be copied" in repo.refusal(path.parent / source.name)


def test_sources_of_a_manifest_come_and_go_with_their_opkg(make_repo, debs, source, tmp_path):
    repo = make_repo()
    run(["cp", "-a", debs.manifest.parent, tmp_path / "built"])
    manifest = tmp_path / "built/manifest.json"
    repo.run("add", "--channel", "testing", manifest)
    files = [path for path in source.parent.iterdir() if path.is_file()]
    (tmp_path / "built/source").mkdir()
    for path in files:
        shutil.copy(path, tmp_path / "built/source")
    entries = tuple(
        SourceFile(
            opkg="alpha",
            file=f"source/{path.name}",
            size=path.stat().st_size,
            sha256=sha256_file(path),
        )
        for path in files
    )
    told = read_manifest(manifest)
    manifest.write_bytes(encode(msgspec.structs.replace(told, sources=entries)))
    # An older opkg-repo had left them out.
    repo.run("add", "--channel", "testing", manifest)
    repo.run("publish")
    assert [stanza["Package"] for stanza in sources(repo)] == ["beta"]
    repo.run("remove", "--channel", "testing", "alpha")
    repo.run("publish")
    assert sources(repo) == []
