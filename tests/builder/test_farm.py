# SPDX-License-Identifier: GPL-2.0-or-later
"""Recipes that other processes follow: a scheduler and workers on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from builder import farm as farm_module
from builder.cache import cache_path
from tests.builder.conftest import Link, Write, opkgc, results, words_in

pytestmark = pytest.mark.slow

DEB = "debian-12-x86_64"
STEP = """
[source.main]
path = "src"

[[step]]
name = "install"
run = '''
{step}
install -D -m 644 words "$DESTDIR/usr/share/{name}/words"
'''

[[package]]
name = "{name}-data"
summary = "words of {name}"
description = "What others read."
architecture = "all"
files = ["/usr/share/{name}/**"]
"""


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


@dataclass
class Farm:
    """A scheduler, workers, and the store that they share. Each worker has a cache of its own,
    unless there is a common `cache`."""

    folder: Path
    stack: ExitStack
    cache: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        known = self.folder / "scheduler.json"
        known.unlink(missing_ok=True)
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self._run(
            "scheduler", ["distributed.cli.dask_scheduler", *words, "--scheduler-file", known]
        )
        until(known.exists, "the scheduler")
        self.url = json.loads(known.read_text())["address"]

    def add_worker(self, *words: str) -> None:
        name = f"worker{len(self.workers)}"
        self.workers.append(self._run(name, ["builder", "worker", self.url, *words]))
        until(lambda: " for tcp://" in self.log(name), f"{name}: {self.log(name)}")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def _run(self, name: str, module: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env={**os.environ, "OPKG_CACHE": self.cache or str(self.folder / f"{name}-cache")},
            stdout=log,
            stderr=log,
        )
        self.stack.callback(lambda: (process.kill(), process.wait()))
        return process

    def options(self, out: Path) -> list[str | Path]:
        where = ["--executor", f"dask:{self.url}", "--store", str(self.folder / "store")]
        return ["-t", "debian-12", "--json", "-o", out, *where]

    def build(self, sources: Sequence[Path], out: Path) -> dict[str, str]:
        done = opkgc("build", *sources, *self.options(out))
        return {row["opkg"]: row["status"] for row in results(done.stdout)}

    def begin(self, sources: Sequence[Path], out: Path) -> subprocess.Popen[str]:
        """The same as a process of its own."""
        words = ["build", *sources, *self.options(out), "--no-lint"]
        argv = [sys.executable, "-m", "builder", *words]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stack.callback(process.kill)
        return process

    def building(self, name: str) -> list[int]:
        """The workers that have begun with an OPKG, and have not ended."""
        found = []
        for number in range(len(self.workers)):
            lines = [line for line in self.log(f"worker{number}").splitlines() if name in line]
            if lines and lines[-1].startswith("building"):
                found.append(number)
        return found


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    folder = tmp_path / "farm"
    folder.mkdir()
    with ExitStack() as stack:
        made = Farm(folder, stack)
        made.start()
        yield made


@pytest.fixture
def words(opkg: Write) -> Write:
    def write(name: str, step: str = ":") -> Path:
        files = {"build.toml": STEP.format(name=name, step=step), "src/words": f"{name}\n"}
        return opkg(name, files=files)

    return write


def packages_in(out: Path) -> dict[str, bytes]:
    found = [*out.glob("*/*.deb"), *out.glob("*/source/*")]
    return {path.name: path.read_bytes() for path in found}


def test_a_lost_worker_is_replaced_and_the_bytes_are_those_of_one_machine(
    farm: Farm, words: Write, tmp_path: Path
) -> None:
    sources = [words(f"words{number}") for number in range(4)]
    sources.append(words("slow", step="sleep 3"))
    for _ in range(3):
        farm.add_worker("--target", "debian-12")
    process = farm.begin(sources, tmp_path / "many")
    until(lambda: bool(farm.building("slow")), "the slow one")
    (victim,) = farm.building("slow")
    farm.workers[victim].send_signal(signal.SIGKILL)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert {row["status"] for row in results(said)} == {"built"}
    others = [farm.log(f"worker{number}") for number in range(3) if number != victim]
    assert any("built     slow" in log for log in others)
    opkgc("build", *sources, "-t", "debian-12", "-o", tmp_path / "one")
    assert len(packages_in(tmp_path / "one")) == 5 * 7
    assert packages_in(tmp_path / "many") == packages_in(tmp_path / "one")
    assert (tmp_path / "many" / DEB / "logs/slow/1-install.log").read_text().startswith("$ bash")


def test_when_the_scheduler_is_lost_a_new_run_goes_on(
    farm: Farm, words: Write, tmp_path: Path
) -> None:
    sources, out = [words("quick"), words("slow", step="sleep 3")], tmp_path / "out"
    for _ in range(2):
        farm.add_worker("--target", "debian-12")
    process = farm.begin(sources, out)
    until(lambda: bool(list(out.glob("*/quick-data*.deb")) and farm.building("slow")), "quick")
    farm.scheduler.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"dask:{farm.url}: the scheduler of the farm is gone" in errors
    assert "Traceback" not in errors
    farm.start()
    farm.add_worker("--target", "debian-12")
    assert farm.build(sources, out)["quick"] == "unchanged"
    assert list(out.glob("*/slow-data*.deb"))


def test_what_fails_there_is_told_here(farm: Farm, words: Write, tmp_path: Path) -> None:
    farm.add_worker("--target", "debian-12")
    source, out = words("broken", step="echo this is why; false"), tmp_path / "out"
    done = opkgc("build", source, *farm.options(out), check=False)
    assert done.returncode == 1
    assert "  | this is why" in done.stderr
    assert "this is why" in (out / DEB / "logs/broken/1-install.log").read_text()


def test_a_target_that_nobody_builds_for_is_named(
    farm: Farm, words: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm_module, "_PATIENCE", 1)
    farm.add_worker("--target", "debian-13")
    done = opkgc("build", words("some"), *farm.options(tmp_path / "out"), check=False)
    assert done.returncode == 1
    assert f"no worker of the farm builds for {DEB}" in done.stderr
    assert "workers build for debian-13-x86_64" in done.stderr


def test_a_store_that_workers_do_not_reach_is_named(
    farm: Farm, words: Write, tmp_path: Path
) -> None:
    """The worker sees another folder where the store should be."""
    farm.add_worker("--target", "debian-12")
    (farm.folder / "elsewhere").mkdir()
    words_ = farm.options(tmp_path / "out")
    words_[words_.index("--store") + 1] = "/proc/self/cwd/store"
    done = subprocess.run(
        [sys.executable, "-m", "builder", "build", words("some"), *words_],
        cwd=farm.folder / "elsewhere",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "does not find the inputs in the artifact store" in done.stderr


def test_a_scheduler_that_is_not_there_is_named(words: Write, tmp_path: Path) -> None:
    where = ["--executor", "dask:tcp://127.0.0.1:1", "-o", tmp_path, "--store", tmp_path / "store"]
    done = opkgc("build", words("some"), "-t", "debian-12", *where, check=False)
    assert done.returncode == 1
    assert "tcp://127.0.0.1:1: no scheduler can be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_one_worker_made_another_one_uses(farm: Farm, link: Link, tmp_path: Path) -> None:
    farm.cache = str(cache_path("").parent)  # build roots take long to make
    for _ in range(2):
        farm.add_worker("--target", "debian-12")
    sources = [link("third", ["second"]), link("second", ["first"]), link("first")]
    assert set(farm.build(sources, tmp_path / "out").values()) == {"built"}
    assert words_in(tmp_path / "out", "third") == ["third", "second", "first"]
