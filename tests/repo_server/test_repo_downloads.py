# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads are counted once each, by all workers of the server, and shown."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
import requests

from repo_server import downloads
from repo_server.downloads import FILE, Downloads, is_download, most_wanted, plot

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("method", "status", "headers", "counts"),
    [
        ("GET", 200, {}, True),
        ("GET", 206, {"Range": "bytes=0-"}, True),
        ("GET", 206, {"Range": "bytes=1000-"}, False),
        ("GET", 200, {"If-None-Match": '"x"'}, False),
        ("GET", 304, {}, False),
        ("GET", 404, {}, False),
        ("HEAD", 200, {}, False),
    ],
)
def test_what_gives_a_file_from_its_first_byte_is_a_download(method, status, headers, counts):
    assert is_download(method, status, headers) is counts


def test_packages_are_counted_by_day_and_channel_and_lists_are_not(tmp_path):
    day = TODAY

    def today() -> date:
        return day

    for path, times in {
        "deb/testing/pool/a/alpha/opkg-alpha_1.0-1~deb12_all.deb": 2,
        "rpm/testing/rocky-9-x86_64/packages/opkg-alpha-1.0-1.el9.noarch.rpm": 3,
        "rpm/other/rocky-9-x86_64/packages/a-b-c-1.0-1.el9.x86_64.rpm": 1,
        "deb/testing/dists/debian-12/InRelease": 5,
        "rpm/testing/rocky-9-x86_64/repodata/repomd.xml": 5,
        "keys/repository.asc": 5,
    }.items():
        counted = Downloads(tmp_path, today)
        for _ in range(times):
            counted.note(path)
        counted.flush()
    day += timedelta(days=1)
    counted.note("deb/testing/pool/a/alpha/opkg-alpha_2.0-1~deb12_all.deb")
    counted.flush()
    assert most_wanted(tmp_path, day, 9) == [("testing", "opkg-alpha", 6), ("other", "a-b-c", 1)]
    found = plot(tmp_path, day, channel="testing", packages={"opkg-alpha"})
    assert [count for _, count in found.days[-3:]] == [0, 5, 1]
    assert plot(tmp_path, day).total == 7
    assert plot(tmp_path, day + timedelta(days=downloads.DAYS)).total == 0
    assert plot(tmp_path / "nothing", day).most == 0


def test_what_cannot_be_written_stays_counted(tmp_path, capsys):
    counted = Downloads(tmp_path, lambda: TODAY)
    (tmp_path / FILE).mkdir()
    counted.note("deb/c/pool/a/a/a_1_all.deb")
    counted.flush()
    assert "downloads could not be counted" in capsys.readouterr().err
    (tmp_path / FILE).rmdir()
    counted.flush()
    assert plot(tmp_path, TODAY).total == 1


@pytest.fixture
def fetched(make_repo, debs) -> tuple[Path, str]:
    """A repository whose packages were fetched, and the page of the OPKG."""
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    paths = sorted(path for path in (repo.live / "deb/testing/pool").rglob("opkg-alpha_*.deb"))
    with repo.served() as url:
        address = f"{url}{paths[0].relative_to(repo.live)}"

        def fetch(number: int) -> None:
            extra = {"Range": "bytes=100-"} if number % 2 else {}
            requests.get(address, headers=extra, timeout=10).raise_for_status()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fetch, range(40)))
        page = requests.get(f"{url}opkg/testing/alpha", timeout=10).text
    return repo.directory, page


@pytest.mark.slow
def test_no_download_is_lost_when_the_server_ends(fetched):
    directory, page = fetched
    assert "of its packages in 30 days" in page
    with closing(sqlite3.connect(directory / FILE)) as connection:
        rows = connection.execute("SELECT channel, package, count FROM downloads").fetchall()
    assert rows == [("testing", "opkg-alpha", 20)]
