# SPDX-License-Identifier: GPL-2.0-or-later
"""Recipes of several kinds, followed in build roots; what comes of it is installed and run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.roots import build_root
from opkg.native import guest
from opkg.run import run
from opkg.spec import Relation
from opkg.target import known_targets
from tests.builder.conftest import opkgc
from tests.lab.roots import debian_root, overlay, unpacked
from tests.lab.standin import KEY_FILE, standin_repository

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parent / "recipes"
KINDS = ("greet", "area", "tally", "blink", "colours")
# What the stand-in for an RPM distribution is to have beside its base: by Debian's names.
BUILDING = (
    "rpm", "gcc", "g++", "make", "patch", "debugedit", "elfutils", "autoconf", "automake",
    "libtool", "cmake", "python3-pip", "python3-setuptools", "python3-wheel", "kmod",
    "linux-headers-amd64",
)  # fmt: skip


def built(out: Path, target: str) -> Path:
    opkgc("build", *(RECIPES / kind for kind in KINDS), "--root", "chroot", "-t", target,
          "-o", out)  # fmt: skip
    return next(out.glob(f"{target}-*"))


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("debs"), "debian-12")


@pytest.fixture(scope="module")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    work = tmp_path_factory.mktemp("rpms")
    repository = standin_repository(BUILDING)
    table = work / "targets.toml"
    table.write_text(
        f'[distributions.demo-rpm-9]\nmirrors = [{{ name = "demo", url = "file://{repository}", '
        f'key = "file://{repository / KEY_FILE}" }}]\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPKG_TARGETS", str(table))
        known_targets.cache_clear()
        yield built(work / "out", "demo-rpm-9")
    known_targets.cache_clear()


def test_debs_are_installed_and_run(debs: Path) -> None:
    with overlay(unpacked(debian_root(["python3", "kmod"]))) as root:

        def inside(*argv: str | Path) -> str:
            line = guest.inside(root, *argv, binds={Path("/mnt"): debs})
            return run(line).stdout

        names = [path for path in sorted(debs.glob("*.deb")) if "opkg-" not in path.name]
        inside("dpkg", "--install", *(f"/mnt/{path.name}" for path in names))
        check(inside)
        inside("dpkg", "--remove", "greet", "greet-dbgsym")
        assert not (root / "var/lib/greet.known").exists()
        assert "/etc/greet.conf" in inside("dpkg-query", "-W", "-f", "${Conffiles}", "greet")
        depends = inside("dpkg-query", "-W", "-f", "${Depends}", "greet")
        assert "libgreet1 (>= 1.2)" in depends
        assert inside("bash", "-c", "ls /usr/lib/python3/dist-packages/tally/__pycache__")


def test_rpms_are_installed_and_run(rpms: Path) -> None:
    names = {path.name.rsplit("-", 2)[0] for path in rpms.glob("*.rpm")}
    assert {"greet", "libgreet1", "libgreet-dev", "opkg-greet-debuginfo", "area"} <= names
    greet = next(rpms.glob("greet-*.rpm"))
    assert "libgreet.so.1()(64bit)" in query(greet, "--requires")
    assert "libgreet.so.1()(64bit)" in query(next(rpms.glob("libgreet1-*.rpm")), "--provides")
    assert "/usr/share/man/man1/greet.1.gz" in query(greet, "--list")
    needed = [Relation(name=name) for name in ("kmod", "libstdc++6", "python3")]
    base = build_root(known_targets().find("demo-rpm-9"), needed, (), print)
    with overlay(base) as root:

        def inside(*argv: str | Path) -> str:
            line = guest.inside(root, *argv, binds={Path("/mnt"): rpms})
            return run(line).stdout

        files = [path for path in sorted(rpms.glob("*.rpm")) if "opkg-" not in path.name]
        # The stand-in's rpm is Debian's, which would look into its user's home.
        rpm = ("rpm", "--dbpath", "/var/lib/rpm")
        inside(*rpm, "--install", *(f"/mnt/{path.name}" for path in files))
        check(inside)
        assert inside(*rpm, "-qc", "greet") == "/etc/greet.conf\n"
        inside(*rpm, "--erase", "greet")
        assert not (root / "var/lib/greet.known").exists()


def query(rpm: Path, *words: str) -> str:
    return subprocess.check_output(["rpm", "-qp", *words, rpm], text=True)


def check(inside: Callable[..., str]) -> None:
    assert inside("greet", "you") == "hello, you\n"
    assert inside("area", "6", "7") == "42\n"
    assert inside("bash", "-c", "echo one two three | tally") == "3\n"
    assert inside("cat", "/usr/share/colours/colours.txt").startswith("red\n")
    module = inside("bash", "-c", "modinfo /usr/lib/modules/*/updates/blink.ko")
    assert "Says that it is there" in module
    # A trigger: another package has put something into the folder.
    assert inside("cat", "/var/lib/greet.known") == "colours\n"
