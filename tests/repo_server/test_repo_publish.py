# SPDX-License-Identifier: GPL-2.0-or-later
"""Publications: what they show, how they follow one another, what a crash leaves."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import createrepo_c
import pytest
from debian.deb822 import Deb822, Release

from opkg.files import sha256_file
from opkg.index import Index
from opkg.run import run
from repo_server.check import check
from repo_server.create import create
from repo_server.history import KEPT
from repo_server.intake import add
from repo_server.opds import read_index
from repo_server.publish import publish
from repo_server.repository import open_repository

# What a publication replaces under the same name.
MUTABLE = ("timestamp.json", "repomd.xml", "oscar_packages.xml", ".asc", ".key")

pytestmark = pytest.mark.slow


def silent(_message: str) -> None:
    pass


def content_of(tree: Path) -> dict[str, bytes]:
    """All files of a tree by path."""
    root = (tree / "current").resolve()
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_new_repository_is_valid_before_anything_is_added(make_repo):
    repo = make_repo()
    assert repo.json("check") == {"files": 0, "faults": []}
    repo.run("publish")
    assert repo.json("check")["faults"] == []
    assert (repo.live / "keys/root.json").is_file()


def test_init_prints_what_clients_pin(tmp_path):
    done = run([sys.executable, "-m", "repo_server", "init", tmp_path / "repo"])
    printed = dict(line.split() for line in done.stdout.splitlines())
    assert printed["root"] == sha256_file(tmp_path / "repo/live/keys/root.json")
    shown = run(["gpg", "--show-keys", "--with-colons", tmp_path / "repo/live/keys/repository.asc"])
    assert f":{printed['openpgp']}:" in shown.stdout


def test_private_keys_are_private(make_repo):
    repo = make_repo()
    assert (repo.directory / "private").stat().st_mode & 0o777 == 0o700
    published = {path.name for path in repo.live.rglob("*")}
    published -= {"deb", "rpm", "opd", "current", "generations", "1"}
    assert published == {"keys", "repository.asc", "root.json"}


def test_init_refuses_what_is_not_empty(make_repo, tmp_path):
    repo = make_repo()
    before = repo.state()
    assert "a repository already" in repo.run("init", status=1)[1]
    assert repo.state() == before
    full = type(repo)(directory=tmp_path / "full")
    full.directory.mkdir()
    (full.directory / "file").write_text("mine")
    assert "not an empty folder" in full.run("init", status=1)[1]
    assert [path.name for path in full.directory.iterdir()] == ["file"]


def test_added_packages_show_with_the_next_publication_only(make_repo, debs, rpms):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    assert not list(repo.live.glob("*/testing"))
    published = repo.json("publish")
    assert published["changes"] == [
        {"channel": "testing", "target": "debian-12-x86_64", "packages": 4, "removed": 0},
        {"channel": "testing", "target": "demo-rpm-9-x86_64", "packages": 3, "removed": 0},
    ]
    assert {row["generation"] for row in repo.json("list")} == {published["generation"]}
    for row in repo.json("list"):
        assert sha256_file(repo.live / row["file"]) == row["sha256"]
    assert repo.json("check")["faults"] == []


def test_publishing_again_renews_the_dates(make_repo, debs):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repository = open_repository(repo.directory)
    now = datetime.now(UTC)
    publish(repository, silent, now=now)
    later = publish(repository, silent, now=now + timedelta(days=1))
    assert later.changes == ()
    release = Release((repo.live / "deb/testing/dists/debian-12/Release").read_text())
    end = datetime.strptime(release["Valid-Until"], "%a, %d %b %Y %H:%M:%S GMT")
    assert end.isoformat() + "+00:00" == later.valid_until


def test_a_file_that_changes_within_a_second_has_another_date(make_repo, debs):
    """HTTP's dates have whole seconds: a client would keep what it has (RFC 9110, 13.1.3)."""
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repository = open_repository(repo.directory)
    dates = []
    for day in range(4):
        publish(repository, silent, now=datetime.now(UTC) + timedelta(days=day))
        file = repo.live / "current/deb/testing/dists/debian-12/InRelease"
        dates.append(int(file.stat().st_mtime))
    assert dates == sorted(set(dates))


def test_same_content_and_date_give_the_same_native_metadata(make_repo, debs, rpms):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    repository = open_repository(repo.directory)
    now = datetime.now(UTC)
    trees = []
    for _ in range(2):
        publish(repository, silent, now=now)
        files = content_of(repo.live)
        trees.append(
            {
                path: data
                for path, data in files.items()
                if path[:3] in ("deb", "rpm")
                # A signature holds a salt.
                and not path.endswith(("InRelease", ".gpg", ".asc"))
            }
        )
    assert trees[0] == trees[1]


