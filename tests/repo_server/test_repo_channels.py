# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaves a channel, moves to another, comes back, and is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from repo_server.garbage import collect
from repo_server.history import KEPT
from repo_server.intake import add
from repo_server.opds import read_index
from repo_server.publish import publish
from repo_server.repository import open_repository

pytestmark = pytest.mark.slow

LIST = "deb/testing/dists/debian-12/main/binary-amd64"
RPMS = "rpm/testing/demo-rpm-9-x86_64"


def silent(_message: str) -> None:
    pass


def listed(repo, channel: str = "testing") -> set[str]:
    """Name and version of all that is published in a channel."""
    rows = repo.json("list", "--channel", channel)
    return {f"{row['name']}={row['version']}" for row in rows if row["generation"]}


def shown(repo, channel: str = "testing") -> set[str]:
    """The packages that apt sees."""
    text = repo.packages(LIST.replace("testing", channel))
    return {line.split()[1] for line in text.splitlines() if line.startswith("Package: ")}


def opkgs(repo, channel: str = "testing") -> list[str]:
    return sorted(offer.opkg.version for offer in read_index(repo.live, channel).offers)


@pytest.fixture
def repo(make_repo, debs, rpms):
    """A repository with alpha for both targets, that may be changed."""
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    repo.run("publish")
    return repo


def sound(repo) -> bool:
    return repo.json("check")["faults"] == []


def test_removed_opkg_goes_with_its_packages(repo):
    gone = repo.json("remove", "--channel", "testing", "--target", "debian-12", "alpha=1.0-1")
    assert {row["name"] for row in gone} == {
        "opkg-alpha",
        "opkg-alpha-server",
        "opkg-alpha-client",
        "alpha",
    }
    assert len(shown(repo)) == 4
    changes = repo.json("publish")["changes"]
    assert [(one["packages"], one["removed"]) for one in changes] == [(0, 4)]
    assert shown(repo) == set()
    assert opkgs(repo) == ["1.0-1"]
    repo.run("remove", "--channel", "testing", "alpha")
    repo.run("publish")
    assert opkgs(repo) == []
    assert sound(repo)


def test_removed_package_goes_and_others_stay(repo, tmp_path, build):
    two = [build.deb(tmp_path, "beta", f"{number}-1~deb12") for number in (1, 2)]
    rpm = build.rpm(tmp_path, "beta", "1-1.demo9")
    repo.run("add", "--channel", "testing", *two, rpm)
    repo.run("publish")
    repo.run("remove", "--channel", "testing", "beta=1-1~deb12", "beta=1-1.demo9")
    repo.run("publish")
    assert {name for name in listed(repo) if "beta" in name} == {"beta=2-1~deb12"}
    assert sound(repo)


def test_what_waits_can_be_taken_back(repo, tmp_path, build):
    repo.run("add", "--channel", "testing", build.deb(tmp_path, "beta", "1-1~deb12"))
    repo.run("remove", "--channel", "testing", "beta")
    assert repo.json("publish")["changes"] == []


def test_removed_and_added_again_stays(repo, debs):
    repo.run("remove", "--channel", "testing", "alpha")
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    assert len(shown(repo)) == 4
    assert sound(repo)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "there is no “nothing”"),
        (["alpha=9-9"], "there is no “alpha=9-9”"),
        (["opkg-alpha-server"], "the OPKG alpha=1.0-1 needs opkg-alpha-server"),
        (["alpha", "nothing"], "there is no “nothing”"),
    ],
)
def test_what_cannot_be_removed_is_said(repo, arguments, words):
    before = repo.state()
    assert words in repo.run("remove", "--channel", "testing", *arguments, status=1)[1]
    assert repo.state() == before


def test_other_content_stays_refused_while_a_generation_shows_the_old(repo, tmp_path, build):
    """Clients may still hold metadata that name the old package at that address."""
    for content in ("one", "two"):
        (tmp_path / content).mkdir()
    first, second = (
        build.deb(tmp_path / content, "beta", "1-1~deb12", content=content)
        for content in ("one", "two")
    )
    repo.run("add", "--channel", "testing", first)
    repo.run("publish")
    repo.run("remove", "--channel", "testing", "beta")
    repo.run("publish")
    assert "other content" in repo.refusal(second)


def test_promoted_channel_shows_the_same(repo):
    repo.run("promote", "testing", "stable")
    repo.run("publish")
    assert shown(repo, "stable") == shown(repo)
    assert listed(repo, "stable") == listed(repo)
    assert opkgs(repo, "stable") == opkgs(repo)
    assert repo.json("promote", "testing", "stable") == []
    assert sound(repo)


def test_named_opkg_is_promoted_alone(repo, tmp_path, build):
    repo.run("add", "--channel", "testing", build.deb(tmp_path, "beta", "1-1~deb12"))
    assert "no “beta”" in repo.run("promote", "testing", "stable", "beta", status=1)[1]
    repo.run("publish")
    repo.run("promote", "testing", "stable", "beta")
    repo.run("publish")
    assert shown(repo, "stable") == {"beta"}
    assert "nothing is published" in repo.run("promote", "none", "stable", status=1)[1]


