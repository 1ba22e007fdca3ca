# SPDX-License-Identifier: GPL-2.0-or-later
"""The program switcher, and the scripts of its OPKG."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.opkg_specs.conftest import SPECS, Ran, Sandbox, ran

SOURCE = SPECS / "switcher/src"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with /opt, /etc/switcher.ini and a home of its own."""

    folder: Path

    def switcher(self, *words: str) -> Ran:
        """Run switcher as root."""
        return self._run([], *words)

    def switcher_as_user(self, *words: str) -> Ran:
        """Run switcher as somebody who may not write to /etc."""
        return self._run(["setpriv", "--reuid=65534", "--clear-groups"], *words)

    def _run(self, become: list[str], *words: str) -> Ran:
        argv = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/root"]
        for folder, place in (("opt", "/opt"), ("etc", "/etc"), ("home", "/mnt")):
            (self.folder / folder).mkdir(exist_ok=True)
            argv += ["--bind", str(self.folder / folder), place]
        (self.folder / "home").chmod(0o777)
        argv += ["--ro-bind", str(SOURCE / "switcher"), str(SOURCE / "switcher")]
        argv += ["--setenv", "HOME", "/mnt", "--setenv", "COLUMNS", "80", "--cap-add", "ALL"]
        return ran([*argv, *become, "/usr/bin/python3", "-I", str(SOURCE / "switcher"), *words])

    def install(self, *modules: str) -> None:
        for module in modules:
            place = self.folder / "opt/modulefiles" / module
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("#%Module\n")

    def loaded(self) -> list[str]:
        """The modules that a new shell is to load."""
        done = self.switcher("--modules")
        assert done.status == 0, done.err
        return done.out.split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(folder=tmp_path)
    made.install("mpi/lam-7.1", "mpi/openmpi", "mpi/.version", "compiler/gcc-13")
    return made


def test_it_explains_itself_in_80_columns(machine: Machine) -> None:
    shown = machine.switcher("--help")
    assert shown.status == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    assert machine.switcher("--version").out == "switcher 2.0\n"


def test_tags_and_names_are_those_that_are_installed(machine: Machine) -> None:
    assert machine.switcher("--list").out.split() == ["compiler", "mpi"]
    assert machine.switcher("mpi", "--list").out.split() == ["lam-7.1", "openmpi"]


@pytest.mark.slow
def test_a_choice_is_in_force_in_the_next_shell_until_it_is_taken_back(machine: Machine) -> None:
    assert machine.loaded() == []
    for name in ("openmpi", "lam-7.1"):
        assert machine.switcher("mpi", "=", name).status == 0
        assert machine.loaded() == [f"mpi/{name}"]
    assert machine.switcher("mpi", "--rm-attr", "default").status == 0
    assert machine.loaded() == []
    assert machine.switcher("mpi", "--rm-attr", "default").status == 1


@pytest.mark.slow
def test_choices_are_looked_up_user_first_and_tag_first(machine: Machine) -> None:
    """Each one set comes before all that were set until then."""
    expected = [
        (("global", "=", "lam-7.1", "--system"), ["mpi/lam-7.1"], "system global"),
        (("mpi", "=", "openmpi", "--system"), ["mpi/openmpi"], "system"),
        (("global", "=", "lam-7.1"), ["mpi/lam-7.1"], "user global"),
        (("mpi", "=", "openmpi"), ["mpi/openmpi"], "user"),
    ]
    for words, loaded, origin in expected:
        assert machine.switcher(*words).status == 0
        assert machine.loaded() == loaded
        name = loaded[0].partition("/")[2]
        assert machine.switcher("mpi", "--show").out == f"{origin}:default={name}\n"


@pytest.mark.slow
def test_none_stands_against_what_the_system_chose(machine: Machine) -> None:
    machine.switcher("mpi", "=", "openmpi", "--system")
    machine.switcher("compiler", "=", "gcc-13", "--system")
    assert machine.loaded() == ["compiler/gcc-13", "mpi/openmpi"]
    machine.switcher("mpi", "=", "none")
    assert machine.loaded() == ["compiler/gcc-13"]
    machine.switcher("global", "=", "none")
    assert machine.loaded() == []


