# SPDX-License-Identifier: GPL-2.0-or-later
"""Source packages: published beside the built ones, where clients that want them look."""

from __future__ import annotations

from pathlib import Path

import createrepo_c
import pytest

from opkg.run import run
from tests.repo_server.clients import dnf_client

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


@pytest.mark.slow
def test_dnf_finds_source_packages(repo, tmp_path):
    with repo.served() as url:
        dnf = dnf_client(tmp_path / "client", repo.live, url, SOURCES)
        done = dnf("repoquery", "--arch", "src", "--location")
    assert done.status == 0, done.stdout + done.stderr
    assert done.stdout.split() == [f"{url}{SOURCES}/packages/beta-1-1.demo9.src.rpm"]
