# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads: in pieces, resumed, complete or refused with nothing kept."""

from __future__ import annotations

import json
import os
import time

import pytest

from opkg.files import sha256_bytes, sha256_file
from repo_server import uploads
from repo_server.app import create_app
from repo_server.repository import open_repository


class Uploader:
    """A client of the API that may upload into the channel testing."""

    def __init__(self, repo):
        self.repo = repo
        words = ("create", "anna", "--channel", "testing", "--action", "upload")
        self.headers = {"Authorization": f"Bearer {repo.json('token', *words)['token']}"}
        self.client = create_app(open_repository(repo.directory)).test_client()

    def request(self, method, path, **more):
        path = f"/api/v1/uploads{path}"
        return self.client.open(path, method=method, headers=self.headers, **more)

    def begin(self, path, **other):
        order = {
            "channel": "testing",
            "name": path.name,
            "size": path.stat().st_size,
            "sha256": sha256_file(path),
        }
        return self.request("POST", "", json=order | other)

    def put(self, number, data, offset=0):
        return self.request("PUT", f"/{number}?offset={offset}", data=data)

    def send(self, path, **other):
        """A whole file; the ID of its upload."""
        number = self.begin(path, **other).json["id"]
        assert self.put(number, path.read_bytes()).status_code == 200
        return number

    def complete(self, *numbers):
        return self.request("POST", "/complete", json={"uploads": numbers})

    def left(self):
        """What there is of uploads on the disk, but for what was answered."""
        folder = self.repo.directory / "uploads"
        return [
            path.name
            for path in (folder.iterdir() if folder.exists() else ())
            if not path.name.startswith((".", "done-"))
        ]

    def state(self):
        return self.repo.state()


@pytest.fixture
def repo(make_repo):
    return make_repo()


@pytest.fixture
def anna(repo):
    return Uploader(repo)


def refused(reply, status=422):
    assert reply.status_code == status, reply.text
    assert reply.content_type == "application/problem+json"
    return reply.json["detail"] + " " + reply.json.get("hint", "")


@pytest.fixture
def deb(build, tmp_path):
    return build.deb(tmp_path, "beta", "1-1~deb12")


def test_upload_is_published_when_complete(anna, repo, deb):
    done = anna.complete(anna.send(deb))
    assert done.status_code == 200, done.text
    assert done.json["generation"] == repo.number
    (added,) = done.json["added"]
    assert (added["name"], added["target"], added["new"]) == ("beta", "debian-12-x86_64", True)
    assert "beta" in repo.packages("deb/testing/dists/debian-12/main/binary-amd64")
    assert anna.left() == []


def test_upload_comes_in_pieces_and_goes_on_after_a_break(anna, deb):
    data = deb.read_bytes()
    number = anna.begin(deb).json["id"]
    for start in (0, 1000, 2000):
        anna.put(number, data[start : start + 1000], start)
    # A client that knows nothing any more.
    again = anna.begin(deb).json
    assert (again["id"], again["received"]) == (number, 3000)
    head = anna.request("HEAD", f"/{number}")
    assert head.headers["Upload-Offset"] == "3000"
    assert anna.put(number, data[3000:], 3000).json["received"] == len(data)
    assert anna.complete(number).status_code == 200


def test_same_piece_twice_is_harmless(anna, deb):
    data = deb.read_bytes()
    number = anna.begin(deb).json["id"]
    for start in (0, 0, 500, 0):
        assert anna.put(number, data[start : start + 1000], start).status_code == 200
    assert anna.put(number, data, 0).json["received"] == len(data)
    assert anna.complete(number).status_code == 200


def test_other_bytes_at_the_same_place_are_refused(anna, deb):
    data = deb.read_bytes()
    number = anna.begin(deb).json["id"]
    anna.put(number, data[:1000])
    assert "other bytes" in refused(anna.put(number, b"x" * 100, 500), 409)
    # What was right stays.
    assert anna.put(number, data[1000:], 1000).status_code == 200
    assert anna.complete(number).status_code == 200


def test_piece_after_a_gap_is_refused(anna, deb):
    number = anna.begin(deb).json["id"]
    assert "HEAD" in refused(anna.put(number, b"x", 10), 416)


def test_more_than_was_announced_is_refused(anna, deb):
    number = anna.begin(deb).json["id"]
    size = deb.stat().st_size
    refused(anna.put(number, b"x" * (size + 1)), 413)
    assert anna.request("GET", f"/{number}").json["received"] == 0


@pytest.mark.slow
def test_incomplete_upload_can_be_gone_on_with(anna, repo, deb):
    data = deb.read_bytes()
    number = anna.begin(deb).json["id"]
    anna.put(number, data[:1000])
    before = repo.state()
    assert "1000 of" in refused(anna.complete(number))
    assert repo.state() == before
    anna.put(number, data[1000:], 1000)
    assert anna.complete(number).status_code == 200


def test_completing_again_gets_the_same_answer(anna, repo, deb):
    number = anna.send(deb)
    first = anna.complete(number).json
    assert anna.complete(number).json == first
    assert repo.number == first["generation"]


@pytest.mark.slow
def test_batch_is_one_publication(anna, repo, debs, rpms):
    numbers = []
    for built in (debs, rpms):
        folder = built.manifest.parent.name
        files = [built.manifest, *built.packages]
        numbers += [anna.send(path, name=f"{folder}/{path.name}") for path in files]
    before = repo.number
    done = anna.complete(*numbers).json
    assert done["generation"] == repo.number == before + 1
    assert len(done["added"]) == 7
    assert len(anna.client.get("/api/v1/channels/testing/opkgs").json) == 2


def test_batch_comes_whole_or_not_at_all(anna, repo, debs):
    before = repo.state()
    numbers = [anna.send(path) for path in (debs.manifest, *debs.packages[:-1])]
    assert "cannot be copied" in refused(anna.complete(*numbers))
    assert repo.state() == before
    assert anna.left() == []


def test_others_do_not_see_an_upload(anna, repo, deb):
    number = anna.send(deb)
    words = ("create", "berta", "--channel", "testing", "--action", "upload")
    headers = {"Authorization": f"Bearer {repo.json('token', *words)['token']}"}
    for method, path in (("GET", number), ("PUT", number), ("DELETE", number)):
        reply = anna.client.open(f"/api/v1/uploads/{path}", method=method, headers=headers)
        refused(reply, 404)
    reply = anna.client.post(
        "/api/v1/uploads/complete", json={"uploads": [number]}, headers=headers
    )
    refused(reply, 404)


def test_upload_can_be_forgotten(anna, deb):
    number = anna.send(deb)
    assert anna.request("DELETE", f"/{number}").status_code == 204
    refused(anna.request("GET", f"/{number}"), 404)
    assert anna.left() == []


@pytest.mark.parametrize(
    "name",
    [
        "../a.deb",
        "a/../../b.deb",
        "/etc/passwd",
        "a/b/c.deb",
        ".",
        "..",
        "a\0.deb",
        "a\n.deb",
        ".x",
    ],
)
def test_name_that_leads_elsewhere_is_refused(anna, deb, name):
    assert "cannot name an upload" in refused(anna.begin(deb, name=name))
    assert anna.left() == []


def damaged(path, folder, change):
    data = bytearray(path.read_bytes())
    copy = folder / "damaged" / path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(change(data))
    return copy


def flip(at):
    def change(data):
        data[int(len(data) * at)] ^= 0xFF
        return data

    return change


CHANGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-20],
    "corrupt in the middle": flip(0.75),
    "corrupt behind the middle": flip(0.85),
    "corrupt at the end": flip(0.97),
    "corrupt at the start": flip(0),
    "empty": lambda _data: b"",
    "something else": lambda _data: os.urandom(5000),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("family", ["deb", "rpm"])
def test_damaged_package_is_refused_and_nothing_kept(
    anna, repo, deb, rpms, tmp_path, change, family
):
    whole = deb if family == "deb" else rpms.packages[0]
    path = damaged(whole, tmp_path, CHANGES[change])
    before = repo.state()
    # What the client announces is what it sends: the package itself is wrong.
    text = refused(anna.complete(anna.send(path)))
    assert path.name in text
    assert str(repo.directory) not in text
    assert repo.state() == before
    assert anna.left() == []


def test_wrong_digest_is_refused(anna, repo, deb):
    before = repo.state()
    number = anna.begin(deb, sha256=sha256_bytes(b"other")).json["id"]
    anna.put(number, deb.read_bytes())
    assert "announced was" in refused(anna.complete(number))
    assert repo.state() == before
    assert anna.left() == []


