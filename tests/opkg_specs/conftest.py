# SPDX-License-Identifier: GPL-2.0-or-later
"""Places where the OPKGs' programs and scripts can run as they would on a cluster."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.steps import run_steps
from opkg.directory import read_opkg
from opkg.files import locked
from opkg.recipe_reader import read_recipe
from opkg.target import known_targets
from tests.opkg_specs.machines import Library, Machine, built_library, head_and_image
from tests.opkg_specs.running import SPECS, Ran, ran

C3_SOURCE = SPECS / "c3/src"

# The parser is tested from within; the commands run as programs of their own.
sys.path.insert(0, str(C3_SOURCE))


def staged(name: str, work: Path, target: str = "debian-12") -> Path:
    """What the recipe of an OPKG installs, as the builder runs it."""
    directory = SPECS / name
    recipe = read_recipe(directory)
    assert recipe is not None
    return run_steps(read_opkg(directory)[0], recipe, directory, known_targets().find(target), work)


@pytest.fixture(scope="session", autouse=True)
def _gathered() -> None:
    """What one recipe packs is not in git: its OPKG has a program that brings it together."""
    done = ran([sys.executable, SPECS / "opd/gather"])
    assert done.status == 0, done.err


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The stage of an OPKG's recipe for Debian 12, made once."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = staged(name, tmp_path_factory.mktemp(name))
        return made[name]

    return get


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Library:
    """All packages of the library for Debian 12, in a repository. Of several processes that run
    tests, one builds it."""
    if worker_id == "master":
        return built_library(tmp_path_factory.mktemp("library"))
    shared = tmp_path_factory.getbasetemp().parent / "library"
    with locked(shared.with_suffix(".lock")):
        return built_library(shared)


@pytest.fixture
def machines(library: Library) -> Iterator[tuple[Machine, Machine]]:
    """A head node and an image of its nodes, both without any OPKG."""
    with head_and_image(library) as both:
        yield both


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """A machine with this one's programs, and /etc, /opt, /usr/share and /var of its own."""

    root: Path
    shell: str

    def run(self, opkg: str, script: str, *words: str, env: dict[str, str] | None = None) -> Ran:
        """Run a script of an OPKG as a package manager would, from where it is installed."""
        binds = ["--ro-bind", str(SPECS / opkg / "scripts"), "/scripts"]
        return self._run([*binds, f"/scripts/{script}", *words], env or {})

    def call(self, script: str, env: dict[str, str] | None = None) -> Ran:
        """Run a piece of shell."""
        return self._run(["/bin/sh", "-euc", script], env or {})

    def _run(self, words: list[str], env: dict[str, str]) -> Ran:
        home = self.root / "home"
        environment = {"PATH": "/usr/sbin:/usr/bin", "OSCAR_PACKAGE_HOME": "/opkg", **env}
        # Each namespace by name: “all” means one of users too, which a chroot cannot have.
        argv = ["bwrap", "--clearenv", "--unshare-net", "--unshare-pid", "--unshare-ipc"]
        argv += ["--unshare-uts", "--hostname", "head1", "--die-with-parent"]
        for name in ("bin", "sbin", "lib", "lib64"):
            argv += ["--symlink", f"usr/{name}", f"/{name}"]
            if Path("/usr", name).is_dir():
                argv += ["--ro-bind", f"/usr/{name}", f"/usr/{name}"]
        # The shell that scripts get as /bin/sh: dash on Debian, bash on Red Hat's kin.
        argv += ["--ro-bind", f"/usr/bin/{self.shell}", os.path.realpath("/usr/bin/sh")]
        for folder in ("etc", "opt", "usr/share", "opkg", "var"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            argv += ["--bind", str(self.root / folder), f"/{folder}"]
        home.mkdir(exist_ok=True)
        argv += ["--bind", str(home), "/root", "--tmpfs", "/tmp", "--proc", "/proc"]
        argv += ["--dev", "/dev"]
        for key, value in environment.items():
            argv += ["--setenv", key, value]
        return ran([*argv, *words])

    def write(self, path: str, text: str) -> None:
        """Write a file, given by its absolute path there."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def files(self) -> dict[str, str]:
        """All files of /etc and /opt with their text, and their folders."""
        found = {}
        for top in ("etc", "opt"):
            for path in sorted((self.root / top).rglob("*")):
                name = "/" + str(path.relative_to(self.root))
                is_file = path.is_file()
                found[name] = path.read_text(errors="backslashreplace") if is_file else "folder"
        return found


@pytest.fixture(params=["dash", "bash"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    (tmp_path / "etc").mkdir()
    (tmp_path / "opt").mkdir()
    return Sandbox(root=tmp_path, shell=request.param)


@pytest.fixture
def tools(sandbox: Sandbox, stage: Callable[[str], Path]) -> Sandbox:
    """A sandbox with the programs that scripts share."""
    shutil.copytree(stage("base") / "usr/share", sandbox.root / "usr/share")
    return sandbox
