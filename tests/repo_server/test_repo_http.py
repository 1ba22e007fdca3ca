# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree and the pages over HTTP."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from opkg.files import sha256_file
from repo_server.app import create_app
from repo_server.repository import open_repository

pytestmark = pytest.mark.slow


@pytest.fixture
def client(published):
    return create_app(open_repository(published.directory)).test_client()


@pytest.fixture
def package(published) -> str:
    """The path of a package in the tree."""
    return next(row["file"] for row in published.json("list") if row["name"] == "alpha")


@pytest.fixture(scope="session")
def address(published):
    with published.served() as url:
        yield url


def test_serve_says_where_it_listens(address):
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]*/", address)
    assert requests.get(f"{address}healthz", timeout=10).json() == {
        "status": "ok",
        "generation": 2,
    }


def test_serve_ends_cleanly_while_a_client_is_connected(published):
    with published.served() as url, requests.Session() as session:
        assert session.get(url, timeout=10).ok
    # That the server went with status 0 is checked by the fixture.


def test_serve_tells_that_a_port_is_taken(published, address):
    port = address.rstrip("/").rpartition(":")[2]
    process = published.start("serve", "--port", port)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert "in use" in err
    assert "Traceback" not in err


def test_every_file_is_served_as_it_is(published, address):
    root = published.live / "current"
    for path in root.rglob("*"):
        if path.is_file():
            reply = requests.get(address + str(path.relative_to(root)), timeout=10)
            assert reply.content == path.read_bytes()
            # A list must come compressed as it is, not be unpacked on the way.
            assert "Content-Encoding" not in reply.headers


def test_head_tells_the_size(published, address, package):
    reply = requests.head(address + package, timeout=10)
    assert reply.status_code == 200
    assert int(reply.headers["Content-Length"]) == (published.live / package).stat().st_size
    assert reply.content == b""


def test_ranges_are_served(published, address, package):
    data = (published.live / package).read_bytes()
    reply = requests.get(address + package, headers={"Range": "bytes=100-199"}, timeout=10)
    assert reply.status_code == 206
    assert reply.content == data[100:200]
    reply = requests.get(address + package, headers={"Range": f"bytes={len(data)}-"}, timeout=10)
    assert reply.status_code == 416


def test_resumed_download_ends_in_the_same_file(published, address, package, tmp_path):
    target = tmp_path / "package"
    target.write_bytes((published.live / package).read_bytes()[:1000])
    subprocess.run(["curl", "-fsS", "-C", "-", "-o", target, address + package], check=True)
    assert sha256_file(target) == sha256_file(published.live / package)


def test_unchanged_files_are_not_sent_again(address, package):
    tag = requests.get(address + package, timeout=10).headers["ETag"]
    reply = requests.get(address + package, headers={"If-None-Match": tag}, timeout=10)
    assert (reply.status_code, reply.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("keys/repository.asc", "application/pgp-keys"),
        ("keys/root.json", "application/json"),
        ("deb/testing/dists/debian-12/InRelease", "text/plain; charset=utf-8"),
        ("deb/testing/dists/debian-12/Release.gpg", "application/pgp-signature"),
        ("deb/testing/dists/debian-12/main/binary-amd64/Packages.zst", "application/zstd"),
        ("rpm/testing/demo-rpm-9-x86_64/repodata/repomd.xml", "application/xml"),
        ("opd/testing/metadata/timestamp.json", "application/json"),
    ],
)
def test_content_types(client, path, kind):
    assert client.get(f"/{path}").headers["Content-Type"].startswith(kind)


def test_packages_have_their_content_types(client, published):
    for row in published.json("list"):
        kind = client.head(f"/{row['file']}").headers["Content-Type"]
        assert kind == (
            "application/vnd.debian.binary-package"
            if row["file"].endswith(".deb")
            else "application/x-rpm"
        )


