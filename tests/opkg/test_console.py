# SPDX-License-Identifier: GPL-2.0-or-later
"""The edge that the three programs share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import click
from pathlib import Path
from opkg import console
from opkg.errors import CommandError, Diagnostic, InvalidInputError, OpkgError
console.CONFIG_DIR = Path(sys.argv.pop(1))

@click.group()
def cli():
    "A program."

@cli.command()
@click.option("--word", default="default")
def tell(word):
    click.echo(word)

@cli.command()
def refuse():
    raise OpkgError("it is so", where="here", hint="do that")

@cli.command()
def invalid():
    found = Diagnostic(severity="error", path="f.xml", line=3, message="bad", hint="mend it")
    raise InvalidInputError("f.xml has 1 error", [found])

@cli.command()
def command():
    raise CommandError("x failed", argv=["x"], output="last words", hint="see there")

@cli.command()
@click.pass_context
def leave(context):
    context.exit(1)

@cli.command()
def bug():
    raise ZeroDivisionError

console.run_command(cli, name="prog", settings="prog.toml", env_prefix="PROG")
"""


def prog(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", PROGRAM, str(folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **env})


@pytest.mark.slow
def test_option_is_stronger_than_environment_than_file(tmp_path: Path) -> None:
    assert prog(tmp_path, "tell").stdout == "default\n"
    (tmp_path / "prog.toml").write_text('[tell]\nword = "file"\n')
    assert prog(tmp_path, "tell").stdout == "file\n"
    assert prog(tmp_path, "tell", PROG_TELL_WORD="env").stdout == "env\n"
    assert prog(tmp_path, "tell", "--word", "option", PROG_TELL_WORD="env").stdout == "option\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["tell"], 0, ""),
        (["--help"], 0, ""),
        (["leave"], 1, ""),
        (["refuse"], 1, "prog: error: here: it is so\n  do that\n"),
        (["invalid"], 1, "f.xml:3: error: bad\n  mend it\nprog: error: f.xml has 1 error\n"),
        (["command"], 1, "  | last words\nprog: error: x failed\n  see there\n"),
        (["nonsense"], 2, "No such command"),
        (["tell", "--nonsense"], 2, "No such option"),
        (["bug"], 1, "ZeroDivisionError"),
    ],
)
def test_exit_status_and_error_say_what_happened(
    tmp_path: Path, words: list[str], status: int, said: str
) -> None:
    done = prog(tmp_path, *words)
    assert done.returncode == status
    assert said in done.stderr


def test_damaged_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "prog.toml").write_text("[tell\n")
    done = prog(tmp_path, "tell")
    assert done.returncode == 1
    assert f"{tmp_path}/prog.toml" in done.stderr


def test_a_reader_that_stops_reading_is_no_error_message(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path), "tell", "--word", "x" * 100_000]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "program", "extra", "library"),
    [("builder", "opkgc", "builder", "lxml"), ("repo_server", "opkg-repo", "server", "pysequoia")],
)
def test_a_program_whose_libraries_are_not_there_says_what_to_install(
    tmp_path: Path, module: str, program: str, extra: str, library: str
) -> None:
    """(A library of that name in front of the real one is as good as none.)"""
    missing = f"raise ModuleNotFoundError({library!r}, name={library!r})\n"
    (tmp_path / f"{library}.py").write_text(missing)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    argv = [sys.executable, "-m", module, "--version"]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"{program}: error: {program} needs the Python module {library}, which is not installed\n"
        f"  install what {program} needs: pip install 'oscar-opkg[{extra}]'\n"
    )
