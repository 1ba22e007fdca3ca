# SPDX-License-Identifier: GPL-2.0-or-later
"""The shape of the project: who may import whom, and what the code does not know."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PROGRAMS = ("builder", "repo_server", "opd")
PACKAGES = ("opkg", *PROGRAMS)
MODULES = sorted(path for package in PACKAGES for path in (TOP / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where things come from"
            yield node.module or ""


def _top_level(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in _imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TOP)))
def test_programs_meet_only_in_files(path: Path) -> None:
    package = path.relative_to(TOP).parts[0]
    allowed = {package, "opkg"} - ({"tests"} if package == "opkg" else set())
    assert not _top_level(path) & {*PACKAGES, "tests"} - allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TOP)))
def test_processes_are_started_in_one_place(path: Path) -> None:
    starters = {"subprocess", "pty", "multiprocessing"}
    assert path == TOP / "opkg/run.py" or not _top_level(path) & starters
    calls = re.findall(r"\bos\.(?:system|popen|exec\w*|spawn\w*|fork)\b", path.read_text())
    assert not calls


def test_the_shared_language_opens_no_connection() -> None:
    network = {"requests", "urllib3", "socket", "http", "flask", "tuf", "boto3", "botocore"}
    # But for the buckets that builder and server keep their files in.
    for path in {*(TOP / "opkg").rglob("*.py")} - {TOP / "opkg/bucket.py"}:
        assert not _top_level(path) & network, path


def test_roots_are_handled_without_a_word_of_what_is_done_in_them() -> None:
    own = {"opkg.errors", "opkg.files", "opkg.run", "opkg.target"}
    for path in (TOP / "opkg/native").glob("*.py"):
        ours = {name for name in _imports(path) if name.startswith("opkg.")}
        assert {name for name in ours if not name.startswith("opkg.native")} <= own, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TOP)))
def test_no_code_knows_an_opkg(path: Path) -> None:
    names = {folder.name for folder in (TOP / "opkg_specs").iterdir() if folder.is_dir()}
    words = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    # A whole string that is an OPKG's name would be a decision about that OPKG; “opd” is also
    # the name of our own program, “base” a class of OPKGs, and “apitest” the program of a format.
    assert not words & (names | {"kerrighed"}) - {"opd", "oda", "base", "apitest"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TOP)))
def test_no_code_decides_by_a_distribution(path: Path) -> None:
    table = tomllib.loads((TOP / "opkg/targets.toml").read_text())["distributions"]
    suites = {row["suite"] for row in table.values() if row["family"] == "deb"}
    compats = {row["compat"] for row in table.values()}
    words = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not words & (set(table) | suites | (compats - {"debian"}))


def test_every_source_states_its_licence() -> None:
    sources = [*MODULES, *(TOP / "tests").rglob("*.py"), *(TOP / "bench").rglob("*.py")]
    for path in sources:
        text = path.read_text()
        assert not text or text.startswith("# SPDX-License-Identifier: GPL-2.0-"), path


def test_the_project_names_no_registry() -> None:
    hosts = re.compile(r"deb\.debian\.org|pypi\.org|files\.pythonhosted|registry\.npmjs")
    for path in TOP.rglob("*"):
        parts = path.relative_to(TOP).parts
        if parts[0] in (".git", ".venv", "demo") or path == Path(__file__) or not path.is_file():
            continue
        if (
            path.suffix in (".py", ".toml", ".md", ".xml", ".html", ".sh")
            or path.name == "Makefile"
        ):
            assert not hosts.search(path.read_text(errors="replace")), path