def test_what_can_change_is_asked_for_again(client, published, package):
    for path in ("deb/testing/dists/debian-12/InRelease", "opd/testing/metadata/timestamp.json"):
        assert "immutable" not in client.get(f"/{path}").headers["Cache-Control"]
        assert "no-cache" in client.get(f"/{path}").headers["Cache-Control"]
    digest_named = next(published.live.glob("rpm/testing/*/repodata/*-primary.xml.gz"))
    for path in (package, str(digest_named.relative_to(published.live))):
        assert "immutable" in client.get(f"/{path}").headers["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    [
        "private/tuf/root.pem",
        "keys/../../private/tuf/root.pem",
        "keys/..%2f..%2f..%2fprivate%2ftuf%2froot.pem",
        "keys/%2e%2e/%2e%2e/%2e%2e/private/tuf/root.pem",
        "keys//etc/passwd",
        "catalog.sqlite",
        "opkg-repo.toml",
        "pool",
        "generations/1/private/tuf/root.pem",
        "live/keys/root.json",
        "deb/",
        "deb/testing/",
        "keys",
    ],
)
def test_nothing_but_the_tree_is_served(address, path):
    # curl, since requests would tidy the path.
    done = subprocess.run(
        ["curl", "-sL", "--path-as-is", "-w", "\n%{http_code}", address + path],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    assert status == "404"
    assert "PRIVATE" not in body


def test_home_page_tells_how_to_use_the_repository(client, published):
    text = client.get("/", headers={"Host": "packages.example"}).text
    root = sha256_file(published.live / "keys/root.json")
    for part in (
        f"opd repo add http://packages.example --root-key {root}",
        "URIs: http://packages.example/deb/testing",
        "Suites: debian-12",
        "Signed-By: /etc/apt/keyrings/oscar.asc",
        "mirrorlist=http://packages.example/mirrorlist/rpm/testing/demo-rpm-9-x86_64",
        "repo_gpgcheck=1",
        "zypper addrepo",
        "debian-12-x86_64",
        '<a href="/channel/testing">testing</a>',
    ):
        assert part in text
    assert "<script" not in text


def test_opkg_page_names_its_packages(client, published):
    text = client.get("/opkg/testing/alpha").text
    assert "Software for tests" in text
    assert "&lt;b&gt;no&lt;/b&gt; markup" in text
    rows = published.json("list")
    assert len(rows) == 7
    for row in rows:
        assert f'href="/{row["file"]}"' in text
        assert row["sha256"] in text


@pytest.mark.parametrize("path", ["/opkg/testing/beta", "/opkg/stable/alpha", "/nothing"])
def test_unknown_pages_are_not_found(client, path):
    assert client.get(path).status_code == 404


def test_empty_repository_has_a_page(make_repo):
    client = create_app(open_repository(make_repo().directory)).test_client()
    assert "Nothing is published yet" in client.get("/").text


def test_health_fails_when_nothing_is_live(make_repo):
    repo = make_repo()
    (repo.live / "current").unlink()
    client = create_app(open_repository(repo.directory)).test_client()
    assert client.get("/healthz").status_code == 503


def test_metrics_tell_the_state(make_repo, debs, tmp_path, build):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    published = repo.json("publish")
    repo.run("add", "--channel", "testing", build.deb(tmp_path, "beta", "1-1~deb12"))
    text = create_app(open_repository(repo.directory)).test_client().get("/metrics").text
    values = {
        (sample.name.removeprefix("opkg_repo_"), sample.labels.get("state", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    end = datetime.fromisoformat(published["valid_until"]).timestamp()
    assert values.pop(("disk_free_bytes", "")) > 0
    # What the publication did not touch may be a day older.
    assert end - 86400 < values.pop(("valid_until_timestamp_seconds", "")) <= end
    assert values == {
        ("generation", ""): published["generation"],
        ("packages", "live"): 4,
        ("packages", "coming"): 1,
    }


def test_new_publication_shows_without_a_restart(make_repo, debs):
    repo = make_repo()
    with repo.served() as url:
        assert "Nothing is published yet" in requests.get(url, timeout=10).text
        repo.run("add", "--channel", "testing", debs.manifest)
        repo.run("publish")
        assert "/channel/testing" in requests.get(url, timeout=10).text