def test_packages_and_pool_are_one_file(published):
    for row in published.json("list"):
        pooled = published.directory / "pool" / row["sha256"][:2] / row["sha256"]
        assert (published.live / row["file"]).samefile(pooled)


def test_files_of_earlier_generations_stay(make_repo, debs, rpms, tmp_path, build):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    repository = open_repository(repo.directory)
    start = datetime.now(UTC)
    publish(repository, silent, now=start)
    first = set(content_of(repo.live))
    named = {
        path
        for path in first
        if "by-hash" in path or "repodata/" in path or path.startswith("opd/")
    } - {path for path in first if path.endswith(MUTABLE)}
    assert len(named) == 2 + 2 + 3 + 4
    for number in range(1, KEPT):
        folder = tmp_path / str(number)
        folder.mkdir()
        new = [
            build.deb(folder, "beta", f"1-{number}~deb12"),
            build.rpm(folder, "beta", f"1-{number}.demo9"),
        ]
        add(repository, "testing", new, None, silent)
        publish(repository, silent, now=start + timedelta(hours=number))
        assert named <= set(content_of(repo.live))
    publish(repository, silent, now=start + timedelta(hours=KEPT))
    gone = named - set(content_of(repo.live))
    # What OPD reads, and the empty list of sources, did not change: they are live still.
    lasting = {path for path in named if path.startswith("opd/") or "/main/source/" in path}
    assert gone == named - lasting
    folders = {int(path.name) for path in repo.generations.iterdir()}
    live = repository.live_number()
    assert folders == set(range(live - KEPT + 1, live + 1))


def test_all_published_versions_stay_offered(make_repo, tmp_path, debs, offer):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    repo.run("add", "--channel", "testing", offer(tmp_path, "1.0-2"))
    repo.run("publish")
    index: Index = read_index(repo.live, "testing")
    assert [offer.opkg.version for offer in index.offers] == ["1.0-1", "1.0-2"]
    for one in index.offers:
        for artifact in one.artifacts:
            assert sha256_file(repo.live / artifact.file) == artifact.sha256


def test_index_tells_where_native_clients_find_the_packages(published):
    index = read_index(published.live, "testing")
    deb, rpm = index.sources["debian-12-x86_64"], index.sources["demo-rpm-9-x86_64"]
    assert (published.live / deb.path / "dists" / deb.suite / "InRelease").is_file()
    assert (deb.family, deb.component) == ("deb", "main")
    assert (published.live / rpm.path / "repodata/repomd.xml").is_file()
    assert index.keys == ((published.live / "keys/repository.asc").read_text(),)
    parts = {(offer.target, one.part) for offer in index.offers for one in offer.artifacts}
    assert parts == {
        *(("debian-12-x86_64", part) for part in ("api", "server", "client", None)),
        *(("demo-rpm-9-x86_64", part) for part in ("api", "server", "client")),
    }


def test_independent_packages_are_in_every_architecture(make_repo, tmp_path, debs, build):
    repo = make_repo()
    other = build.deb(tmp_path, "beta", "1-1~deb12", architecture="arm64")
    repo.run("add", "--channel", "testing", *debs.packages, other)
    repo.run("publish")
    dist = repo.live / "deb/testing/dists/debian-12"
    names = {
        architecture: {
            stanza["Package"]
            for stanza in Deb822.iter_paragraphs(
                repo.packages(f"deb/testing/dists/debian-12/main/binary-{architecture}"),
                use_apt_pkg=False,
            )
        }
        for architecture in ("amd64", "arm64")
    }
    parts = {"opkg-alpha", "opkg-alpha-server", "opkg-alpha-client"}
    assert names == {"amd64": parts | {"alpha"}, "arm64": parts | {"beta"}}
    assert Release((dist / "Release").read_text())["Architectures"] == "arm64 amd64"
    assert repo.json("check")["faults"] == []


def test_packages_says_what_apt_ftparchive_says(published):
    archive = published.live / "deb/testing"
    theirs = run(["apt-ftparchive", "packages", "pool"], cwd=archive).stdout
    ours = published.packages("deb/testing/dists/debian-12/main/binary-amd64")

    def stanzas(text: str) -> list[dict[str, str]]:
        others = ("MD5sum", "SHA1", "SHA512")
        found = [
            {key: value for key, value in stanza.items() if key not in others}
            for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False)
        ]
        return sorted(found, key=lambda stanza: stanza["Package"])

    assert stanzas(ours) == stanzas(theirs)
    assert len(stanzas(ours)) == 4


def test_repodata_says_what_createrepo_c_says(published, tmp_path):
    folder = published.live / "rpm/testing/demo-rpm-9-x86_64"
    run(["createrepo_c", "--no-database", "--outputdir", tmp_path, folder])

    def packages(repodata: Path) -> dict[str, tuple[str, ...]]:
        reader = createrepo_c.RepositoryReader.from_path(str(repodata))
        found, _warnings = reader.parse_packages(only_primary=False)
        for package in found.values():
            package.time_file = 0  # of the copy
        return {digest: createrepo_c.xml_dump(package) for digest, package in found.items()}

    ours = packages(folder)
    assert ours == packages(tmp_path)
    assert len(ours) == 3


def test_two_publications_at_once_follow_one_another(make_repo, debs):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    processes = [repo.start("publish", "--json") for _ in range(2)]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert repo.number == 3
    assert repo.json("check")["faults"] == []


@pytest.mark.slow
def test_killed_publication_leaves_the_old_state_or_the_new(empty, tmp_path, debs, rpms, build):
    """Wherever the kill strikes, what is live is whole, and the next publication works."""
    with tempfile.TemporaryDirectory() as folder:
        repo = type(empty)(directory=Path(folder) / "repo")
        shutil.copytree(empty.directory, repo.directory, symlinks=True)
        kill_publications(repo, tmp_path, debs, rpms, build)


def kill_publications(repo, tmp_path, debs, rpms, build):
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    repo.run("publish")
    for number in range(12):
        folder = tmp_path / f"new{number}"
        folder.mkdir()
        new = build.deb(folder, "beta", f"1-{number}~deb12")
        repo.run("add", "--channel", "testing", new)
        before = repo.number
        process = repo.start("publish")
        try:
            # From the first file on, somewhere on the way.
            process.wait(0.35 + random.random() * 0.4)  # noqa: S311 (no secret)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        after = repo.number
        assert check(repo.live).faults == ()
        packages = repo.packages("deb/testing/dists/debian-12/main/binary-amd64")
        shown = f"Version: 1-{number}~deb12" in packages
        assert shown == (after > before)
        assert after >= before
    last = repo.json("publish")
    assert last["generation"] == repo.number
    assert check(repo.live).faults == ()
    assert all(row["generation"] for row in repo.json("list"))
    folders = {int(path.name) for path in repo.generations.iterdir()}
    assert max(folders) == last["generation"]
    assert not repo.directory.joinpath("staging").exists()


def test_lost_tree_is_made_anew_under_a_higher_number(make_repo, debs):
    """So that a backup needs no generations, and clients see no roll-back."""
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    before = {row["file"] for row in repo.json("list")}
    shutil.rmtree(repo.live)
    assert repo.json("publish")["generation"] == 3
    assert {row["file"] for row in repo.json("list") if row["generation"]} == before
    assert repo.json("check")["faults"] == []


def test_killed_run_is_cleared_away(make_repo, debs):
    """What a killed add and a killed publication leave is gone after the next command."""
    repo = make_repo()
    (repo.directory / "staging").mkdir()
    (repo.directory / "staging/half").write_text("half a package")
    (repo.generations / "2/deb").mkdir(parents=True)
    repo.run("add", "--channel", "testing", debs.manifest)
    assert not (repo.directory / "staging").exists()
    assert [path.name for path in repo.generations.iterdir()] == ["1"]


def test_add_that_fails_leaves_no_staging(make_repo, tmp_path):
    repo = make_repo()
    (tmp_path / "bad.deb").write_text("bad")
    repo.run("add", "--channel", "testing", tmp_path / "bad.deb", status=1)
    assert not (repo.directory / "staging").exists()


def test_very_long_paths_do_not_stop_gpg(tmp_path):
    """The agent's socket may have 107 characters in its name, folders may have more."""
    directory = tmp_path / ("long" * 30) / "repo"
    create(directory, "Long", silent)
    assert check(directory / "live").faults == ()


def test_origin_names_the_suite(tmp_path, debs):
    directory = tmp_path / "repo"
    create(directory, 'Ünï "quoted"', silent)
    repository = open_repository(directory)
    add(repository, "testing", [debs.packages[0]], None, silent)
    publish(repository, silent)
    release = (directory / "live/deb/testing/dists/debian-12/InRelease").read_text()
    assert 'Origin: Ünï "quoted"\n' in release
    assert check(directory / "live").faults == ()


def test_publication_of_one_channel_lets_the_others_wait(make_repo, build, tmp_path):
    repo = make_repo()
    repo.run("add", "--channel", "testing", build.deb(tmp_path, "one", "1-1~deb12"))
    repo.run("add", "--channel", "stable", build.deb(tmp_path, "two", "1-1~deb12"))
    publish(open_repository(repo.directory), str, channels=["testing"])
    states = {row["name"]: bool(row["generation"]) for row in repo.json("list")}
    assert states == {"one": True, "two": False}
    assert not (repo.live / "deb/stable").exists()
    repo.run("publish")
    assert (repo.live / "deb/stable/dists/debian-12/InRelease").exists()
