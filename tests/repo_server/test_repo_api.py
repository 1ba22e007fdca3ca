# SPDX-License-Identifier: GPL-2.0-or-later
"""The REST API, within this process."""

from __future__ import annotations

import json

import pytest

from repo_server import limits
from repo_server.app import create_app
from repo_server.repository import open_repository

ALL_ACTIONS = "upload,publish,promote,remove,rollback,gc,check"


class Api:
    """A repository's API, as somebody with a token or without one sees it."""

    def __init__(self, repo, channel="*", actions=ALL_ACTIONS):
        words = ("create", "anna", "--channel", channel, "--action", actions)
        self.token = repo.json("token", *words)["token"]
        self.client = create_app(open_repository(repo.directory)).test_client()

    def get(self, path):
        return self.client.get(f"/api/v1/{path}")

    def post(self, path, body=None, token=None):
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return self.client.post(f"/api/v1/{path}", json=body, headers=headers)


def refused(reply, status):
    """The document of a problem, which has all that RFC 9457 wants."""
    assert reply.status_code == status, reply.text
    assert reply.content_type == "application/problem+json"
    body = reply.json
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


@pytest.mark.slow
def test_everybody_can_read(published):
    api = create_app(open_repository(published.directory)).test_client()
    (channel,) = api.get("/api/v1/channels").json
    assert (channel["name"], channel["packages"], channel["waiting"]) == ("testing", 7, 0)
    rows = api.get("/api/v1/channels/testing/packages").json
    assert sorted(row["sha256"] for row in rows) == sorted(
        row["sha256"] for row in published.json("list")
    )
    assert all(api.get(f"/{row['file']}").status_code == 200 for row in rows)
    opkgs = api.get("/api/v1/channels/testing/opkgs").json
    assert {(one["name"], one["version"]) for one in opkgs} == {("alpha", "1.0-1")}
    assert [one["state"] for one in api.get("/api/v1/generations").json] == ["kept", "live"]


def test_packages_come_in_pages(published):
    api = create_app(open_repository(published.directory)).test_client()
    path = "/api/v1/channels/testing/packages"
    whole = api.get(path).json
    parts = [api.get(f"{path}?start={start}&limit=3").json for start in (0, 3, 6, 9)]
    assert [row for part in parts for row in part] == whole
    assert {row["name"] for row in api.get(f"{path}?name=alpha").json} == {"alpha"}


@pytest.mark.slow
def test_package_is_removed_and_brought_back(changing):
    api = Api(changing, "testing")
    gone = api.post("channels/testing/remove", {"names": ["alpha=1.0-1"]}).json
    assert {row["target"] for row in gone} == {"debian-12-x86_64", "demo-rpm-9-x86_64"}
    assert api.post("channels/testing/publish").json["changes"]
    assert api.get("channels/testing/packages").json == []
    back = api.post("channels/testing/rollback", {}).json
    assert sum(change["packages"] for change in back["changes"]) == 7
    assert len(api.get("channels/testing/packages").json) == 7


@pytest.mark.slow
def test_promoted_packages_wait_for_publish(changing):
    api = Api(changing)
    moved = api.post("channels/stable/promote", {"origin": "testing", "names": ["alpha"]}).json
    assert len(moved) == 7
    states = {row["generation"] for row in api.get("channels/stable/packages").json}
    assert states == {None}
    number = api.post("channels/stable/publish").json["generation"]
    states = {row["generation"] for row in api.get("channels/stable/packages").json}
    assert states == {number}


@pytest.mark.slow
def test_gc_and_check(changing):
    api = Api(changing)
    assert api.post("gc", {"keep": 1}).json["removed"] == 0
    report = api.post("check").json
    assert report["faults"] == []
    assert report["files"] > 10


CHANGES = [
    ("channels/testing/publish", None),
    ("channels/testing/remove", {"names": ["alpha"]}),
    ("channels/testing/promote", {"origin": "stable"}),
    ("channels/testing/rollback", {}),
    ("gc", {}),
    ("check", None),
    ("uploads", {"channel": "testing", "name": "a.deb", "size": 1, "sha256": "0" * 64}),
    ("uploads/complete", {"uploads": ["0" * 32]}),
]


@pytest.mark.parametrize(("path", "body"), CHANGES)
def test_nobody_changes_anything_without_a_token(published, path, body):
    client = create_app(open_repository(published.directory)).test_client()
    before = published.state()
    reply = client.post(f"/api/v1/{path}", json=body)
    assert "token" in refused(reply, 401)["hint"]
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert published.state() == before


@pytest.mark.parametrize(("path", "body"), CHANGES[:-1])
def test_token_for_another_channel_is_not_enough(make_repo, path, body):
    repo = make_repo()
    api = Api(repo, "stable")
    before = repo.state()
    body = refused(api.post(path, body), 403)
    assert "anna is not good for" in body["detail"]
    assert repo.state() == before


def test_revoked_token_is_good_for_nothing(make_repo):
    repo = make_repo()
    api = Api(repo)
    assert api.post("check").status_code == 200
    repo.run("token", "revoke", "anna")
    refused(api.post("check"), 401)


def test_wrong_tokens_are_counted_for_all_processes(make_repo):
    repo = make_repo()
    api = Api(repo)
    for _ in range(limits.FAILURES):
        refused(api.post("check", token="opkg_000000000000_" + "a" * 43), 401)
    other = create_app(open_repository(repo.directory)).test_client()
    for client in (api.client, other):
        headers = {"Authorization": f"Bearer {api.token}"}
        reply = client.post("/api/v1/check", headers=headers)
        assert "too many" in refused(reply, 429)["detail"]
        assert reply.headers["Retry-After"]


def test_requests_of_a_token_are_counted(make_repo, monkeypatch):
    monkeypatch.setattr(limits, "CHANGES", 3)
    api = Api(make_repo())
    statuses = [api.post("channels/testing/rollback", {}).status_code for _ in range(5)]
    assert statuses == [422, 422, 422, 429, 429]


def test_errors_tell_what_and_what_to_do(make_repo):
    repo = make_repo()
    api = Api(repo)
    body = refused(api.post("channels/testing/remove", {"names": ["beta"]}), 422)
    assert "there is no “beta”" in body["detail"]
    assert "name an OPKG" in body["hint"]
    body = refused(api.post("channels/testing/remove", {"names": [], "colour": 1}), 422)
    assert any(fault.startswith("json.colour") for fault in body["faults"])
    refused(api.get("nothing"), 404)
    reply = api.client.delete("/api/v1/gc")
    refused(reply, 405)
    assert "POST" in reply.headers["Allow"]


@pytest.mark.slow
def test_errors_do_not_tell_where_the_server_has_its_files(make_repo):
    repo = make_repo()
    for path, body in CHANGES:
        text = Api(repo).post(path, body).text
        repo.run("token", "revoke", "anna")
        assert str(repo.directory) not in text


@pytest.mark.slow
def test_every_change_is_in_the_audit_log(changing):
    api = Api(changing)
    api.post("channels/testing/remove", {"names": ["alpha"]})
    api.post("channels/testing/remove", {"names": ["beta"]})
    first, second = changing.json("audit")[-2:]
    assert (first["action"], first["channel"], first["detail"]) == ("remove", "testing", "alpha")
    assert first["who"].startswith("anna (")
    assert first["address"] == "127.0.0.1"
    assert (first["status"], second["status"]) == (200, 422)
    assert "beta" in second["error"]
    assert api.token not in json.dumps(changing.json("audit"))


def test_documents_need_no_other_server(make_repo):
    client = create_app(open_repository(make_repo().directory)).test_client()
    spec = client.get("/api/v1/openapi.json").json
    assert spec["openapi"].startswith("3.")
    page = client.get("/api/v1/")
    assert page.status_code == 200
    assert "://" not in page.text
    for path in spec["paths"]:
        assert f"/api{path}" in page.text
