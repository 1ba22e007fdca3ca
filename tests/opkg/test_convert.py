# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc convert: an older generation becomes the current one, and means the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from opkg.config_write import config_text
from opkg.config_xml import read_config
from opkg.convert import KEPT, convert
from opkg.directory import read_opkg
from opkg.errors import OpkgError
from opkg.generation import Generation, generation
from opkg.spec import Opkg
from opkg.xml_file import read_xml
from tests.opkg.older_documents import ALL, RPMLIST, documents

# Files of an OPKG of old, by path; all but RPMS and SRPMS go into packages.
FILES = {
    "scripts/setup": "#!/bin/sh\necho setup\n",
    "scripts/post_clients": "#!/bin/sh\necho clients\n",
    "scripts/post_install": "#!/usr/bin/perl\nprint 1;\n",
    "scripts/helper.pl": "#!/usr/bin/perl\nprint 1;\n",
    "doc/README": "Read me.\n",
    "doc/deep/more.txt": "More.\n",
    "testing/test_root": "#!/bin/sh\n",
    "testing/data/a": "a\n",
    "configurator.html": "<html/>\n",
    "names.toml": '[clock]\ndeb = "clock-bin"\n',
    "RPMS/clock-1.0.i386.rpm": "an rpm\n",
    "SRPMS/build.cfg": "[*:*:*]\n",
}
RENAMED = {
    "setup": "api-post-install",
    "post_clients": "api-post-clientdef",
    "post_install": "api-post-deploy",
}
Old = Callable[[str], Path]


@pytest.fixture
def old(tmp_path: Path) -> Old:
    """Makes a whole OPKG of a generation."""

    def make(kind: str) -> Path:
        folder = tmp_path / "packages" / "clock"
        for path, text in FILES.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "config.xml").write_bytes(ALL[kind])
        (folder / "scripts" / "setup").chmod(0o755)
        return folder

    return make


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All that a folder holds: bytes and modes by path."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }


def meaning(folder: Path) -> Opkg:
    """What an OPKG is read as, wherever it stands and however its files are called there."""
    opkg, _ = read_opkg(folder)
    files = [replace(file, origin=Path(file.path)) for file in opkg.files]
    return replace(opkg, files=tuple(sorted(files, key=lambda file: (file.role, file.path))))


def opkgc(*words: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "builder", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["in place", "-o"])
def test_a_converted_opkg_means_what_it_meant(
    old: Old, tmp_path: Path, kind: str, elsewhere: bool
) -> None:
    folder = old(kind)
    before, files = meaning(folder), content(folder)
    out = tmp_path / "deep" / "elsewhere" if elsewhere else None
    done = convert(folder, out)
    assert meaning(out or folder) == before
    assert before.name == "clock"
    root, _ = read_xml((out or folder) / "config.xml")
    assert generation(root) is Generation.CURRENT
    assert done.renamed == RENAMED
    assert (content(folder) == files) == elsewhere


@pytest.mark.parametrize("kind", ALL)
def test_nothing_but_config_and_the_names_of_scripts_changes(old: Old, kind: str) -> None:
    folder = old(kind)
    before = content(folder)
    convert(folder)
    after = content(folder)
    assert after.pop(KEPT)[0] == ALL[kind]
    for name, today in RENAMED.items():
        before[f"scripts/{today}"] = before.pop(f"scripts/{name}")
    del before["config.xml"], after["config.xml"]
    assert after == before


@pytest.mark.parametrize("kind", ALL)
def test_converting_twice_changes_nothing(old: Old, tmp_path: Path, kind: str) -> None:
    folder = old(kind)
    convert(folder)
    once = content(folder)
    done = convert(folder)
    assert content(folder) == once
    assert (done.generation, done.renamed) == (Generation.CURRENT, {})
    convert(folder, tmp_path / "again")
    assert content(tmp_path / "again") == once


@pytest.mark.parametrize("kind", ALL)
def test_what_is_written_is_valid_and_read_without_a_warning(
    old: Old, schema: etree.XMLSchema, kind: str
) -> None:
    folder = old(kind)
    told = convert(folder).warnings
    schema.assertValid(etree.parse(folder / "config.xml"))
    _, warnings = read_opkg(folder)
    assert {warning.message for warning in warnings} <= {warning.message for warning in told}
    assert not warnings


def test_an_opkg_of_today_with_scripts_of_old_keeps_its_config(old: Old) -> None:
    folder = old("bpl")
    convert(folder)
    (folder / KEPT).unlink()
    (folder / "scripts" / "api-post-image").write_text("#!/bin/sh\n")
    (folder / "scripts" / "api-post-image").rename(folder / "scripts" / "post_rpm_nochroot")
    before = (folder / "config.xml").read_bytes()
    assert convert(folder).renamed == {"post_rpm_nochroot": "api-post-image"}
    assert (folder / "config.xml").read_bytes() == before
    assert not (folder / KEPT).exists()


def test_of_two_scripts_of_one_phase_none_is_lost(old: Old) -> None:
    folder = old("bpl")
    (folder / "scripts" / "api-post-install").write_text("#!/bin/sh\necho new\n")
    done = convert(folder)
    assert "setup" not in done.renamed
    assert (folder / "scripts" / "setup").read_text() == FILES["scripts/setup"]
    (warning,) = [w for w in done.warnings if w.path.endswith("scripts/setup")]
    assert warning.message == "api-post-install is there as well, and runs first"


