# SPDX-License-Identifier: GPL-2.0-or-later
"""Recipes put together from parts, and what becomes of them."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from builder.steps import run_steps
from opkg.directory import read_opkg
from opkg.recipe_reader import read_recipe
from opkg.target import known_targets
from tests.builder.conftest import opkgc


def built(source: Path, out: Path, *words: str) -> str:
    """Build for Debian 12; what the package's file holds."""
    opkgc("build", source, "-t", "debian-12", "-o", out, *words)
    deb = next(out.glob("*/thing_*.deb"))
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(tar.stdout)) as archive:
        member = archive.extractfile("./usr/share/thing/thing")
        assert member is not None
        return member.read().decode()


def staged(source: Path, work: Path) -> str:
    """Follow the steps alone; what they install."""
    recipe = read_recipe(source)
    assert recipe is not None
    work.mkdir()
    opkg, _ = read_opkg(source)
    stage = run_steps(opkg, recipe, source, known_targets().find("debian-12"), work)
    return (stage / "usr/share/thing/thing").read_text()


def refused(source: Path, tmp_path: Path, *words: str) -> str:
    done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", *words, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr
