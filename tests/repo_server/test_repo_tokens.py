# SPDX-License-Identifier: GPL-2.0-or-later
"""Tokens, and the log of who did what."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta

import pytest

from repo_server import audit, tokens
from repo_server.repository import open_repository
from repo_server.tokens import Action


@pytest.fixture
def repo(make_repo):
    return make_repo()


@pytest.fixture
def repository(repo):
    return open_repository(repo.directory)


def make(repo, name="anna", *more):
    words = ["create", name, "--channel", "testing", "--action", "upload,publish", *more]
    return repo.json("token", *words)


def test_token_is_shown_once_and_kept_as_a_hash(repo):
    made = make(repo)
    secret = made["token"].split("_", 2)[2]
    assert made["token"].startswith(f"opkg_{made['id']}_")
    for path in repo.directory.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert secret not in str(repo.json("token", "list"))
    file = repo.directory / "private/tokens.json"
    assert "$argon2id$" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_token_alone_goes_to_stdout(repo, repository):
    out, err = repo.run("token", "create", "anna", "--channel", "testing", "--action", "upload")
    assert tokens.find(repository, out.strip())
    assert "not shown again" in err
    assert out.strip() not in err


def test_token_is_found_by_its_text_alone(repo, repository):
    text, other = make(repo)["token"], make(repo, "berta")["token"]
    assert tokens.find(repository, text).name == "anna"
    assert tokens.find(repository, other).name == "berta"
    crossed = "_".join([*text.split("_", 2)[:2], other.split("_", 2)[2]])
    for wrong in (crossed, text[:-1], text + "A", text.replace("opkg", "OPKG"), "", "opkg__", "é"):
        assert tokens.find(repository, wrong) is None


def test_token_is_good_for_its_channels_and_actions_alone(repo, repository):
    token = tokens.find(repository, make(repo)["token"])
    assert token.allows(Action.UPLOAD, "testing")
    assert not token.allows(Action.UPLOAD, "stable")
    assert not token.allows(Action.REMOVE, "testing")
    assert not token.allows(Action.UPLOAD, tokens.ALL)


def test_token_for_all_channels(repo, repository):
    words = ("create", "root", "--channel", "*", "--action", "gc,upload")
    token = tokens.find(repository, repo.json("token", *words)["token"])
    assert token.allows(Action.GC, tokens.ALL)
    assert token.allows(Action.UPLOAD, "stable")
    assert not token.allows(Action.CHECK, tokens.ALL)


def test_token_expires(repo, repository):
    text = make(repo, "anna", "--expires", "12h")["token"]
    later = datetime.now(UTC) + timedelta(hours=12)
    assert tokens.find(repository, text, now=later - timedelta(minutes=1))
    assert tokens.find(repository, text, now=later) is None


@pytest.mark.parametrize("by", ["name", "id"])
def test_revoked_token_is_good_for_nothing(repo, repository, by):
    made = make(repo)
    repo.run("token", "revoke", made[by])
    assert tokens.find(repository, made["token"]) is None
    assert repo.json("token", "list")[0]["state"] == "revoked"
    assert "there is no token" in repo.run("token", "revoke", made[by], status=1)[1]
    # The name is free again.
    assert tokens.find(repository, make(repo)["token"])


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["anna", "--channel", "testing", "--action", "upload,fly"], "no action “fly”"),
        (["anna", "--channel", "../etc", "--action", "upload"], "cannot name a channel"),
        (["a b", "--channel", "testing", "--action", "upload"], "cannot name a token"),
        (["anna", "--channel", "c", "--action", "gc", "--expires", "soon"], "no length of time"),
    ],
)
def test_bad_token_is_refused(repo, words, fault):
    assert fault in repo.run("token", "create", *words, status=1)[1]
    assert repo.json("token", "list") == []


def test_name_is_taken_once(repo):
    make(repo)
    words = ("create", "anna", "--channel", "testing", "--action", "upload")
    assert "already" in repo.run("token", *words, status=1)[1]


def test_audit_tells_who_made_and_revoked_a_token(repo):
    made = make(repo)
    repo.run("token", "revoke", "anna")
    log = repo.json("audit")
    assert [entry["action"] for entry in log] == ["token create", "token revoke"]
    assert log[0]["detail"] == f"anna ({made['id']})"
    assert made["token"] not in json.dumps(log)


def test_audit_is_bounded_and_keeps_the_newest(repository, monkeypatch):
    monkeypatch.setattr(audit, "LIMIT", 1000)
    for number in range(200):
        audit.note(repository, "anna", "test", detail=str(number))
    found = [int(entry.detail) for entry in audit.entries(repository)]
    assert found == list(range(found[0], 200))
    assert 20 < len(found) < 100
    files = list(repository.directory.glob("audit.jsonl*"))
    assert len(files) == 1 + audit.OLDER
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_audit_passes_over_what_a_crash_left(repository):
    audit.note(repository, "anna", "first")
    with (repository.directory / audit.FILE).open("ab") as stream:
        stream.write(b'{"time": "20\n')
    audit.note(repository, "anna", "second")
    assert [entry.action for entry in audit.entries(repository)] == ["first", "second"]
