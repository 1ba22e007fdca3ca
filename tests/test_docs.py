# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that the documents show, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.roots import debian_root, overlay, unpacked

pytestmark = pytest.mark.slow

TOP = Path(__file__).parent.parent
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/*.md")])


def commands(page: str) -> str:
    """The page's shell blocks, in order, as one script that stops at the first failure."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (TOP / "docs" / page).read_text(), re.M | re.S)
    assert blocks, f"{page} shows no commands"
    return "set -e\n" + "".join(blocks)


def follow(script: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{TOP}/.venv/bin:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass(frozen=True)
class Served:
    url: str
    root: Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A repository with c3 in its stable channel."""
    script = f"""
set -e
opkgc build {TOP}/opkg_specs/c3 -t debian-12 -o out
opkg-repo init repository
opkg-repo add repository --channel stable out/*/manifest.json
opkg-repo publish repository
"""
    follow(script, tmp_path)
    server = subprocess.Popen(
        [TOP / ".venv/bin/opkg-repo", "serve", tmp_path / "repository", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip().rstrip("/")
        yield Served(url, tmp_path / "repository/live/keys/root.json")
    finally:
        server.terminate()
        server.wait()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in link or (page.parent / link).exists(), link


def test_the_readme_names_the_targets_of_the_makefile() -> None:
    makefile = (TOP / "Makefile").read_text()
    for target in re.findall(r"(?:^    |`)make ([a-z-]+)", (TOP / "README.md").read_text(), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_opkgc_page(tmp_path: Path) -> None:
    done = follow(commands("opkgc.md"), tmp_path)
    assert "unchanged" in done.stdout
    assert len(list(tmp_path.glob("out/*/opkg-hello*"))) == 6


@pytest.mark.slow
def test_opkg_repo_page(tmp_path: Path) -> None:
    follow(f"opkgc build {TOP}/opkg_specs/c3 -t debian-12 -t demo-rpm -o out", tmp_path)
    follow(commands("opkg-repo.md").replace("/srv/opkg", str(tmp_path / "opkg")), tmp_path)
    assert (tmp_path / "opkg/live/deb/testing/dists/debian-12/InRelease").exists()


@pytest.mark.slow
def test_opd_page(tmp_path: Path, served: Served) -> None:
    script = commands("opd.md").replace("http://repo.example:8000", served.url)
    fingerprint = subprocess.check_output(["sha256sum", served.root], text=True).split()[0]
    with overlay(unpacked(debian_root())) as headnode:
        done = follow(
            script.replace("FINGERPRINT", fingerprint),
            tmp_path,
            OPD_STATE=str(tmp_path / "state"),
            OPD_HEADNODE_ROOT=str(headnode),
        )
    assert re.search(r"^c3 +6\S+ installed +6\S+ installed", done.stdout, re.M)
    assert list((tmp_path / "files").glob("c3_*.deb"))


def test_the_formats_examples_are_an_opkg_that_builds(tmp_path: Path) -> None:
    text = (TOP / "docs/opkg-format.md").read_text()
    config = re.findall(r"^```xml\n(.*?)^```", text, re.M | re.S)[0]
    names, recipe = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)
    source = tmp_path / "hello"
    (source / "src").mkdir(parents=True)
    (source / "config.xml").write_text(config)
    (source / "names.toml").write_text(names)
    # The pattern of what is left out has nothing to match here.
    (source / "build.toml").write_text(recipe)
    (source / "src/hello").write_text("#!/bin/sh\necho hello\n")
    done = follow("opkgc lint hello && opkgc build hello -t debian-12 -t rocky-9 -o out", tmp_path)
    assert "0 errors" in done.stderr
    assert len(list(tmp_path.glob("out/*/*hello*.[dr]*"))) == 8
