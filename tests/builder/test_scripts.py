# SPDX-License-Identifier: GPL-2.0-or-later
"""An OPKG's native scripts, run by the real dpkg and rpm in a real root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder.conftest import Write, opkgc
from tests.lab.roots import debian_root, overlay, unpacked

pytestmark = pytest.mark.slow

MOMENTS = ("pre-install", "post-install", "pre-uninstall", "post-uninstall")
TELL = '#!/bin/sh\necho "{moment} {version} $# $OSCAR_PACKAGE_HOME" >> /told\n'
HOME = "/usr/lib/oscar/packages/sample"


@pytest.fixture
def root() -> Iterator[Path]:
    with overlay(unpacked(debian_root())) as place:
        yield place


def build(opkg: Write, version: str, out: Path, scripts: dict[str, str] | None = None) -> Path:
    """A client package with a script for each moment; returns the folder of packages."""
    files = {
        f"scripts/client-{moment}": TELL.format(moment=moment, version=version)
        for moment in MOMENTS
    }
    source = opkg(version=version, files=files | (scripts or {}), where=out / "source")
    opkgc("build", source, "-t", "debian-12", "-t", "rocky-9", "-o", out)
    return out


class Dpkg:
    def __init__(self, root: Path) -> None:
        self.root = root

    def install(self, folder: Path, **env: str) -> int:
        package = next(folder.glob("*/opkg-sample-client_*.deb"))
        return self._run("--install", str(package), **env)

    def remove(self) -> int:
        return self._run("--remove", "opkg-sample-client")

    def _run(self, *words: str, **env: str) -> int:
        argv = ["dpkg", f"--root={self.root}", *words]
        return subprocess.run(argv, env=os.environ | env, capture_output=True).returncode


class Rpm(Dpkg):
    """In a Debian root, rpm finds all that these scripts need: a shell."""

    def install(self, folder: Path, **env: str) -> int:
        package = next(folder.glob("*/opkg-sample-client-*.rpm"))
        return self._run("-U", str(package), **env)

    def remove(self) -> int:
        return self._run("-e", "opkg-sample-client")

    def _run(self, *words: str, **env: str) -> int:
        argv = ["rpm", "--root", self.root, "--define", "_dbpath /var/lib/rpm", "--nodeps", *words]
        return subprocess.run(argv, env=os.environ | env, capture_output=True).returncode


def told(root: Path) -> list[str]:
    """What the scripts said since the last call."""
    path = root / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    path.write_text("")
    return lines


@pytest.mark.parametrize("manager", [Dpkg, Rpm])
def test_scripts_run_once_and_only_at_their_moment(
    opkg: Write, tmp_path: Path, root: Path, manager: type[Dpkg]
) -> None:
    one, two = build(opkg, "1.0-1", tmp_path / "one"), build(opkg, "2.0-1", tmp_path / "two")
    tool = manager(root)
    assert tool.install(one) == 0
    assert told(root) == [f"pre-install 1.0-1 0 {HOME}", f"post-install 1.0-1 0 {HOME}"]
    assert tool.install(two) == 0
    assert told(root) == [f"pre-install 2.0-1 0 {HOME}", f"post-install 2.0-1 0 {HOME}"]
    assert tool.remove() == 0
    assert told(root) == [f"pre-uninstall 2.0-1 0 {HOME}", f"post-uninstall 2.0-1 0 {HOME}"]
    assert not (root / HOME.lstrip("/")).exists()


@pytest.mark.parametrize("manager", [Dpkg, Rpm])
def test_opd_runs_post_install_scripts_itself(
    opkg: Write, tmp_path: Path, root: Path, manager: type[Dpkg]
) -> None:
    tool = manager(root)
    assert tool.install(build(opkg, "1.0-1", tmp_path / "one"), OPD_RUNS_PHASES="1") == 0
    assert told(root) == [f"pre-install 1.0-1 0 {HOME}"]


@pytest.mark.parametrize("manager", [Dpkg, Rpm])
def test_a_failing_pre_install_script_stops_the_installation(
    opkg: Write, tmp_path: Path, root: Path, manager: type[Dpkg]
) -> None:
    """Whatever language it is in, and whatever it contains."""
    script = "#!/usr/bin/perl\nprint <<'EOF';\n$HOME `touch /wrong`\nEOF\nexit 3;\n"
    folder = build(opkg, "1.0-1", tmp_path / "one", {"scripts/client-pre-install": script})
    assert manager(root).install(folder) != 0
    assert told(root) == []
    assert not (root / "wrong").exists()
    assert not (root / HOME.lstrip("/") / "client-post-install").exists()
