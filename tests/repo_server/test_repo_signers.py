# SPDX-License-Identifier: GPL-2.0-or-later
"""Channels that take only what a maintainer signed whose key is on their list."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import rpm_rs

from opkg.files import sha256_file
from opkg.run import run
from repo_server.check import check
from tests.repo_server.test_repo_dput import changes as built_changes
from tests.repo_server.test_repo_dput import dput  # noqa: F401 (a fixture)
from tests.repo_server.test_repo_uploads import Uploader, refused

CHANGES = """Format: 1.8
Source: beta
Version: {version}
Distribution: bookworm
Checksums-Sha256:
{rows}
"""


@dataclass(frozen=True, kw_only=True)
class Maintainer:
    """A person with a key of their own, which may end the day after 1 January 2024."""

    home: Path
    name: str
    time: str

    def gpg(self, *words: str | Path, stdin: str = "") -> str:
        options = ["--homedir", self.home, "--batch", "--pinentry-mode", "loopback"]
        if self.time:
            options += ["--faked-system-time", self.time]
        return run(["gpg", *options, "--passphrase", "", *words], stdin=stdin).stdout

    @property
    def public(self) -> Path:
        path = self.home / "public.asc"
        path.write_text(self.gpg("--armor", "--export"))
        return path

    @property
    def fingerprint(self) -> str:
        listing = self.gpg("--with-colons", "--list-keys")
        return next(line.split(":")[9] for line in listing.splitlines() if line[:3] == "fpr")

    def rpm(self, path: Path) -> Path:
        """A signed copy of an RPM."""
        signed = self.home / path.name
        shutil.copy(path, signed)
        key = self.gpg("--armor", "--export-secret-keys").encode()
        rpm_rs.Package.resign_in_place(str(signed), rpm_rs.Signer(key))
        return signed

    def changes(self, path: Path) -> Path:
        """A .changes, signed inside."""
        path.write_text(self.gpg("--clearsign", stdin=path.read_text()))
        return path


@pytest.fixture(scope="module")
def people():
    """Anna, Bert, and Cleo, whose key has expired."""
    # A short path, for the agents' sockets.
    with tempfile.TemporaryDirectory(prefix="opkg-", dir="/tmp") as folder:
        found = []
        for name, time in (("anna", ""), ("bert", ""), ("cleo", "20240101T000000!")):
            home = Path(folder) / name
            home.mkdir(mode=0o700)
            person = Maintainer(home=home, name=name, time=time)
            end = "1d" if time else "never"
            person.gpg("--quick-generate-key", f"{name}@example.org", "rsa2048", "sign", end)
            found.append(person)
        yield found
        for person in found:
            run(["gpgconf", "--homedir", person.home, "--kill", "all"], check=False)


@pytest.fixture
def repo(make_repo, people):
    """A repository whose channel testing takes what Anna and Cleo signed."""
    repo = make_repo()
    anna, _, cleo = people
    repo.run("signer", "add", "--channel", "testing", anna.public, cleo.public)
    return repo


def changes(folder: Path, *files: Path, version: str = "1-1~deb12") -> Path:
    rows = [f" {sha256_file(file)} {file.stat().st_size} {file.name}" for file in files]
    path = folder / "beta.changes"
    path.write_text(CHANGES.format(version=version, rows="\n".join(rows)))
    return path


@pytest.fixture(scope="module")
def rpm(build, tmp_path_factory):
    return build.rpm(tmp_path_factory.mktemp("rpm"), "beta", "1-1.demo9")


@pytest.fixture
def deb(build, tmp_path):
    return build.deb(tmp_path, "beta", "1-1~deb12")


@pytest.mark.slow
def test_list_of_keys_is_shown_and_changed(repo, people):
    anna, _, cleo = people
    rows = repo.json("signer", "list")
    assert {(row["channel"], row["fingerprint"]): row["good"] for row in rows} == {
        ("testing", anna.fingerprint): True,
        ("testing", cleo.fingerprint): False,
    }
    assert "expired" in repo.run("signer", "list")[0]
    other = repo.run("signer", "remove", "--channel", "stable", anna.fingerprint, status=1)
    assert "not on the list of the channel stable" in other[1]
    repo.run("signer", "remove", "--channel", "testing", cleo.fingerprint)
    (row,) = repo.json("signer", "list")
    assert row["name"] == "anna@example.org"
    last = repo.run("signer", "remove", "--channel", "testing", anna.fingerprint)[1]
    assert "everybody" in last
    done = [(one["action"], one["channel"]) for one in repo.json("audit")]
    assert done == [("signer add", "testing")] * 2 + [("signer remove", "testing")] * 2


def test_what_holds_no_key_is_refused(make_repo, tmp_path):
    repo = make_repo()
    file = tmp_path / "key"
    file.write_text("no key")
    err = repo.run("signer", "add", "--channel", "testing", file, status=1)[1]
    assert "holds no OpenPGP keys" in err
    assert repo.json("signer", "list") == []


@pytest.mark.slow
def test_rpm_needs_the_signature_of_a_key_on_the_list(repo, people, rpm):
    anna, bert, cleo = people
    assert "it carries no signature" in repo.refusal(rpm)
    assert "no key of that list signed it" in repo.refusal(bert.rpm(rpm))
    assert "has expired" in repo.refusal(cleo.rpm(rpm))
    repo.run("add", "--channel", "testing", anna.rpm(rpm))
    repo.run("publish")
    # Clients have the repository's key alone.
    assert check(repo.live).faults == ()
    assert "carries no signature" in repo.refusal(rpm)


@pytest.mark.slow
def test_signature_must_be_of_what_it_comes_with(repo, people, rpm):
    anna, _, _ = people
    signed = anna.rpm(rpm)
    data = bytearray(signed.read_bytes())
    place = data.index(b"A package for tests", len(data) // 8)
    data[place] ^= 1
    signed.write_bytes(data)
    assert "its signature does not hold" in repo.refusal(signed)
    # Behind the headers: their digests do not fit.
    data[place] ^= 1
    data[-9] ^= 1
    signed.write_bytes(data)
    assert "not a whole RPM" in repo.refusal(signed)


@pytest.mark.slow
def test_deb_needs_a_signed_changes_that_names_it(repo, people, deb, build, tmp_path):
    anna, bert, cleo = people
    assert "what a signed .changes names" in repo.refusal(deb)
    path = changes(tmp_path, deb)
    assert "it carries no signature" in repo.refusal(path)
    assert "no key of that list signed it" in repo.refusal(bert.changes(path))
    assert "has expired" in repo.refusal(cleo.changes(changes(tmp_path, deb)))
    anna.changes(changes(tmp_path, deb))
    other = build.deb(tmp_path / "other", "gamma", "1-1~deb12")
    assert "gamma_1-1~deb12_all.deb: the channel testing takes only" in repo.refusal(path, other)
    text = path.read_text()
    path.write_text(text.replace("Source: beta", "Source: betb"))
    assert "its signature does not hold" in repo.refusal(path)
    path.write_text(text)
    repo.run("add", "--channel", "testing", path)
    repo.run("publish")
    assert "Package: beta" in repo.packages("deb/testing/dists/debian-12/main/binary-amd64")


@pytest.mark.slow
def test_only_what_is_within_the_signature_counts(repo, people, deb, build, tmp_path):
    anna, _, _ = people
    other = build.deb(tmp_path, "gamma", "1-1~deb12")
    path = anna.changes(changes(tmp_path, deb))
    row = f" {sha256_file(other)} {other.stat().st_size} {other.name}\n"
    path.write_text(f"Format: 1.8\nChecksums-Sha256:\n{row}\n{path.read_text()}")
    repo.refusal(path)
    path.write_text(path.read_text() + f"\nChecksums-Sha256:\n{row}")
    repo.refusal(path)


@pytest.mark.slow
def test_changes_come_beside_a_manifest(repo, people, debs, rpms, tmp_path):
    anna, _, _ = people
    folder = tmp_path / "debs"
    shutil.copytree(debs.manifest.parent, folder, ignore=shutil.ignore_patterns("*.root"))
    assert "what a signed .changes names" in repo.refusal(folder / "manifest.json")
    path = changes(folder, *folder.glob("*.deb"))
    repo.run("add", "--channel", "testing", folder / "manifest.json", anna.changes(path))
    repo.run("publish")
    assert {row["name"] for row in repo.json("list")} >= {"opkg-alpha", "alpha"}
    # Into any other channel all comes as before.
    repo.run("add", "--channel", "other", rpms.manifest)


@pytest.mark.slow
def test_changes_name_what_lies_beside_them(make_repo, deb, tmp_path):
    """Also where nobody asks for signatures."""
    repo = make_repo()
    path = changes(tmp_path, deb)
    path.write_text(path.read_text().replace(deb.name, f"../{deb.name}"))
    assert "is not a file beside it" in repo.refusal(path)
    path = changes(tmp_path, deb)
    deb.write_bytes(deb.read_bytes() + b"\n")
    assert "not what its .changes says" in repo.refusal(path)
    path = changes(tmp_path, deb)
    deb.unlink()
    assert "cannot be copied: No such file" in repo.refusal(path)


@pytest.mark.slow
def test_package_goes_on_to_a_channel_that_lists_its_key(repo, people, deb, rpm, tmp_path):
    anna, bert, _ = people
    repo.run("signer", "add", "--channel", "stable", anna.public)
    repo.run("signer", "add", "--channel", "berts", bert.public)
    path = anna.changes(changes(tmp_path, deb))
    repo.run("add", "--channel", "testing", path, anna.rpm(rpm))
    repo.run("publish")
    repo.run("promote", "testing", "stable")
    err = repo.run("promote", "testing", "berts", status=1)[1]
    assert "no key on the list of the channel berts signed beta" in err
    repo.run("publish")
    assert len(repo.json("list", "--channel", "stable")) == 2
    repo.run("remove", "--channel", "testing", "beta")
    repo.run("remove", "--channel", "stable", "beta")
    repo.run("publish")
    repo.run("gc")
    assert check(repo.live).faults == ()


@pytest.mark.slow
def test_uploads_are_refused_with_nothing_kept(repo, people, deb, rpm, tmp_path):
    anna, bert, cleo = people
    client = Uploader(repo)
    before = repo.state()
    for path, reason in (
        (rpm, "carries no signature"),
        (bert.rpm(rpm), "no key of that list"),
        (cleo.rpm(rpm), "has expired"),
        (deb, "what a signed .changes names"),
    ):
        assert reason in refused(client.complete(client.send(path)))
        assert repo.state() == before
        assert client.left() == []
    path = changes(tmp_path, deb)
    files = [client.send(deb), client.send(path)]
    assert "carries no signature" in refused(client.complete(*files))
    assert repo.state() == before
    anna.changes(path)
    files = [client.send(deb), client.send(path), client.send(anna.rpm(rpm))]
    done = client.complete(*files)
    assert done.status_code == 200, done.text
    assert len(done.json["added"]) == 2
    assert check(repo.live).faults == ()


@pytest.mark.slow
def test_dput_brings_what_a_maintainer_signed(dput, people, tmp_path):  # noqa: F811
    repo, send = dput
    anna, bert, cleo = people
    repo.run("signer", "add", "--channel", "testing", anna.public, cleo.public)
    path = built_changes(tmp_path, "1.0~deb12")
    text = path.read_text()
    with repo.served() as url:
        for person in (None, bert, cleo):
            path.write_text(text)
            refusal = send(url, path if person is None else person.changes(path))
            assert refusal.status != 0
            assert repo.json("list") == []
        path.write_text(text)
        done = send(url, anna.changes(path))
    told = [one.get("error", "") for one in repo.json("audit") if one["action"] == "upload"]
    reasons = ("carries no signature", "no key of that list", "has expired", "")
    assert len(told) == 4
    assert all(reason in error for reason, error in zip(reasons, told, strict=True))
    assert done.status == 0, done.stdout + done.stderr
    assert {row["architecture"] for row in repo.json("list")} == {"all", "source"}
    (inbox,) = (repo.directory / "uploads").glob("dput-*")
    assert list(inbox.iterdir()) == []
