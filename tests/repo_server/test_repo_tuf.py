# SPDX-License-Identifier: GPL-2.0-or-later
"""python-tuf's client, as OPD uses it, on the published tree."""

from __future__ import annotations

import shutil

import pytest
from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater

from opkg.files import sha256_bytes
from repo_server.create import create
from tests.repo_server.clients import (
    any_web_server,
    fetch_index,
    spoil,
    updater,
)

pytestmark = pytest.mark.slow


def test_tuf_client_takes_the_index(published, tmp_path):
    with published.served() as url:
        index = fetch_index(updater(tmp_path / "client", published.live, url))
    assert (index.channel, index.generation) == ("testing", 2)
    assert {offer.target for offer in index.offers} == {"debian-12-x86_64", "demo-rpm-9-x86_64"}


def test_tuf_client_follows_publications(make_repo, tmp_path, debs, rpms):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    with repo.served() as url:
        assert len(fetch_index(updater(tmp_path / "1", repo.live, url)).offers) == 1
        repo.run("add", "--channel", "testing", rpms.manifest)
        repo.run("publish")
        shutil.copytree(tmp_path / "1", tmp_path / "2", symlinks=True)
        again = Updater(
            str(tmp_path / "2/metadata"),
            f"{url}opd/testing/metadata/",
            str(tmp_path / "2/targets"),
            f"{url}opd/testing/targets/",
            bootstrap=None,
        )
        assert len(fetch_index(again).offers) == 2


@pytest.mark.parametrize(
    "pattern",
    ["metadata/timestamp.json", "metadata/*.snapshot.json", "metadata/*.targets.json", "targets/*"],
)
def test_tuf_client_refuses_what_was_changed(mirror, tmp_path, pattern):
    spoil(mirror, f"opd/testing/{pattern}")
    with any_web_server(mirror) as url, pytest.raises((RepositoryError, DownloadError)):
        fetch_index(updater(tmp_path / "client", mirror, url))


def test_initial_root_is_what_init_named(tmp_path):
    created = create(tmp_path / "repo", "Test", lambda _: None)
    assert created.root == sha256_bytes((tmp_path / "repo/live/keys/root.json").read_bytes())
