# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists made of chunks: what the tools and clients read of them."""

from __future__ import annotations

import random

import pytest
from debian.deb822 import Deb822

from opkg.run import run
from opkg.target import known_targets
from repo_server import catalog, chunks, debs
from repo_server.forms import FORMS, PLAIN, joined, member, unpack
from repo_server.package import Package
from repo_server.repository import changing, open_repository

pytestmark = pytest.mark.slow

LIST = "deb/testing/dists/debian-12/main/binary-amd64"
TOOLS = {"gz": ["gzip", "-dc"], "xz": ["xz", "-dc"], "zst": ["zstd", "-dcq"]}


def silent(_message: str) -> None:
    pass


def parts() -> list[bytes]:
    """Texts, some of which cannot be compressed, of sizes around those that formats treat apart."""
    source = random.Random(1)  # noqa: S311 (no secret)
    sizes = [1, 127, 128, 16_384, 300_000]
    return [source.randbytes(size) for size in sizes] + [b"Package: one\n\n" * 20_000]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 2, 200])
def test_joined_members_are_one_file(tmp_path, form, count):
    members = (parts() * 40)[:count]
    path = tmp_path / f"list.{form}"
    path.write_bytes(b"".join(joined(form, (member(form, data) for data in members))))
    text = b"".join(members)
    assert unpack(form, path.read_bytes()) == text
    for reader in (TOOLS[form], ["/usr/lib/apt/apt-helper", "cat-file"]):
        plain = tmp_path / "plain"
        run(["sh", "-c", '"$@" > "$OUT"', "sh", *reader, path], env={"OUT": str(plain)})
        assert plain.read_bytes() == text


def test_xz_is_one_stream_with_a_whole_index(tmp_path):
    path = tmp_path / "list.xz"
    path.write_bytes(b"".join(joined("xz", [member("xz", data) for data in parts()])))
    totals = run(["xz", "--robot", "--list", path]).stdout.splitlines()[-1].split()
    assert totals[1:3] == ["1", str(len(parts()))]
    run(["xz", "--test", path])


@pytest.mark.parametrize("form", FORMS)
def test_no_members_are_an_empty_file(form):
    data = b"".join(joined(form, []))
    assert data == b"" or unpack(form, data) == b""


def many(repo, count: int, *, first: int = 0) -> None:
    """Put packages of which only the lists know into the repository."""
    repository = open_repository(repo.directory)
    target = known_targets().find("debian-12-x86_64")
    with changing(repository, silent) as session:
        for number in range(first, first + count):
            name, digest = f"many{number}", f"{number:064x}"
            control = {"Package": name, "Version": "1", "Architecture": "all"}
            place = f"{debs.pool_folder(name)}/{debs.file_name(name, '1', 'all')}"
            package = Package(
                family=target.family,
                name=name,
                version="1",
                architecture="all",
                path=place,
                size=1,
                sha256=digest,
                source_sha256=digest,
                fragments={debs.STANZA: debs.stanza(control, place, 1, digest)},
            )
            catalog.store(session, package)
            catalog.place(session, package, "testing", target)
            pooled = repo.directory / "pool" / digest[:2] / digest
            pooled.parent.mkdir(parents=True, exist_ok=True)
            pooled.touch()
        session.commit()


def names(repo) -> list[str]:
    stanzas = Deb822.iter_paragraphs(repo.packages(LIST), use_apt_pkg=False)
    return sorted(stanza["Package"] for stanza in stanzas)


def test_packages_of_many_chunks_are_all_listed(make_repo):
    repo = make_repo()
    count = 2 * chunks.SIZE + 10
    many(repo, count)
    repo.run("publish")
    assert names(repo) == sorted(f"many{number}" for number in range(count))
    many(repo, 5, first=count)
    repo.run("publish")
    assert names(repo) == sorted(f"many{number}" for number in range(count + 5))


def test_one_more_package_changes_one_chunk(make_repo):
    repo = make_repo()
    many(repo, 2 * chunks.SIZE)
    repo.run("publish")

    def pieces() -> list[bytes]:
        with catalog.opened(repo.directory) as session:
            group = debs.group("testing", "debian-12", "all")
            return list(chunks.pieces(session, [group], debs.STANZA, PLAIN))

    before = pieces()
    many(repo, 1, first=2 * chunks.SIZE)
    repo.run("publish")
    assert pieces()[:-1] == before


def test_untouched_suites_keep_their_files(make_repo, debs, rpms):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    release = (repo.live / "deb/testing/dists/debian-12/InRelease").resolve()
    repo.run("add", "--channel", "testing", rpms.packages[0])
    repo.run("publish")
    later = (repo.live / "deb/testing/dists/debian-12/InRelease").resolve()
    assert release != later
    assert release.samefile(later)
    assert repo.json("check")["faults"] == []


def test_form_that_a_target_gets_later_is_made(make_repo, tmp_path, debs, monkeypatch):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    table = tmp_path / "targets.toml"
    table.write_text('[distributions.debian-12]\nindex_compression = ["gz", "xz"]\n')
    monkeypatch.setenv("OPKG_TARGETS", str(table))
    repo.run("publish")
    packed = (repo.live / LIST / "Packages.xz").read_bytes()
    assert unpack("xz", packed).decode() == repo.packages(LIST)
    assert not (repo.live / LIST / "Packages.zst").exists()
    assert repo.json("check")["faults"] == []
