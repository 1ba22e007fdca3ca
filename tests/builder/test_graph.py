# SPDX-License-Identifier: GPL-2.0-or-later
"""Recipes that need what other recipes of the run make."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lxml import etree

from tests.builder.conftest import Link, Write, opkgc, results, words_in
from tests.builder.test_roots import BUILDING
from tests.lab.standin import KEY_FILE, standin_repository

DEB = "debian-12-x86_64"


def chain(link: Link) -> list[Path]:
    """Three OPKGs, each built with the one before; and one beside them."""
    return [link("third", ["second"]), link("second", ["first"]), link("first"), link("beside")]


def statuses(*words: str | Path) -> dict[str, str]:
    done = opkgc("build", *words, "-t", "debian-12", "--json")
    return {row["opkg"]: row["status"] for row in results(done.stdout)}


def plan(*words: str | Path) -> dict[str, str]:
    done = opkgc("plan", *words, "-t", "debian-12", "--json")
    return {row["opkg"]: row["action"] for row in json.loads(done.stdout)}


@pytest.mark.slow
def test_what_changed_is_built_again_with_what_used_it(link: Link, tmp_path: Path) -> None:
    sources, out = chain(link), tmp_path / "out"
    assert set(statuses(*sources, "-o", out).values()) == {"built"}
    assert words_in(out, "third") == ["third", "second", "first"]
    assert set(statuses(*sources, "-o", out).values()) == {"unchanged"}
    (sources[1] / "src/words").write_text("changed\n")
    expected = {"third": "built", "second": "built", "first": "unchanged", "beside": "unchanged"}
    planned = {"built": "build", "unchanged": "unchanged"}
    assert plan(*sources, "-o", out) == {name: planned[word] for name, word in expected.items()}
    assert statuses(*sources, "-o", out) == expected
    assert words_in(out, "third") == ["third", "changed", "first"]


@pytest.mark.slow
def test_what_a_package_requires_is_taken_from_the_run_too(link: Link, tmp_path: Path) -> None:
    """The last one requires `near` alone for building; that is installed only with `far`."""
    out = tmp_path / "out"
    last = link("last", ["near"], step="cat /usr/share/far/words >> words")
    statuses(last, link("near", installed=["far"]), link("far"), "-o", out)
    assert words_in(out, "last") == ["last", "far", "near"]


@pytest.mark.slow
def test_a_failure_stops_only_what_needs_it(link: Link, tmp_path: Path) -> None:
    sources = [link("third", ["second"]), link("second", ["first"]), link("beside")]
    first = link("first", step="echo this is why; false")
    done = opkgc(
        "build", *sources, first, "-t", "debian-12", "-o", tmp_path / "out", "--json", check=False
    )
    assert done.returncode == 1
    assert {row["opkg"]: row["status"] for row in results(done.stdout)} == {
        "first": "failed", "second": "not built", "third": "not built", "beside": "built",
    }  # fmt: skip
    assert "not built  second 1.0-1  debian-12-x86_64  for want of first" in done.stderr
    ending = done.stderr[done.stderr.index("beside 1.0-1") :]
    assert "  | this is why" in ending
    assert f"all logs: {tmp_path}/out/{DEB}/logs/first" in ending
    assert "1 built, 1 failed, 2 not built" in ending


def test_a_circle_is_named(link: Link, tmp_path: Path) -> None:
    sources = [link("one", ["two"]), link("two", ["three"]), link("three", ["one"]), link("beside")]
    done = opkgc("build", *sources, "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    said = done.stderr.splitlines()[0].partition(f"for {DEB}: ")[2].split(" needs ")
    assert said[0] == said[-1]
    assert set(itertools.pairwise(said)) == {
        ("one", "two"), ("two", "three"), ("three", "one"),
    }  # fmt: skip
    assert not list(tmp_path.glob("out/*/*.deb"))


@pytest.mark.slow
def test_nothing_is_installed_on_this_machine(link: Link, tmp_path: Path) -> None:
    words = ("-t", "debian-12", "--root", "host", "-o", tmp_path / "out")
    done = opkgc("build", link("second", ["first"]), link("first"), *words, check=False)
    assert done.returncode == 1
    assert "second is built with packages of first" in done.stderr
    assert "without --root host" in done.stderr


def test_two_opkgs_of_one_name_are_refused(opkg: Write, tmp_path: Path) -> None:
    sources = [opkg("same", where=tmp_path / place) for place in ("one", "two")]
    done = opkgc("build", *sources, "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert f"two OPKGs are called same: {sources[0]} and {sources[1]}" in done.stderr


@pytest.mark.slow
def test_a_plan_says_what_waits_for_what(link: Link, tmp_path: Path) -> None:
    sources, drawing = chain(link), tmp_path / "plan.svg"
    words = ("-t", "debian-12", "-t", "debian-13", "-o", tmp_path / "out")
    rows = {row["id"]: row for row in json.loads(opkgc("plan", *sources, *words, "--json").stdout)}
    assert len(rows) == 8
    assert rows[f"{DEB}/third"]["needs"] == [f"{DEB}/second"]
    assert rows[f"{DEB}/beside"]["needs"] == []
    assert len({row["key"] for row in rows.values()}) == 8
    assert ["build", "4", "second"] in [
        line.split()[3:] for line in opkgc("plan", *sources, *words).stdout.splitlines()
    ]
    opkgc("plan", *sources, *words, "--svg", drawing)
    space = "{http://www.w3.org/2000/svg}"
    tree = etree.parse(drawing)
    assert len(tree.findall(f".//{space}path[@marker-end]")) == 4
    texts = [each.text for each in tree.iter(f"{space}text")]
    assert texts.count("second") == 2
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(link: Link, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sources = [link("quick"), link("slow", step="while [ ! -s words ]; do sleep 0.05; done")]
    (sources[1] / "src/words").write_text("")
    argv = [sys.executable, "-m", "builder", "build", *sources, "-t", "debian-12", "-o", out]
    with subprocess.Popen([*argv, "-j", "2"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("built"):
                break
        while not list(out.glob("*/logs/slow/1-install.log")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    (sources[1] / "src/words").write_text("slow\n")
    quick = next(out.glob("*/quick-data_*.deb")).stat().st_mtime_ns
    assert list(out.glob("*/.build-*"))
    assert statuses(*sources, "-o", out) == {"quick": "unchanged", "slow": "built"}
    assert next(out.glob("*/quick-data_*.deb")).stat().st_mtime_ns == quick
    assert not list(out.glob("*/.build-*"))


@pytest.mark.slow
def test_rpms_of_the_run_are_installed_too(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, table = standin_repository(BUILDING), tmp_path / "targets.toml"
    table.write_text(
        f'[distributions.demo-rpm-9]\nmirrors = [{{ name = "demo", url = "file://{repository}", '
        f'key = "file://{repository / KEY_FILE}" }}]\n'
    )
    monkeypatch.setenv("OPKG_TARGETS", str(table))
    last = link("last", ["near"], step="cat /usr/share/far/words >> words")
    sources = [last, link("near", installed=["far"]), link("far")]
    opkgc("build", *sources, "-t", "demo-rpm", "-o", tmp_path / "out")
    rpm = next(tmp_path.glob("out/*/last-data-*.rpm"))
    cpio = subprocess.run(["rpm2cpio", rpm], capture_output=True, check=True).stdout
    assert b"last\nfar\nnear\n" in cpio
