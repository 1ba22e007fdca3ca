# SPDX-License-Identifier: GPL-2.0-or-later
"""What the first OPD printed for other programs, and the list of repositories that it read."""

from __future__ import annotations

from pathlib import Path

import pytest

from opd import older
from opkg.errors import OpkgError
from opkg.spec import Kind
from tests.opd.conftest import Opd, Repository
from tests.opd.offers import known, offer, relation

LIST = """<?xml version="1.0"?>
<repositories>
  <files><package_listing>oscar_packages.xml</package_listing></files>
  <site>
    <name>Our Site</name><location>Bonn</location>
    <uri>{url}/opd/stable/</uri><uri>http://copy.example/tree/opd/stable</uri>
  </site>
  <site><name>elsewhere</name><uri>http://host.example/opkgs</uri></site>
</repositories>
"""


def fields(line: str) -> list[str]:
    """The fields of a line, read as scripts did."""
    assert line[0] == line[-1] == '"'
    return line[1:-1].split('":"')


def test_an_opkg_is_a_line_of_29_fields() -> None:
    each = offer("a", "2:3.4.5.6-7", relation(Kind.REQUIRES, "b", ">= 2"),
                 relation(Kind.REQUIRES, "c"), relation(Kind.PROVIDES, "mpi"))  # fmt: skip
    found = fields(older.package_line(known(each), [each]))
    assert len(found) == 29
    assert found[:6] == ["a", "3", "4", "7", "5.6", "2"]
    assert found[6:11] == [""] * 5
    assert found[11:16] == ["Max", "max@sample.example", "First paragraph. Second.", "GPL", "1"]
    assert found[16:22] == ["System", "The OPKG a", "", "included", "", ""]
    assert found[22].split('","')[0] == "http://host.example/top/pool/opkg-a.deb"
    assert found[23:] == ["mpi", "package", 'b","c', 'package","package', "", ""]


def test_a_short_version_has_empty_fields() -> None:
    each = offer("a", "3-7")
    assert fields(older.package_line(known(each), [each]))[1:6] == ["3", "", "7", "", "0"]


def test_a_quote_in_a_text_ends_no_field() -> None:
    each = offer("a", "1-1", summary='a ":" b\nc')
    assert len(fields(older.package_line(known(each), [each]))) == 29


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no XML"),
        ("<site>", "no XML"),
        ("<a/>", "names no site"),
        ("<a><site><uri>http://x.example</uri></site></a>", "lacks its name or its uri"),
        ("<a><site><name>x</name><uri/></site></a>", "lacks its name or its uri"),
        ('<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "no DOCTYPE"),
        ('<!DOCTYPE a SYSTEM "/etc/passwd"><a/>', "no DOCTYPE"),
    ],
)
def test_what_is_no_master_list_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.xml").write_text(text)
    with pytest.raises(OpkgError, match=said):
        older.read_master(tmp_path / "list.xml")


@pytest.mark.slow
def test_of_a_master_list_only_what_has_a_key_is_trusted(
    alone: Opd, published: Repository, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "oscar_repositories.xml"
    path.write_text(LIST.format(url=url))
    done = alone.run("repo", "import", path, "--root-key", f"Our-Site={published.fingerprint}")
    assert "Our-Site: verified" in done.err
    assert "elsewhere: not trusted" in done.err
    row = next(row for row in alone.json("repo", "list") if row["name"] == "Our-Site")
    assert (row["url"], row["channel"]) == (url.rstrip("/"), "stable")
    assert row["mirrors"] == ["http://copy.example/tree"]
    done = alone.run("repo", "import", path, "--root-key", "nowhere=1", status=1)
    assert "Our-Site, elsewhere" in done.err
    alone.run("repo", "import", path, "--root-key", "nowhere", status=2)


@pytest.mark.slow
def test_repositories_and_packages_are_printed_as_of_old(alone: Opd, url: str) -> None:
    lines = [fields(line) for line in alone.run("repo", "list", "--parsable").out.splitlines()]
    assert [line[2] for line in lines] == [url.rstrip("/")]
    lines = [fields(line) for line in alone.run("list", "--parsable").out.splitlines()]
    assert [line[0] for line in lines] == [row["name"] for row in alone.json("list")]
    assert {len(line) for line in lines} == {29}


@pytest.mark.slow
def test_what_was_done_to_repositories_is_told_to_programs(
    alone: Opd, published: Repository, url: str, tmp_path: Path
) -> None:
    added = alone.json("repo", "add", url, "--root-key", published.fingerprint, "--name", "more")
    updated = alone.json("update")
    names = [row["name"] for row in alone.json("list")]
    assert [row["opkgs"] for row in (added, *updated)] == [names] * 3
    assert added["generation"] == updated[0]["generation"] > 0
    assert alone.json("repo", "remove", "more")["name"] == "more"
    assert [row["name"] for row in updated] == ["more", alone.json("repo", "list")[0]["name"]]

    fetched = alone.json("download", names[0], "-o", tmp_path / "files")
    assert {Path(row["path"]).stat().st_size == row["size"] for row in fetched} == {True}
