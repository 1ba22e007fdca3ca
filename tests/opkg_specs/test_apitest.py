# SPDX-License-Identifier: GPL-2.0-or-later
"""apitest: which tests pass, in which order they run, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from tests.opkg_specs.running import SPECS, Ran, ran

APITEST = SPECS / "apitest/src/apitest"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(path: Path, command: str, outputs: str = "", attributes: str = "") -> None:
    path.write_text(
        f"<testDef><shortDescription>about {path.stem}</shortDescription>"
        f'<test type="cmd"><command {attributes}>{command}</command>{outputs}</test></testDef>'
    )


def batch(path: Path, *deps: str) -> None:
    path.write_text(f"<testBatch>{''.join(f'<dep {dep}/>' for dep in deps)}</testBatch>")


def apitest(path: Path, *words: str | Path) -> Ran:
    return ran([APITEST, *words, "-f", path])


def output(name: str, expected: str, form: str = "") -> str:
    return f'<output name="{name}" {form}><expected>{expected}</expected></output>'


@pytest.mark.parametrize(
    ("command", "outputs", "passes"),
    [
        ("true", "", True),
        ("false", "", False),
        ("echo one two", output("stdout", "^one t.o$"), True),
        ("echo one two", output("stdout", "one", 'format="literal"'), False),
        ("echo '  a+b '", output("stdout", "a+b", 'format="literal"'), True),
        ("echo oops &gt;&amp;2", output("stderr", "oops"), True),
        ("echo oops &gt;&amp;2", output("stderr", "", 'format="literal"'), False),
        ("exit 3", output("status", "3"), True),
        ("exit 13", output("status", "3"), False),
        ("echo yes; exit 1", output("stdout", "yes"), True),
    ],
)
def test_a_test_passes_when_all_is_as_expected(
    folder: Path, command: str, outputs: str, passes: bool
) -> None:
    write(folder / "one.apt", command, outputs)
    done = apitest(folder / "one.apt")
    assert done.status == (0 if passes else 1)
    assert done.out.startswith("PASSED" if passes else "FAILED")
    assert "about one" in done.out


def test_what_was_expected_and_what_came_are_told(folder: Path) -> None:
    write(
        folder / "one.apt", "echo hello; exit 2", output("stdout", "^bye") + output("status", "0")
    )
    told = apitest(folder / "one.apt").out
    assert "stdout: expected what matches “^bye”, found “hello”" in told
    assert "status: expected “0”, found “2”" in told


def test_a_command_runs_in_the_folder_that_is_named_relative_to_the_file(folder: Path) -> None:
    (folder / "programs").mkdir()
    (folder / "tests").mkdir()
    write(folder / "tests/one.apt", "pwd", output("stdout", "/programs$"), 'wdir="../programs"')
    assert apitest(folder / "tests/one.apt").status == 0
    write(folder / "tests/two.apt", "pwd", "", 'wdir="../nowhere"')
    assert "No such file or directory" in apitest(folder / "tests/two.apt").out


def test_a_test_for_another_system_is_skipped(folder: Path) -> None:
    write(folder / "one.apt", "false", "", 'uname="AIX"')
    done = apitest(folder / "one.apt")
    assert done.out.startswith("SKIPPED")
    assert done.err == "0 passed, 0 failed, 1 skipped\n"


def test_a_batch_runs_parents_first_and_each_test_once(folder: Path) -> None:
    for name in ("a", "b", "c"):
        write(folder / f"{name}.apt", f"echo {name} &gt;&gt; order")
    batch(folder / "inner.apb", 'parent="a.apt" child="b.apt"')
    batch(folder / "all.apb", 'child="c.apt" parent="inner.apb"', 'child="a.apt"')
    done = apitest(folder / "all.apb")
    assert (done.status, done.err) == (0, "3 passed, 0 failed, 0 skipped\n")
    assert (folder / "order").read_text().split() == ["a", "b", "c"]


def test_a_child_whose_parent_must_pass_is_skipped_after_a_failure(folder: Path) -> None:
    write(folder / "fails.apt", "false")
    write(folder / "next.apt", "touch ran")
    batch(folder / "must.apb", 'parent="fails.apt" child="next.apt" mustPass="true"')
    done = apitest(folder / "must.apb")
    assert (done.status, done.err) == (1, "0 passed, 1 failed, 1 skipped\n")
    assert not (folder / "ran").exists()
    batch(folder / "may.apb", 'parent="fails.apt" child="next.apt"')
    assert apitest(folder / "may.apb").status == 1
    assert (folder / "ran").exists()


def test_results_are_written_for_readers_of_junit(folder: Path) -> None:
    write(folder / "good.apt", "true")
    write(folder / "bad.apt", r"printf 'a\001&lt;b'", output("stdout", "c"))
    batch(folder / "all.apb", 'child="good.apt"', 'child="bad.apt"')
    assert apitest(folder / "all.apb", "--junit", folder / "out.xml").status == 1
    suite = etree.parse(folder / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == "stdout: expected what matches “c”, found “a\ufffd<b”"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<testDef>", "not well-formed"),
        ("", "not well-formed"),
        ("<other/>", "<other> is neither <testDef> nor <testBatch>"),
        ("<testDef/>", 'there is no <test type="cmd"> with a <command>'),
        ('<!DOCTYPE a [<!ENTITY b "c">]><testDef>&b;</testDef>', "declares a document type"),
        ("<testBatch><dep parent='a.apt'/></testBatch>", "<dep> has no attribute child"),
        ("<testBatch><dep child='gone.apt'/></testBatch>", "gone.apt: No such file"),
        ("<testBatch><dep child='it.apb'/></testBatch>", "batches that name one another"),
        (
            (
                "<testDef><test type='cmd'><command>true</command>"
                "<output name='stdout'><expected>(</expected></output></test></testDef>"
            ),
            "“(” is no pattern",
        ),
        (
            (
                "<testDef><test type='cmd'><command>true</command>"
                "<output name='log'><expected/></output></test></testDef>"
            ),
            "<output> is of “log”, not of stdout, stderr, status",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name(
    folder: Path, text: str, told: str
) -> None:
    path = folder / "it.apb"
    path.write_text(text)
    done = apitest(path)
    assert done.status == 1
    assert told in done.err
    assert str(folder) in done.err
    assert "Traceback" not in done.err