def test_a_conversion_that_was_interrupted_is_finished_by_another(old: Old) -> None:
    """Stopped behind each of its steps: the OPKG reads the same, and a second run ends alike."""
    folder = old("rpmlist")
    before = meaning(folder)
    whole = folder.parent / "whole"
    convert(folder, whole)
    (folder / KEPT).write_bytes(ALL["rpmlist"])
    assert meaning(folder) == before
    shutil.copy(whole / "config.xml", folder)
    assert meaning(folder) == before
    (folder / "scripts" / "setup").rename(folder / "scripts" / "api-post-install")
    assert meaning(folder) == before
    convert(folder)
    (folder / KEPT).unlink()
    assert content(folder) == content(whole)


def _other_old_one(folder: Path) -> None:
    (folder / KEPT).write_text("another one")


def _fault(folder: Path) -> None:
    text = RPMLIST.replace("<rpm>clock</rpm>", "<rpm>clock 1.0</rpm>")
    (folder / "config.xml").write_bytes(text.encode("latin-1"))


def _link_out(folder: Path) -> None:
    (folder / "doc" / "link").symlink_to("/etc/passwd")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_other_old_one, "there is another one already"),
        (_fault, "“clock 1.0” is not the name of a package"),
        (_link_out, "is a link that leads out of the OPKG"),
    ],
)
def test_a_conversion_that_fails_changes_nothing(
    old: Old, spoil: Callable[[Path], None], said: str
) -> None:
    folder = old("rpmlist")
    spoil(folder)
    before = content(folder)
    done = opkgc("convert", folder)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert content(folder) == before


def test_where_something_is_already_nothing_is_written(old: Old, tmp_path: Path) -> None:
    folder, out = old("bpl"), tmp_path / "out"
    out.mkdir()
    (out / "mine").touch()
    before = content(folder)
    for place, said in (
        (out, "there is something already"),
        (out / "mine", "there is something already"),
        (folder / "new", "is in the OPKG itself"),
        (folder, "is in the OPKG itself"),
    ):
        with pytest.raises(OpkgError, match=said):
            convert(folder, place)
    assert [path.name for path in tmp_path.iterdir()] == ["packages", "out"]
    assert [path.name for path in out.iterdir()] == ["mine"]
    assert content(folder) == before


def test_an_empty_folder_may_be_there(old: Old, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    convert(old("bpl"), tmp_path / "out")
    assert (tmp_path / "out" / "config.xml").exists()


def test_a_copy_that_fails_leaves_nothing(old: Old, tmp_path: Path) -> None:
    folder = old("bpl")
    os.mkfifo(folder / "RPMS" / "pipe")
    with pytest.raises(OpkgError, match="named pipe"):
        convert(folder, tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_leaves_the_opkg_as_it_was(old: Old, tmp_path: Path) -> None:
    """(A disk with no room: as much as the folder's files take may be written, and no more.)"""
    folder = old("rpmlist")
    before, held = meaning(folder), content(folder)
    script = 'ulimit -f 1; exec "$@"'
    text = RPMLIST.replace("Keeps the time.", "Keeps the time. " * 200)
    (folder / "config.xml").write_bytes(text.encode("latin-1"))
    held["config.xml"] = (text.encode("latin-1"), held["config.xml"][1])
    argv = ["sh", "-c", script, "sh", sys.executable, "-m", "builder", "convert", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert content(folder) == held
    assert meaning(folder).dependencies == before.dependencies


@pytest.mark.slow
def test_the_command_says_what_it_did(old: Old, tmp_path: Path) -> None:
    folder = old("bpl")
    config = folder / "config.xml"
    config.write_bytes(config.read_bytes().replace(b">included<", b">selected<"))
    done = opkgc("convert", folder)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{folder}/config.xml: was binary-package-list; the old one is now config.xml.old",
        f"{folder}/scripts/api-post-install: was setup",
        f"{folder}/scripts/api-post-clientdef: was post_clients",
        f"{folder}/scripts/api-post-deploy: was post_install",
        f"{folder}/RPMS: left as it is; nothing in it goes into a package",
        f"{folder}/SRPMS: left as it is; nothing in it goes into a package",
    ]
    assert "is left out: time clock-4" in done.stderr
    assert "opkgc convert" not in done.stderr
    assert "is read as" not in done.stderr
    again = opkgc("convert", folder)
    assert again.stdout.splitlines()[0] == f"{folder}/config.xml: is of the current generation"


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(data=documents(), directory=st.sampled_from(["clock", "kernel_picker", "Qt", "a.b+c"]))
def test_whatever_an_older_file_says_is_written_down(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, directory: str
) -> None:
    folder = tmp_path_factory.mktemp("old") / directory
    folder.mkdir()
    path = folder / "config.xml"
    path.write_bytes(data)
    before, _ = read_config(path)
    path.write_text(config_text(before))
    after, warnings = read_config(path)
    assert after == before
    assert config_text(after) == config_text(before)
    assert not any("older generation" in warning.message for warning in warnings)
    shutil.rmtree(folder)
