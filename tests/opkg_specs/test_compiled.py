# SPDX-License-Identifier: GPL-2.0-or-later
"""The library's programs in C and C++, compiled here; tests/builder/test_roots.py has them as
packages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.opkg_specs.running import SPECS, options_in, options_of, ran

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodelist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("nodelist") / "nodelist"
    source = SPECS / "nodelist/src"
    flags = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", '-DPACKAGE_VERSION="1.0"', "-Werror", "-Wall"]
    # What reads or writes where it should not ends the program, with a status of its own.
    flags += ["-Wextra", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    argv = ["gcc", *flags, source / "main.c", source / "nodelist.c", "-o", program]
    subprocess.run(argv, check=True)
    return program


@pytest.fixture(scope="module")
def nodebench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("nodebench") / "nodebench"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", '-DVERSION="1.0"', "-pthread"]
    source = SPECS / "nodebench/src/nodebench.cpp"
    subprocess.run(["g++", *flags, source, "-o", program], check=True)
    return program


def said(program: Path, *words: str, stdin: str = "") -> str:
    env = {"ASAN_OPTIONS": "detect_leaks=0"}  # a program that ends keeps its memory to itself
    done = ran([program, *words], input=stdin, env=env)
    assert done.status == 0, done.err
    return done.out


@pytest.mark.parametrize(
    ("text", "names", "folded"),
    [
        ("node[1-3,7]", "node1 node2 node3 node7", "node[1-3,7]"),
        ("node[08-10]", "node08 node09 node10", "node[08-10]"),
        ("b10, b9 b09,b9", "b09 b9 b10", "b[9,09-10]"),
        ("node[98-101]", "node98 node99 node100 node101", "node[98-101]"),
        ("r[1-2]n[1-2]-ib", "r1n1-ib r1n2-ib r2n1-ib r2n2-ib", "r1n[1-2]-ib,r2n[1-2]-ib"),
        ("n1 n1-ib n2 n2-ib head", "head n1 n1-ib n2 n2-ib", "head,n[1-2],n[1-2]-ib"),
        ("1234567890123456789 12", "12 1234567890123456789", "12,1234567890123456789"),
        (",, ,", "", ""),
    ],
)
def test_lists_are_written_out_and_folded(
    nodelist: Path, text: str, names: str, folded: str
) -> None:
    assert said(nodelist, text).split() == names.split()
    assert said(nodelist, "--fold", text).strip() == folded
    assert said(nodelist, "--count", "-", stdin=f"{text}\n").strip() == str(len(names.split()))
    assert said(nodelist, folded) == said(nodelist, text)


def test_nodes_are_left_out_and_separated(nodelist: Path) -> None:
    assert said(nodelist, "-s,", "-x", "n2", "-x", "n[4-9]", "n[1-5]") == "n1,n3\n"
    assert said(nodelist, "--count", "n[1-200]-[1-200]x") == "40000\n"


@pytest.mark.parametrize(
    "text",
    ["n[1-3", "n[3-1]", "n[]", "n[1,]", "n[-1]", "n[1-]", "n]", "n[a]", "a/b", "n[1]]", "n" * 254],
)
def test_what_is_no_list_is_refused(nodelist: Path, text: str) -> None:
    done = ran([nodelist, text], env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert done.status == 1
    assert f"nodelist: {text}: this is no list of nodes" in done.err


def test_a_list_has_so_many_nodes_and_no_more(nodelist: Path) -> None:
    for text in ("n[1-1000001]", "n[1-1001]a[1-1000]", "n[0-999999999999999]"):
        done = ran([nodelist, text], env={"ASAN_OPTIONS": "detect_leaks=0"})
        assert done.status == 1
        assert "more nodes than a list can have" in done.err


def test_the_manuals_have_just_the_options_that_there_are(nodelist: Path, nodebench: Path) -> None:
    for program in (nodelist, nodebench):
        page = SPECS / program.name / "src" / f"{program.name}.1"
        assert options_of(page) == options_in(said(program, "--help"))


def test_a_machine_is_measured(nodebench: Path) -> None:
    short = ("--seconds", "0.02", "--megabytes", "1", "--threads", "3")
    found = json.loads(said(nodebench, "--json", *short))
    assert found["threads"] == 3
    assert found["gflops"] > 0
    assert found["memory_gb_per_s"] > 0
    assert ": 3 threads, " in said(nodebench, *short)


@pytest.mark.parametrize(
    "words", [["--threads", "0"], ["-s", "x"], ["-t", "4096", "-m", "65536"], ["more"]]
)
def test_what_cannot_be_measured_is_refused(nodebench: Path, words: list[str]) -> None:
    done = ran([nodebench, *words])
    assert (done.status, done.out) == (2, "")
    assert done.err


def test_the_header_is_good_for_c_plus_plus(tmp_path: Path) -> None:
    program = '#include "nodelist.h"\nint main() { return nodelist_new() == nullptr; }\n'
    (tmp_path / "main.cpp").write_text(program)
    argv = ["g++", "-Wall", "-Werror", "-fsyntax-only", "-I", SPECS / "nodelist/src"]
    subprocess.run([*argv, tmp_path / "main.cpp"], check=True)
