# SPDX-License-Identifier: GPL-2.0-or-later
"""The lists of the first OPD, read as it read them."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
import requests
from lxml import etree
from sqlalchemy import delete

from opkg.files import sha256_bytes
from repo_server import catalog, oscar
from repo_server.settings import SETTINGS
from repo_server.tables import Piece
from tests.repo_server.clients import add_published, any_web_server

pytestmark = pytest.mark.slow

VERSION = ("major", "minor", "release", "subversion", "epoch")
RELATIONS = ("provides", "requires", "conflicts")


def parsable(package: etree._Element) -> list[str]:
    """The 29 fields of a line of `opd --parsable -r URL`."""

    def text(path: str) -> str:
        return (package.findtext(path) or "").replace("\n", " ")

    def several(path: str) -> str:
        return '","'.join(element.text or "" for element in package.findall(path))

    return [
        text("name"),
        *(text(f"version/{word}") for word in VERSION),
        *(text(f"oscar_version/{word}") for word in VERSION),
        several("packager/name") or several("maintainer/name"),
        several("packager/email") or several("maintainer/email"),
        text("description"),
        text("license"),
        # The old OPD took all for installable third-party packages.
        "1",
        text("group"),
        text("summary"),
        text("url"),
        "third-party",
        several("download/md5sum"),
        several("download/sha1sum"),
        several("download/uri"),
        *(several(f"{kind}/{word}") for kind in RELATIONS for word in ("name", "type")),
    ]


def test_old_opd_reads_what_there_is(make_repo, debs, rpms):
    repo = make_repo()
    settings = repo.directory / SETTINGS
    with any_web_server(repo.live) as url:
        settings.write_text(settings.read_text() + f'url = "{url}"\n')
        add_published(repo, debs.manifest, rpms.manifest)
        # The master list leads to the repository, and that to the packages.
        master = etree.fromstring(
            requests.get(f"{url}opd/oscar_repositories.xml", timeout=10).content
        )
        name = master.findtext("files/package_listing")
        [site] = master.findall("site")
        assert site.findtext("name") == "OSCAR: testing"
        place = f"{site.findtext('uri')}/"
        listing = etree.fromstring(requests.get(place + name, timeout=10).content)
        packages = listing.findall("package")
        assert len(packages) == 2
        for package, built in zip(packages, (debs, rpms), strict=True):
            line = '":"'.join(parsable(package))
            fields = line.split('":"')
            assert len(fields) == 29
            uri = fields[22]
            assert fields == [
                "alpha",
                *("1", "0", "1", "", ""),
                *([""] * 5),
                "Some Body",
                "some@body.example",
                "First paragraph.  Second, with <b>no</b> markup.",
                "GPL-2.0-or-later",
                "1",
                "System/Tests",
                "Software for tests",
                "http://alpha.example/",
                "third-party",
                "",
                "",
                uri,
                *([""] * 6),
            ]
            data = requests.get(urljoin(place, uri), timeout=10).content
            assert len(data) == int(package.findtext("download/size"))
            rows = [row for row in repo.json("list") if row["sha256"] == sha256_bytes(data)]
            assert [row["name"] for row in rows] == ["opkg-alpha"]
            assert built.packages
    assert repo.json("check")["faults"] == []


def test_offers_of_an_older_repository_are_listed(make_repo, debs, rpms):
    """One that was made before there was this list."""
    repo = make_repo()
    add_published(repo, debs.manifest)
    with catalog.opened(repo.directory) as session:
        session.execute(delete(Piece).where(Piece.kind == oscar.PACKAGES))
        session.commit()
    repo.run("renew")
    listing = etree.parse(repo.live / "opd/testing/oscar_packages.xml")
    assert [package.findtext("name") for package in listing.iter("package")] == ["alpha"]


def test_repository_without_an_address_has_no_list_of_repositories(published):
    assert not (published.live / "opd/oscar_repositories.xml").exists()
