# SPDX-License-Identifier: GPL-2.0-or-later
"""Advisories: what clients are told that a release mends."""

from __future__ import annotations

import createrepo_c
import pytest

from tests.repo_server.clients import RPM_FOLDER, add_published, dnf_client, zypper_client

pytestmark = pytest.mark.slow

ADVISORY = """
id = "OSCAR-2026-1"
type = "security"
severity = "important"
title = "beta forgot <whom> it trusts"
description = "It asks now.\\nUpgrade & see."
issued = 2026-01-02
fixes = ["beta=1-2.demo9"]
references = ["CVE-2026-0001", "http://beta.example/bugs/7"]
"""


@pytest.fixture
def advisory(tmp_path):
    path = tmp_path / "advisory.toml"
    path.write_text(ADVISORY)
    return path


def told(repo, folder: str = RPM_FOLDER) -> createrepo_c.UpdateInfo | None:
    """What a repository's updateinfo says, None where it has none."""
    repomd = createrepo_c.Repomd(str(repo.live / folder / "repodata/repomd.xml"))
    records = [record for record in repomd.records if record.type == "updateinfo"]
    if not records:
        return None
    return createrepo_c.UpdateInfo(str(repo.live / folder / records[0].location_href))


def test_updateinfo_says_what_the_file_says(make_repo, tmp_path, build, advisory):
    repo = make_repo()
    add_published(repo, build.rpm(tmp_path, "beta", "1-2.demo9"))
    assert told(repo) is None
    assert repo.json("advisory", "add", advisory) == ["OSCAR-2026-1"]
    assert told(repo) is None
    repo.run("publish")
    [record] = told(repo).updates
    assert (record.id, record.type, record.severity) == ("OSCAR-2026-1", "security", "Important")
    assert record.title == "beta forgot <whom> it trusts"
    assert record.description == "It asks now.\nUpgrade & see."
    assert f"{record.issued_date:%Y-%m-%d}" == "2026-01-02"
    assert [(one.type, one.id) for one in record.references] == [
        ("cve", "CVE-2026-0001"),
        ("other", "http://beta.example/bugs/7"),
    ]
    [package] = record.collections[0].packages
    assert (package.name, package.epoch, package.version, package.release, package.arch) == (
        "beta", "0", "1", "2.demo9", "noarch",
    )  # fmt: skip
    [listed] = repo.json("list")
    assert package.sum == listed["sha256"]
    assert repo.json("check")["faults"] == []
    # Nothing new.
    assert repo.json("advisory", "add", advisory) == []


def test_advisory_of_an_opkg_follows_it_to_other_channels(make_repo, rpms, debs, advisory):
    repo = make_repo()
    add_published(repo, rpms.manifest, debs.manifest)
    advisory.write_text(ADVISORY.replace("beta=1-2.demo9", "alpha=1.0-1"))
    repo.run("advisory", "add", advisory)
    repo.run("promote", "testing", "stable")
    repo.run("publish")
    for channel in ("testing", "stable"):
        [record] = told(repo, RPM_FOLDER.replace("testing", channel)).updates
        assert {package.name for package in record.collections[0].packages} == {
            "opkg-alpha",
            "opkg-alpha-client",
            "opkg-alpha-server",
        }
    repo.run("remove", "--channel", "stable", "alpha")
    repo.run("publish")
    assert told(repo, RPM_FOLDER.replace("testing", "stable")) is None
    assert len(told(repo).updates) == 1


def test_changed_and_removed_advisories(make_repo, tmp_path, build, advisory):
    repo = make_repo()
    add_published(repo, build.rpm(tmp_path, "beta", "1-2.demo9"))
    repo.run("advisory", "add", advisory)
    repo.run("publish")
    advisory.write_text(ADVISORY.replace("important", "low"))
    repo.run("advisory", "add", advisory)
    # What waits is no matter of a renewal.
    repo.run("renew")
    assert [record.severity for record in told(repo).updates] == ["Important"]
    assert {row["state"] for row in repo.json("advisory", "list")} == {"waiting", "leaving"}
    repo.run("publish")
    assert [record.severity for record in told(repo).updates] == ["Low"]
    repo.run("advisory", "remove", "OSCAR-2026-1")
    repo.run("publish")
    assert told(repo) is None
    assert repo.json("advisory", "list") == []
    assert "no advisory" in repo.run("advisory", "remove", "OSCAR-2026-1", status=1)[1]


@pytest.mark.parametrize(("old", "new", "message"), [
    ("security", "grave", "type is “grave”"),
    ("important", "huge", "severity is “huge”"),
    ("=1-2.demo9", "", "names no version"),
    ("=1-2.demo9", "=1-3.demo9", "no RPM package of beta=1-3.demo9"),
    ("issued = 2026-01-02", "", "issued is missing"),
    ("issued = 2026-01-02", "issued = 'soon'", "issued is “soon”"),
    ("OSCAR-2026-1", "../1", "cannot be an id"),
    ("now.", "now\\u0001", "control characters"),
])  # fmt: skip
def test_advisory_that_cannot_be_is_refused(
    make_repo, tmp_path, build, advisory, old, new, message
):
    repo = make_repo()
    add_published(repo, build.rpm(tmp_path, "beta", "1-2.demo9"))
    advisory.write_text(ADVISORY.replace(old, new))
    _, err = repo.run("advisory", "add", advisory, status=1)
    assert message in err
    assert "Traceback" not in err
    assert repo.json("advisory", "list") == []


def test_dnf_and_zypper_list_an_advisory(make_repo, tmp_path, build, advisory):
    repo = make_repo()
    add_published(repo, build.rpm(tmp_path, "beta", "1-1.demo9"))
    with repo.served() as url:
        dnf = dnf_client(tmp_path / "dnf", repo.live, url)
        zypper = zypper_client(tmp_path / "zypper", repo.live, url)
        for client in (dnf, zypper):
            assert client("install", "beta").status == 0
        repo.run("advisory", "add", advisory, status=1)
        add_published(repo, build.rpm(tmp_path, "beta", "1-2.demo9"))
        repo.run("advisory", "add", advisory)
        repo.run("publish")
        done = dnf("updateinfo", "list", "--refresh")
        assert "OSCAR-2026-1 Important/Sec. beta-1-2.demo9.noarch" in done.stdout, done.stderr
        done = dnf("updateinfo", "info", "OSCAR-2026-1")
        assert "CVE-2026-0001" in done.stdout
        assert zypper("refresh").status == 0
        done = zypper("list-patches", "--cve")
        assert "CVE-2026-0001" in done.stdout, done.stderr
        done = dnf("upgrade", "--security")
        assert "beta-1-2.demo9" in done.stdout + done.stderr
