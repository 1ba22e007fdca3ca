# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache, and the roots: made whole or not at all, and never emptied through a mount."""

from __future__ import annotations

import multiprocessing
import os
import stat
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from opkg.errors import OpkgError
from opkg.native.mounts import mounts_in
from opkg.run import run
from tests.lab.cache import cached
from tests.lab.roots import debian_root, overlay, unpacked
from tests.lab.standin import read_rules

processes = multiprocessing.get_context("fork")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPKG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def writing(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


# The cache.


def test_an_entry_is_made_once_and_again_for_other_inputs(cache: Path) -> None:
    first = cached("thing", {"version": 1}, writing("one"))
    assert cached("thing", {"version": 1}, writing("never")) == first
    assert first.read_text() == "one"
    second = cached("thing", {"version": 2}, writing("two"))
    assert second.read_text() == "two"
    assert not first.exists()


def test_an_old_entry_is_made_anew(cache: Path) -> None:
    entry = cached("thing", 1, writing("old"), max_age=timedelta(days=14))
    fifteen_days_ago = entry.stat().st_mtime - timedelta(days=15).total_seconds()
    os.utime(entry, (fifteen_days_ago, fifteen_days_ago))
    assert cached("thing", 1, writing("new")).read_text() == "old"
    assert cached("thing", 1, writing("new"), max_age=timedelta(days=14)).read_text() == "new"


def test_a_maker_that_fails_leaves_the_former_entry_and_nothing_else(cache: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OpkgError("no")

    former = cached("thing", 1, writing("whole"))
    with pytest.raises(OpkgError):
        cached("thing", 2, fail)
    assert {path.name for path in former.parent.glob("*")} <= {former.name, ".lock"}


def test_nothing_half_made_is_seen_after_a_kill(cache: Path) -> None:
    def half(path: Path) -> None:
        path.mkdir()
        (path / "half").write_text("half")
        begun.set()
        forever.wait()

    begun, forever = processes.Event(), processes.Event()
    maker = processes.Process(target=cached, args=("thing", 1, half))
    maker.start()
    begun.wait()
    maker.kill()
    maker.join()
    entry = cached("thing", 1, writing("whole"))
    assert entry.read_text() == "whole"
    assert list(entry.parent.glob(".making-*")) == []


def test_two_processes_at_once_make_an_entry_once(cache: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def make(path: Path) -> None:
        with log.open("a") as stream:
            stream.write("made\n")
        path.write_text("whole")

    def ask(start: Event) -> None:
        start.wait()
        assert cached("thing", 1, make).read_text() == "whole"

    start = processes.Event()
    both = [processes.Process(target=ask, args=(start,)) for _ in range(2)]
    for process in both:
        process.start()
    start.set()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert log.read_text() == "made\n"


# Roots and mounts.


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    (folder / "mnt").mkdir(parents=True)
    (folder / "file").write_text("from the base")
    return folder


def test_an_overlay_changes_nothing_below_and_goes_with_its_mounts(cache: Path, base: Path) -> None:
    with overlay(base) as root:
        (root / "file").write_text("changed")
        run(["mount", "-t", "tmpfs", "none", root / "mnt"])
    assert (base / "file").read_text() == "from the base"
    assert mounts_in(cache) == []
    assert list((cache / "overlays").glob("tmp*")) == []


def test_the_overlay_of_a_killed_process_goes_with_the_next(cache: Path, base: Path) -> None:
    def hold() -> None:
        with overlay(base) as root:
            run(["mount", "-t", "tmpfs", "none", root / "mnt"])
            begun.set()
            forever.wait()

    begun, forever = processes.Event(), processes.Event()
    holder = processes.Process(target=hold)
    holder.start()
    begun.wait()
    with overlay(base):
        assert len(mounts_in(cache)) == 3, "that of a living process stays"
    holder.kill()
    holder.join()
    assert len(mounts_in(cache)) == 2
    with overlay(base) as root:
        assert mounts_in(cache) == [root]


@pytest.mark.slow
def test_a_debian_root_is_made_unpacked_and_laid_under() -> None:
    tarball = debian_root(read_rules().include)
    with overlay(unpacked(tarball)) as root:
        assert "ID=debian" in (root / "etc/os-release").read_text()
        assert (root / "usr/bin/su").stat().st_mode & stat.S_ISUID
        chrony = (root / "var/lib/chrony").stat()
        assert f"_chrony:x:{chrony.st_uid}:" in (root / "etc/passwd").read_text()
        assert run(["chroot", root, "dpkg", "--audit"]).stdout == ""
        assert "installed" in run(["chroot", root, "dpkg", "--status", "rsync"]).stdout
