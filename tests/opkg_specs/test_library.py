# SPDX-License-Identifier: GPL-2.0-or-later
"""What is true of every OPKG of the library."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from builder.stage import assign
from opkg.config_xml import read_config
from opkg.recipe import NAME
from opkg.recipe_reader import read_recipe
from tests.opkg_specs.conftest import C3_SOURCE, staged
from tests.opkg_specs.running import SPECS, needs_root, options_in, options_of, ran

OPKGS = sorted(path.parent.name for path in SPECS.glob("*/config.xml"))
# The order of elements and the licences are those of the schema that the files were always
# checked with (opkg.xsd); the last one is the way in which a licence is named today.
ORDER = (
    "name", "class", "summary", "description", "license", "group", "uri", "authors", "filters",
    "provides", "conflicts", "requires", "serverDeps", "clientDeps", "commonDeps", "apiDeps",
    "changelog",
)  # fmt: skip
RELATIONS_ORDER = ("provides", "conflicts", "requires", "suggests")
LICENCES = (
    "GPL", "LGPL", "PBS license (see PBS_License.txt)", "Freely distributable", "Maui license",
    "BSD", "SISSL", "GPL-2.0-or-later",
)  # fmt: skip
FORM_TAGS = ("h1", "h2", "h3", "b", "i", "center", "br", "hr", "p", "form", "input")

pytestmark = pytest.mark.parametrize("name", OPKGS)


def in_order(tags: list[str], order: tuple[str, ...]) -> bool:
    return tags == sorted(tags, key=order.index)


def test_config_xml_is_read_without_a_warning(name: str) -> None:
    opkg, warnings = read_config(SPECS / name / "config.xml")
    assert warnings == ()
    assert opkg.name == name


def test_config_xml_keeps_to_the_old_schema(name: str) -> None:
    root = etree.parse(SPECS / name / "config.xml").getroot()
    assert in_order([str(node.tag) for node in root.iterchildren("*")], ORDER)
    assert root.findtext("license") in LICENCES
    for section in root.xpath("serverDeps|clientDeps|commonDeps|apiDeps"):
        assert in_order([str(node.tag) for node in section.iterchildren("*")], RELATIONS_ORDER)
    for entry in root.iter("changelogEntry"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", entry.get("date"))
    for author in root.iter("author"):
        assert [str(node.tag) for node in author] == ["name", "email"]


def test_the_configurator_has_what_a_configurator_may_have(name: str) -> None:
    path = SPECS / name / "configurator.html"
    if not path.exists():
        return
    root = etree.parse(path).getroot()
    form = root.find("body/form")
    assert form is not None
    assert {str(node.tag) for node in form.iterdescendants("*")} <= set(FORM_TAGS)
    orders = [int(node.get("order")) for node in form.iterdescendants("p", "input")]
    assert orders == sorted(set(orders))
    assert all(node.get("name") and node.text.strip() for node in form.iterdescendants("input"))


@pytest.mark.parametrize("target", ["debian-12", "rocky-9", "opensuse-leap-16"])
def test_every_file_that_the_recipe_installs_is_in_one_package(
    name: str, target: str, tmp_path: Path
) -> None:
    recipe = read_recipe(SPECS / name)
    if recipe is not None and not needs_root(name):
        parts = assign(recipe, staged(name, tmp_path, target), SPECS / name / NAME)
        assert all(part.files for part in parts)


def test_an_opkg_tells_what_it_is_and_tests_itself(name: str) -> None:
    directory = SPECS / name
    assert (directory / "doc/user.md").read_text().startswith(f"# {name}: ")
    assert (directory / "doc/COPYING").read_text().lstrip().startswith("GNU GENERAL PUBLIC LICENSE")
    assert (directory / "testing/test_root").stat().st_mode & 0o111
    listed = (SPECS.parent / "docs/library.md").read_text()
    assert re.search(rf"^\| ([a-z0-9-]+, )*{name}(, [a-z0-9-]+)* \|", listed, re.MULTILINE)


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_scripts_and_tests_can_be_run(name: str) -> None:
    found = files(SPECS / name / "scripts") + files(SPECS / name / "testing")
    programs = [path for path in found if path.read_bytes().startswith(b"#!")]
    assert programs
    assert [path for path in programs if not path.stat().st_mode & 0o111] == []
    assert set(found) - set(programs) <= set(files(SPECS / name / "testing"))  # data of tests


def test_programs_are_sound_for_the_shell_or_python_that_runs_them(
    name: str, stage: Callable[[str], Path]
) -> None:
    has_stage = (SPECS / name / NAME).exists() and not needs_root(name)
    installed = files(stage(name)) if has_stage else []
    for path in [*files(SPECS / name / "scripts"), *files(SPECS / name / "testing"), *installed]:
        if not path.stat().st_mode & 0o111:
            continue
        text = path.read_text()
        assert "SPDX-License-Identifier: GPL-2.0-or-later" in text
        if text.startswith("#!/bin/sh\n"):
            for shell in ("dash", "bash"):
                assert ran([shell, "-n", path]).err == ""
        else:
            assert re.match(r"#!/usr/bin/python3( -\w+)?\n", text), path
            ast.parse(text, feature_version=(3, 9))


def test_python_modules_are_python_3_9(name: str) -> None:
    for path in (SPECS / name).rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


def test_the_manual_has_just_the_options_that_there_are(
    name: str, stage: Callable[[str], Path]
) -> None:
    for page in sorted((SPECS / name).glob("src/**/*.1")):
        if needs_root(name):
            continue  # test_compiled.py
        command = stage(name) / "usr/bin" / page.stem
        is_shell = command.read_text().startswith("#!/bin/sh")
        program = ["/bin/sh"] if is_shell else [sys.executable, "-B"]
        shown = ran([*program, command, "--help"], env={"PYTHONPATH": str(C3_SOURCE)})
        assert shown.status == 0, shown.err
        assert options_of(page) == options_in(shown.out), page.name
