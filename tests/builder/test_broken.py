# SPDX-License-Identifier: GPL-2.0-or-later
"""What opkgc lint says of broken OPKGs: the defects in tests/broken, those that git cannot hold,
and damage at random. Each gets its diagnostics, and none a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.cli import cli
from tests.builder.conftest import CONFIG, RECIPE, Write, opkgc
from tests.opkg.older_documents import ALL

BROKEN = Path(__file__).parents[1] / "broken"
DEFECTS = sorted(path.name for path in BROKEN.iterdir() if path.is_dir())


def lint(*words: str | Path) -> Result:
    """Run the command in this process: a start of Python for each would take half a minute."""
    done = CliRunner().invoke(cli, ["lint", *map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_with_its_place_and_its_remedy(
    monkeypatch: pytest.MonkeyPatch, defect: str
) -> None:
    monkeypatch.chdir(BROKEN)
    done = lint(defect)
    expected = (BROKEN / defect / "expected.txt").read_text()
    assert done.stdout == expected
    assert expected
    assert done.exit_code == (1 if ": error: " in expected else 0)
    message, hint = expected.splitlines()[-2:]
    assert message.startswith(f"{defect}/")
    assert hint.startswith("  ")


@pytest.mark.slow
def test_the_faults_of_many_opkgs_come_in_one_run() -> None:
    argv = [sys.executable, "-m", "builder", "lint", *DEFECTS]
    path = os.pathsep.join(filter(None, [str(BROKEN.parents[1]), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(argv, cwd=BROKEN, env=env, capture_output=True, text=True)
    expected = [(BROKEN / defect / "expected.txt").read_text() for defect in DEFECTS]
    assert done.stdout == "".join(expected)
    errors = sum(text.count(": error: ") for text in expected)
    assert done.stderr.startswith(f"{errors} errors, ")
    assert done.returncode == 1


# What git cannot hold, or should not.


def _huge(folder: Path) -> None:
    text = CONFIG.format(name="sample", version="1.0-1", body="<!--" + "x" * (2 << 20) + "-->")
    (folder / "config.xml").write_text(text)


def _many_faults(folder: Path) -> None:
    text = CONFIG.format(name="sample", version="1.0-1", body="<x/>" * 100_000)
    (folder / "config.xml").write_text(text)


def _pipe(folder: Path) -> None:
    (folder / "config.xml").unlink()
    os.mkfifo(folder / "config.xml")


def _folder(folder: Path) -> None:
    (folder / "config.xml").unlink()
    (folder / "config.xml").mkdir()


def _script_pipe(folder: Path) -> None:
    (folder / "scripts").mkdir()
    os.mkfifo(folder / "scripts" / "api-post-image")


def _script_circle(folder: Path) -> None:
    (folder / "scripts").mkdir()
    (folder / "scripts" / "api-post-image").symlink_to("api-post-image")


def _name_of_bytes(folder: Path) -> None:
    (folder / "doc").mkdir()
    Path(os.fsdecode(os.fsencode(folder / "doc") + b"/caf\xe9")).write_text("x")


def _name_of_two_lines(folder: Path) -> None:
    (folder / "doc").mkdir()
    (folder / "doc" / "one\ntwo\x1b[31m").write_text("x")


def _gone(folder: Path) -> None:
    (folder / "config.xml").unlink()
    folder.rmdir()


def _epoch(folder: Path) -> None:
    text = CONFIG.format(name="sample", version="9" * 5000 + ":1.0-1", body="")
    (folder / "config.xml").write_text(text)


def _bound(folder: Path) -> None:
    dist = f'<dist version="{"9" * 5000}">debian</dist>'
    body = f"<filters>{dist}</filters>"
    (folder / "config.xml").write_text(CONFIG.format(name="sample", version="1.0-1", body=body))


def _recipe_too_deep(folder: Path) -> None:
    (folder / "build.toml").write_text("a = " + "[" * 5000)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_huge, "/config.xml: error: larger than 1 MiB"),
        (_many_faults, "error: more than 500 findings"),
        (_pipe, "/config.xml: error: is no plain file"),
        (_folder, "/config.xml: error: is no plain file"),
        (_script_pipe, "/scripts/api-post-image: error: is no plain file"),
        (_script_circle, "/scripts/api-post-image: error: is a link that leads round in circles"),
        (_name_of_bytes, "/doc/caf\\udce9: error: the name has characters that cannot be seen"),
        (_name_of_two_lines, "/doc/one\\ntwo\\x1b[31m: error: the name has characters that"),
        (_gone, ": error: there is no such directory"),
        (_bound, "/config.xml:12: error: “99999"),
        (_epoch, "/config.xml:14: error: “99999"),
        (_recipe_too_deep, "/build.toml: error: is nested deeper than it could make sense"),
    ],
)
def test_what_git_cannot_hold_is_refused_too(
    opkg: Write, spoil: Callable[[Path], None], said: str
) -> None:
    folder = opkg()
    spoil(folder)
    done = lint(folder)
    assert done.exit_code == 1
    assert said in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("path", ["scripts/api-post-image", "doc/deep", "config.xml"])
def test_what_cannot_be_read_is_an_error_and_not_left_out(opkg: Write, path: str) -> None:
    folder = opkg(files={"scripts/api-post-image": "#!/bin/sh\n", "doc/deep/README": "Read me.\n"})
    (folder / path).chmod(0)
    # Even root has to ask, without these.
    caps = "-dac_override,-dac_read_search"
    ask = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}"]
    argv = [*ask, sys.executable, "-m", "builder", "lint", folder]
    done = subprocess.run(argv, capture_output=True, text=True)
    (folder / path).chmod(0o755)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{(folder / path)}: error: ")
    assert "Traceback" not in done.stderr


def test_files_of_editors_and_of_configurators_are_no_slips(opkg: Write) -> None:
    hidden = {".configurator.values": "<opt/>\n", "config.xml.orig": "", "build.toml~": ""}
    done = lint(opkg(files=hidden))
    assert (done.stdout, done.exit_code) == ("", 0)


def test_a_broken_opkg_is_not_built_and_its_faults_are_told(opkg: Write, tmp_path: Path) -> None:
    done = opkgc("build", BROKEN / "class-unknown", opkg(), "-t", "debian-12", "-o",
                 tmp_path / "out", check=False)  # fmt: skip
    assert done.returncode == 1
    assert "class-unknown/config.xml:4: error: the class is “vital”" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_faults_of_all_opkgs_are_told_before_any_is_built(opkg: Write, tmp_path: Path) -> None:
    broken = (BROKEN / "class-unknown", BROKEN / "name-missing")
    done = opkgc("build", *broken, opkg(), "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "class-unknown/config.xml:4: error:" in done.stderr
    assert "name-missing/config.xml:2: error:" in done.stderr
    assert "opkgc: error: 2 OPKGs have errors, so nothing is built" in done.stderr
    assert not (tmp_path / "out").exists()


# Damage by machine

DOCUMENTS = [*ALL.values(), CONFIG.format(name="sample", version="1.0-1", body="").encode()]
RECIPES = [RECIPE.format(name="sample").encode(), b'[rsync]\ndeb = { name = "r", checked = false }']


@st.composite
def damaged(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    """A document with parts cut out, doubled, taken from another one, and bytes changed."""
    data = draw(st.sampled_from(whole))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 80)))
        other = draw(st.sampled_from(whole))
        at = draw(st.integers(0, len(other)))
        piece = draw(
            st.sampled_from(
                [
                    b"",
                    data[start:end] * 2,
                    other[at : at + 60],
                    other[at:],
                    b"<",
                    b"&",
                    b'"',
                    b"]]>",
                ]
            )
            | st.binary(max_size=4)
        )
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.slow
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(config=damaged(DOCUMENTS), recipe=damaged(RECIPES), names=damaged(RECIPES))
def test_damaged_files_end_in_diagnostics_and_never_in_a_traceback(
    opkg: Write, config: bytes, recipe: bytes, names: bytes
) -> None:
    folder = opkg(recipe=True)
    (folder / "config.xml").write_bytes(config)
    (folder / "build.toml").write_bytes(recipe)
    (folder / "names.toml").write_bytes(names)
    done = lint(folder)
    assert done.exit_code == (1 if ": error: " in done.stdout else 0)
    assert all(line.startswith((f"{folder}", "  ")) for line in done.stdout.splitlines())
