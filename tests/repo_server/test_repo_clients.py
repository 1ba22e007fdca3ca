# SPDX-License-Identifier: GPL-2.0-or-later
"""All clients together: on a tree that stands still, that is copied, that changes all the time."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import RepositoryError

from opkg.run import Completed
from repo_server.check import check
from repo_server.create import create
from repo_server.intake import add
from repo_server.publish import publish
from repo_server.repository import open_repository
from tests.repo_server.clients import (
    RPM_FOLDER,
    any_web_server,
    apt_client,
    dnf_client,
    fetch_index,
    updater,
)

pytestmark = pytest.mark.slow


def test_clients_refuse_what_was_not_renewed(tmp_path, debs):
    """A mirror that stands still is noticed: apt and TUF clients refuse it after 14 days."""
    past = datetime.now(UTC) - timedelta(days=15)
    create(tmp_path / "repo", "Test", lambda _: None, now=past)
    repository = open_repository(tmp_path / "repo")
    add(repository, "testing", [debs.manifest], None, lambda _: None)
    publish(repository, lambda _: None, now=past)
    live = repository.live
    assert {fault.message[:15] for fault in check(live).faults} == {"was valid until"}
    with any_web_server(live.resolve()) as url:
        done = apt_client(tmp_path / "apt", live, url)("update", "--error-on=any")
        assert done.status != 0
        assert "expired" in done.stderr
        with pytest.raises(RepositoryError, match="expired"):
            fetch_index(updater(tmp_path / "client", live, url))
    publish(repository, lambda _: None)
    assert check(live).faults == ()


def test_plain_copy_is_a_whole_mirror(published, tmp_path):
    """The tree needs nothing beside itself: rsync or wget can carry it anywhere."""
    subprocess.run(["cp", "-r", f"{published.live}/", tmp_path / "copy"], check=True)
    report = check(tmp_path / "copy")
    assert report.faults == ()
    assert report.files > 0


# Clients while publications follow one another


def test_clients_never_see_a_mixture(changing, tmp_path, build):
    """A hundred publications, as fast as they come, with apt and dnf going on all the time."""
    stop = threading.Event()
    failed: list[str] = []
    rounds = {"apt": 0, "dnf": 0}
    with changing.served() as url:
        apt = apt_client(tmp_path / "apt", changing.live, url)
        dnf = dnf_client(tmp_path / "dnf", changing.live, url)
        repo_file = tmp_path / "dnf/repos/test.repo"
        text = repo_file.read_text().replace(f"baseurl={url}", f"mirrorlist={url}mirrorlist/")
        repo_file.write_text(text.replace(f"{RPM_FOLDER}/\n", f"{RPM_FOLDER}\n"))

        def loop(name: str, command: Callable[[], Completed]) -> None:
            while not stop.is_set():
                done = command()
                rounds[name] += 1
                if done.status:
                    failed.append(done.stdout + done.stderr)

        threads = [
            threading.Thread(target=loop, args=["apt", lambda: apt("update", "--error-on=any")]),
            threading.Thread(target=loop, args=["dnf", lambda: dnf("makecache", "--refresh")]),
        ]
        for thread in threads:
            thread.start()
        try:
            publish_often(changing, tmp_path, build, rounds)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not failed, failed[0]
    assert min(rounds.values()) >= ENOUGH_ROUNDS


PUBLICATIONS = 100
ENOUGH_ROUNDS = 5


def publish_often(repo, folder: Path, build, rounds: dict[str, int]) -> None:
    """Publish until there were enough publications, and enough rounds of each client."""
    repository = open_repository(repo.directory)
    number = 0
    while number < PUBLICATIONS or min(rounds.values()) < ENOUGH_ROUNDS:
        number += 1
        if number % 5 == 0:
            place = folder / f"new{number}"
            place.mkdir()
            new = [
                build.deb(place, "beta", f"1-{number}~deb12"),
                build.rpm(place, "beta", f"1-{number}.demo9"),
            ]
            add(repository, "testing", new, None, lambda _: None)
        publish(repository, lambda _: None)