@pytest.mark.slow
def test_other_content_under_the_same_name_is_refused(anna, repo, build, tmp_path, deb):
    assert anna.complete(anna.send(deb)).status_code == 200
    (tmp_path / "other").mkdir()
    other = build.deb(tmp_path / "other", "beta", "1-1~deb12", content="two")
    before = repo.state()
    text = refused(anna.complete(anna.send(other)))
    assert "other content" in text
    assert "needs a new release" in text
    assert repo.state() == before
    assert anna.left() == []


def test_architecture_that_the_target_does_not_have_is_refused(anna, repo, build, tmp_path):
    path = build.deb(tmp_path, "beta", "1-1~deb12", architecture="sparc")
    before = repo.state()
    refused(anna.complete(anna.send(path)))
    path = build.deb(tmp_path, "gamma", "1-1", architecture="i386")
    text = refused(anna.complete(anna.send(path, target="debian-12-x86_64")))
    assert "does not fit the target" in text
    assert repo.state() == before
    assert anna.left() == []


def test_size_over_the_limit_is_refused_before_it_is_sent(anna, deb, monkeypatch):
    monkeypatch.setattr(uploads, "LIMIT", 1000)
    assert "limit" in refused(anna.begin(deb), 413)
    assert anna.left() == []


def test_document_that_would_be_read_into_memory_is_limited(anna, deb):
    refused(anna.begin(deb, name="manifest.json", size=uploads.DOCUMENT_LIMIT + 1), 413)
    assert anna.begin(deb, name="manifest.json", size=uploads.DOCUMENT_LIMIT).status_code == 201


def put_by_dput(anna, name, data):
    token = anna.headers["Authorization"].split()[1]
    return anna.client.put(f"/api/v1/dput/testing/{name}", data=data, auth=("anna", token))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"Format: 1.8\n",
        b"Format: 1.8\nChecksums-Sha256:\n abc\n",
        b"Checksums-Sha256:\n " + b"0" * 64 + b" 5 ../meta.json\n",
        b"Checksums-Sha256:\n " + b"0" * 64 + b" 5 missing.deb\n",
    ],
)
def test_changes_that_are_none_are_refused(anna, repo, text):
    before = repo.state()
    refused(put_by_dput(anna, "bad.changes", text))
    assert repo.state() == before


def test_file_larger_than_the_disk_is_refused_before_it_is_sent(anna, deb, monkeypatch):
    monkeypatch.setattr(uploads, "LIMIT", 1 << 60)
    assert "no room" in refused(anna.begin(deb, size=1 << 50), 507)
    assert anna.left() == []


def test_too_many_open_uploads_are_refused(anna, deb, monkeypatch):
    monkeypatch.setattr(uploads, "OPEN", 2)
    for name in ("a.deb", "b.deb"):
        assert anna.begin(deb, name=name).status_code == 201
    refused(anna.begin(deb, name="c.deb"), 429)


def test_gc_removes_what_nothing_came_for_since_yesterday(anna, repo, deb, build, tmp_path):
    old, new = anna.send(deb), anna.send(build.deb(tmp_path, "gamma", "1-1~deb12"))
    yesterday = time.time() - uploads.STALE - 60
    folder = repo.directory / "uploads" / old
    for path in (*folder.iterdir(), folder):
        os.utime(path, (yesterday, yesterday))
    repo.run("gc")
    assert anna.left() == [new]


def test_links_in_the_upload_folder_are_not_followed(anna, repo, deb, tmp_path):
    number = anna.begin(deb).json["id"]
    target = tmp_path / "elsewhere"
    target.write_bytes(b"mine")
    data = repo.directory / "uploads" / number / "data"
    data.unlink()
    data.symlink_to(target)
    assert anna.put(number, b"x", 4).status_code == 500
    assert target.read_bytes() == b"mine"


@pytest.mark.slow
def test_secrets_and_places_stay_out_of_the_log(anna, repo, deb):
    anna.complete(anna.send(deb))
    (entry,) = [one for one in repo.json("audit") if one["action"] == "upload"]
    assert (entry["detail"], entry["status"]) == (deb.name, 200)
    assert anna.headers["Authorization"].split()[1] not in json.dumps(entry)