def test_what_is_gone_is_shown_and_no_longer_loaded(machine: Machine) -> None:
    machine.switcher("mpi", "=", "openmpi")
    (machine.folder / "opt/modulefiles/mpi/openmpi").unlink()
    assert machine.loaded() == []
    assert machine.switcher("mpi", "--show").out == "user:default=openmpi (not installed)\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "usage:"),
        (("mpi",), 2, "usage:"),
        (("mpi", "openmpi"), 2, "usage:"),
        (("mpi", "=", "openmpi", "--show"), 2, "usage:"),
        (("mpi", "=", "openmpi", "lam-7.1"), 2, "usage:"),
        (("mpi", "=", "nosuch"), 1, "it has: lam-7.1, openmpi, none"),
        (("nosuch", "=", "openmpi"), 1, "there are: compiler, mpi, global"),
        (("../mpi", "--list"), 1, "there is no tag"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    machine: Machine, words: tuple[str, ...], status: int, said: str
) -> None:
    refused = machine.switcher(*words)
    assert refused.status == status
    assert said in refused.err
    assert not list((machine.folder / "home").iterdir())


def test_only_root_chooses_for_the_system(machine: Machine) -> None:
    refused = machine.switcher_as_user("mpi", "=", "openmpi", "--system")
    assert refused.status == 1
    assert "only root can choose for the system" in refused.err
    assert machine.switcher_as_user("mpi", "=", "openmpi").status == 0
    assert machine.loaded() == ["mpi/openmpi"]


def test_a_file_that_cannot_be_read_is_named(machine: Machine) -> None:
    (machine.folder / "home").mkdir(exist_ok=True)
    (machine.folder / "home/.switcher.ini").write_text("default = openmpi\n")
    refused = machine.switcher("--modules")
    assert refused.status == 1
    assert "/mnt/.switcher.ini: File contains no section headers" in refused.err


def test_other_attributes_and_their_capitals_are_kept(machine: Machine) -> None:
    (machine.folder / "home").mkdir(exist_ok=True)
    (machine.folder / "home/.switcher.ini").write_text("[mpi]\nNote = 100% mine\n")
    machine.switcher("mpi", "=", "openmpi")
    assert machine.switcher("mpi", "--show").out.splitlines() == [
        "user:Note=100% mine",
        "user:default=openmpi",
    ]


# The scripts: /opt/modulefiles becomes known to environment-modules.

LAYOUTS = {
    "debian": ("/etc/environment-modules/modulespath", "/opt/modulefiles"),
    "suse": ("/etc/Modules/initrc", "module use --append /opt/modulefiles"),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> tuple[str, str]:
    return LAYOUTS[request.param]


@pytest.fixture
def prepared(sandbox: Sandbox, stage: Callable[[str], Path]) -> Sandbox:
    shutil.copytree(stage("switcher") / "usr/share", sandbox.root / "usr/share")
    return sandbox


@pytest.mark.parametrize("part", ["server", "client"])
def test_installed_twice_is_as_once_and_uninstalled_as_never(
    prepared: Sandbox, layout: tuple[str, str], part: str
) -> None:
    path, line = layout
    prepared.write(path, "# the distribution's\n/usr/share/modules/modulefiles\n")
    before = prepared.files()
    for _ in range(2):
        done = prepared.run("switcher", f"{part}-post-install")
        assert done.status == 0, done.err
        text = prepared.files()[path]
        assert text.startswith(before[path])
        assert [each for each in text[len(before[path]) :].splitlines() if each[0] != "#"] == [line]
        assert prepared.files()["/opt/modulefiles"] == "folder"
    for _ in range(2):
        assert prepared.run("switcher", f"{part}-pre-uninstall").status == 0
        assert prepared.files() == before


def test_where_both_are_there_modulespath_is_used(prepared: Sandbox) -> None:
    for name in ("modulespath", "initrc"):
        prepared.write(f"/etc/environment-modules/{name}", "# no end of line")
    prepared.run("switcher", "client-post-install")
    files = prepared.files()
    assert files["/etc/environment-modules/initrc"] == "# no end of line"
    assert "\n/opt/modulefiles\n" in files["/etc/environment-modules/modulespath"]


def test_modules_of_other_packages_stay(prepared: Sandbox) -> None:
    prepared.write("/etc/environment-modules/modulespath", "")
    prepared.write("/opt/modulefiles/mpi/openmpi", "#%Module\n")
    prepared.run("switcher", "server-post-install")
    assert prepared.run("switcher", "server-pre-uninstall").status == 0
    assert "/opt/modulefiles/mpi/openmpi" in prepared.files()


def test_without_environment_modules_it_is_said(prepared: Sandbox) -> None:
    refused = prepared.run("switcher", "server-post-install")
    assert refused.status == 1
    assert "is it installed?" in refused.err
