# SPDX-License-Identifier: GPL-2.0-or-later
"""oda: what it says of a database that OPD itself has written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opd.oda import Change, Image, Repository, ScriptRun
from opd.state import State
from tests.opkg_specs.running import SPECS, Ran, ran

PROGRAM = SPECS / "oda/src/oda"


def run_of(phase: str, status: int, *, undone: bool = False) -> ScriptRun:
    return ScriptRun(
        transaction_id=1, place="headnode", opkg="c3", version="6.0-1", phase=phase, script=phase,
        status=status, undone=undone, started="2026-11-22T12:00:00+00:00", output="",
    )  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a folder" / "oda.sqlite"
    oda = State.open(path.parent).oda
    when = "2026-11-22T12:00:00+00:00"
    for name in ("compute", "big"):
        oda.save(Image(name=name, target="debian-12-x86_64", path=f"/i/{name}", created=when))
    oda.save(Repository(name="here", url="http://x", channel="stable", root_sha256="0" * 64))
    one = oda.begin("opd install c3\tnow\nand then")
    oda.add(
        Change(transaction_id=one, place="headnode", package="c3", before="", after="1"),
        Change(transaction_id=one, place="compute", package="rsync", before="", after="3"),
        Change(transaction_id=one, place="headnode", package="c3", before="1", after="2"),
        Change(transaction_id=one, place="compute", package="rsync", before="3", after=""),
        run_of("api-post-image", 0), run_of("api-post-image", 1), run_of("api-post-clientdef", 1),
        run_of("api-post-clientdef", 0), run_of("api-post-deploy", 0, undone=True),
    )  # fmt: skip
    oda.end(one, outcome="done")
    return path


def ask(database: Path, *words: str) -> Ran:
    return ran(["/usr/bin/python3", "-I", "-B", PROGRAM, "-d", database, *words])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["images"], "big\t/i/big\ncompute\t/i/compute\n"),
        (["-f", "images"], "name\tpath\nbig\t/i/big\ncompute\t/i/compute\n"),
        (["repositories"], "here\thttp://x\n"),
        (["packages"], "headnode\tc3\t2\n"),
        (["phases"], "headnode\tc3\tapi-post-clientdef\n"),
        (["read_records", "images.path", "name=compute"], "/i/compute\n"),
        (["read_records", "images.path", "images.name", "name!=big"], "/i/compute\tcompute\n"),
        (["read_records", "images.name", "name=' OR 1=1"], ""),
        (["read_records", "transactions.command", "id=1"], "opd install c3\\tnow\\nand then\n"),
        (["list_fields", "repositories"], "repositories\tname\nrepositories\turl\n"),
    ],
)
def test_what_is_asked_is_told_in_lines(database: Path, words: list[str], told: str) -> None:
    done = ask(database, *words)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(told)
    assert done.out == told or words[0] == "list_fields"


def test_objects_are_told_as_json(database: Path) -> None:
    rows = json.loads(ask(database, "--json", "packages").out)
    assert rows == [{"place": "headnode", "package": "c3", "version": "2"}]


def test_all_tables_are_listed(database: Path) -> None:
    listed = set(ask(database, "list_tables").out.split())
    assert {"changes", "images", "repositories", "script_runs", "transactions"} <= listed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["read_records"], "read_records wants a table"),
        (["read_records", "naught"], "there is no table naught; there are: "),
        (["read_records", "images.naught"], "there is no field naught; there are: name, "),
        (["read_records", "images", "naught=1"], "there is no field naught"),
        (["read_records", 'images"; DROP TABLE images'], "there is no table images"),
        (["read_records", "images", "changes"], "one table at a time: changes, images"),
        (["frobnicate"], "there is no command frobnicate"),
        (["images", "compute"], "images takes no words: compute"),
    ],
)
def test_what_cannot_be_answered_is_refused(database: Path, words: list[str], told: str) -> None:
    before = database.read_bytes()
    done = ask(database, *words)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("oda: ")
    assert told in done.err
    assert database.read_bytes() == before


def test_it_reads_while_somebody_writes(database: Path) -> None:
    with State.open(database.parent).oda.session() as session:
        session.add(Image(name="new", target="t", path="/i/new", created="now"))
        session.flush()
        assert ask(database, "images").out == "big\t/i/big\ncompute\t/i/compute\n"


@pytest.mark.parametrize("text", [None, "no database at all" * 100])
def test_a_database_that_is_none_is_told(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "oda.sqlite"
    if text is not None:
        path.write_text(text)
    done = ask(path, "images")
    assert done.status == 1
    assert str(path) in done.err
    assert "Traceback" not in done.err
    assert path.exists() == (text is not None)
