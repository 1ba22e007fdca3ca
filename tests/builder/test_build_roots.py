# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of build roots: made by zypper, changed by no build, opened where a build failed, made
anew when a mirror has moved and not before."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opkg.native.mounts import remove_tree
from tests.builder.conftest import Link, opkgc
from tests.builder.test_roots import BUILDING
from tests.lab.signing import Key, throwaway_key
from tests.lab.standin import KEY_FILE, index, standin_repository
from tests.programs import on_terminal, seen
from tests.trees import changes, picture

pytestmark = pytest.mark.slow

MAKES = "making a build root of demo-rpm-9"
# What a build does that would be in the next one's way, as far as it is let.
SPOIL = """
for place in /usr/left /etc/left /var/lib/left /tmp/left /var/tmp/left; do
  echo left > $place || true
done
rm -rf /usr/share/moving || true
rpm --dbpath /var/lib/rpm --erase --nodeps moving-data || true
"""
# Where the one before it was.
LOOK = """
for place in /usr/left /etc/left /var/lib/left /tmp/left /var/tmp/left; do
  test ! -e $place
done
rpm --dbpath /var/lib/rpm -q moving-data
"""


@pytest.fixture(scope="module")
def key() -> Iterator[Key]:
    with throwaway_key("site <site@localhost>") as made:
        yield made


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Path:
    """A target with zypper and two mirrors; a small one is in the folder `site` beside the
    table."""
    demo = standin_repository(BUILDING)
    folder = tmp_path_factory.mktemp("mirrors")
    (folder / "site").mkdir()
    (folder / "site.asc").write_text(key.public())
    (folder / "site.key").write_text(key.secret())
    (folder / "targets.toml").write_text(
        '[distributions.demo-rpm-9]\ninstaller = "zypper"\nbuild_base = ["rpm-build"]\n'
        "mirrors = [\n"
        f'  {{ name = "demo", url = "file://{demo}", key = "file://{demo / KEY_FILE}" }},\n'
        f'  {{ name = "site", url = "file://{folder}/site", key = "file://{folder}/site.asc" }},\n'
        "]\n"
    )
    return folder / "targets.toml"


@pytest.fixture
def roots(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where build roots are kept; there are none yet."""
    monkeypatch.setenv("OPKG_TARGETS", str(table))
    monkeypatch.setenv("OPKG_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache/builder/roots/demo-rpm-9-x86_64"
    remove_tree(tmp_path / "cache")


def fill(table: Path, package: Path, key: Key) -> None:
    """Let the small mirror offer what an OPKG becomes."""
    site, out = table.parent / "site", table.parent / "out"
    words = ("--root", "host", "--sign", table.parent / "site.key", "-o", out)
    opkgc("build", package, "-t", "demo-rpm-9", *words)
    for path in (*site.glob("*.rpm"), *site.glob("repodata/*")):
        path.unlink()
    rpm = next(out.glob("*/moving-data-*.rpm"))
    rpm.rename(site / rpm.name)
    index(site)
    key.sign(site / "repodata/repomd.xml")


def mirrors_are_asked_again(roots: Path) -> None:
    """As when the time is up that their answer is believed for."""
    os.utime(roots.with_suffix(".json"), (0, 0))


def test_the_life_of_a_build_root(
    link: Link, roots: Path, table: Path, tmp_path: Path, key: Key
) -> None:
    moving, out = link("moving"), tmp_path / "out"
    fill(table, moving, key)

    def build(source: Path, *, check: bool = True) -> str:
        words = ("-t", "demo-rpm-9", "--root", "chroot", "-o", out)
        return opkgc("build", source, *words, check=check).stderr

    # Made by zypper from both mirrors, and changed by no build.
    said = build(link("first", ["moving"], step=SPOIL))
    assert said.count(MAKES) == 2
    root = next(roots.glob("with-*"))
    assert (root / "usr/share/moving/words").read_text() == "moving\n"
    before = picture(root)
    assert MAKES not in build(link("second", ["moving"], step=SPOIL))
    assert MAKES not in build(link("third", ["moving"], step=LOOK))
    assert changes(before, picture(root)) == ["."]  # the time at which it was last used
    assert {path.name.partition("-")[0] for path in roots.iterdir()} == {"base", "with", ".base",
                                                                         ".with"}  # fmt: skip

    # A shell, in a terminal, in the root of a build that failed.
    failing = link("failing", ["moving"], step="echo traced > trace; false")
    assert "the step “install”" in build(failing, check=False)
    typed = "cat main/trace /usr/share/moving/words; tty; touch /usr/left; exit 7\n"
    words = ("shell", failing, "-t", "demo-rpm-9", "--root", "chroot", "-o", out)
    shell = on_terminal([sys.executable, "-m", "builder", *words])
    shell.send(typed)
    said = seen(shell)
    assert shell.exitstatus == 7
    assert re.search(r"traced\s+moving\s", said)
    assert "not a tty" not in said
    assert "touch: cannot touch '/usr/left': Read-only file system" in said

    # Asked again, a mirror that says the same changes nothing; one that moved, all.
    mirrors_are_asked_again(roots)
    assert MAKES not in build(link("fourth", ["moving"]))
    (moving / "src/words").write_text("moved\n")
    config = moving / "config.xml"
    config.write_text(config.read_text().replace('version="1.0-1"', 'version="1.1-1"'))
    fill(table, moving, key)
    assert MAKES not in build(link("fifth", ["moving"]))
    mirrors_are_asked_again(roots)
    assert build(link("sixth", ["moving"])).count(MAKES) == 2
    rpm = next(out.glob("*/sixth-data-*.rpm"))
    cpio = subprocess.run(["rpm2cpio", rpm], capture_output=True, check=True).stdout
    assert b"sixth\nmoved\n" in cpio