def test_roll_back_shows_the_old_content_under_a_higher_number(repo, tmp_path, offer):
    before = listed(repo)
    repo.run("add", "--channel", "testing", offer(tmp_path, "1.0-2"))
    repo.run("publish")
    repo.run("publish")
    assert opkgs(repo) == ["1.0-1", "1.0-1", "1.0-2"]
    assert repo.json("rollback", "testing")["generation"] == 5
    assert listed(repo) == before
    assert opkgs(repo) == ["1.0-1", "1.0-1"]
    assert sound(repo)
    # And forth again.
    repo.run("rollback", "testing", "3")
    assert opkgs(repo) == ["1.0-1", "1.0-1", "1.0-2"]
    assert sound(repo)


def test_roll_back_brings_back_what_was_removed(repo):
    before = listed(repo)
    repo.run("remove", "--channel", "testing", "alpha")
    repo.run("publish")
    assert listed(repo) == set()
    repo.run("rollback", "testing")
    assert listed(repo) == before
    assert sound(repo)


def test_roll_back_leaves_other_channels(repo, tmp_path, build):
    repo.run("add", "--channel", "stable", build.deb(tmp_path, "beta", "1-1~deb12"))
    repo.run("publish")
    repo.run("remove", "--channel", "testing", "alpha")
    repo.run("publish")
    repo.run("rollback", "testing", "2")
    assert shown(repo, "stable") == {"beta"}


def test_roll_back_to_nowhere_is_refused(repo, tmp_path, build):
    assert "there is no generation 9" in repo.run("rollback", "testing", "9", status=1)[1]
    assert "no generation to go back to" in repo.run("rollback", "other", status=1)[1]
    repo.run("add", "--channel", "testing", build.deb(tmp_path, "beta", "1-1~deb12"))
    assert "nobody has seen" in repo.run("rollback", "testing", "1", status=1)[1]


def test_generations_tell_what_changed(repo):
    repo.run("remove", "--channel", "testing", "alpha")
    repo.run("publish")
    rows = repo.json("generations")
    assert [(row["number"], row["state"], row["channels"]) for row in rows] == [
        (1, "kept", {}),
        (2, "kept", {"testing": [7, 0]}),
        (3, "live", {"testing": [0, 7]}),
    ]
    assert "testing +0 -7" in repo.run("generations")[0]


def test_gc_keeps_the_newest_versions_and_what_generations_show(make_repo, tmp_path, build):
    repo = make_repo()
    repository = open_repository(repo.directory)
    versions = ["1-2", "1-10", "1-1"]
    for version in versions:
        packages = [build.deb(tmp_path, "beta", f"{version}~deb12")]
        packages.append(build.rpm(tmp_path, "beta", f"{version}.demo9"))
        add(repository, "testing", packages, None, silent)
    start = datetime.now(UTC)
    publish(repository, silent, now=start)
    done = collect(repository, 2, silent, now=start + timedelta(hours=1))
    assert (done.removed, done.files, done.waiting) == (2, 0, 2)
    newest = {f"beta={one}{tag}" for one in ("1-2", "1-10") for tag in ("~deb12", ".demo9")}
    assert listed(repo) == newest
    # The first generation still shows the others.
    assert len(list(repo.live.glob("generations/2/deb/testing/pool/*/*/beta_*"))) == 3
    for hours in range(2, KEPT + 2):
        publish(repository, silent, now=start + timedelta(hours=hours))
    done = collect(repository, None, silent, now=start + timedelta(hours=KEPT + 2))
    assert (done.removed, done.files, done.waiting) == (0, 2, 0)
    assert listed(repo) == newest
    assert len([path for path in (repo.directory / "pool").rglob("*") if path.is_file()]) == 4
    assert sound(repo)


def test_gc_counts_an_opkg_with_its_packages(repo, tmp_path, offer):
    for number in (2, 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        repo.run("add", "--channel", "testing", offer(folder, f"1.0-{number}"))
    repo.run("publish")
    assert repo.json("gc", "--keep", "1")["removed"] == 8
    assert opkgs(repo) == ["1.0-1", "1.0-3"]
    assert {name for name in listed(repo) if name.startswith("alpha=")} == {"alpha=1.0-3~deb12"}
    assert sound(repo)


def test_gc_removes_what_a_killed_run_left(repo):
    stray = repo.directory / "pool/ab/stray"
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("half a package")
    assert repo.json("gc")["files"] == 1
    assert not stray.exists()
    assert sound(repo)


@pytest.mark.parametrize("side", ["tree", "pool", "metadata"])
def test_repair_mends(repo, side):
    row = next(row for row in repo.json("list") if row["name"] == "alpha")
    victim = {
        "tree": repo.live / row["file"],
        "pool": repo.directory / "pool" / row["sha256"][:2] / row["sha256"],
        "metadata": repo.live / LIST / "Packages.gz",
    }[side]
    if side == "metadata":
        victim = victim.resolve()
        victim.write_bytes(b"other")
    else:
        victim.unlink()
        # Another file, so that the one it was linked to is whole.
        victim.write_bytes(b"other")
    faults = repo.json("check", status=0 if side == "pool" else 1)["faults"]
    assert bool(faults) is (side != "pool")
    assert repo.json("check", "--repair")["faults"] == []
    assert (repo.live / row["file"]).read_bytes() == Path(
        repo.directory / "pool" / row["sha256"][:2] / row["sha256"]
    ).read_bytes()


def test_what_cannot_be_mended_is_said(repo):
    row = next(row for row in repo.json("list") if row["name"] == "alpha")
    (repo.live / row["file"]).chmod(0o644)
    (repo.live / row["file"]).write_bytes(b"other")
    report = repo.json("check", "--repair", status=1)
    assert row["file"] in {fault["path"] for fault in report["faults"]}
