# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong while a recipe is followed: each ends the build with an error, leaves nothing
half-done, and nothing running."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from builder.roots import is_emulated
from opkg.manifest import read_manifest
from opkg.target import known_targets
from tests.builder.conftest import Write, opkgc
from tests.builder.written import refused
from tests.programs import running

pytestmark = pytest.mark.slow

NAME = "debian-12-x86_64"


def wait_for(state: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not state():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def begun(source: Path, out: Path, mark: str) -> Iterator[subprocess.Popen[str]]:
    """A build of which a step has come to run the program `mark`."""
    argv = [sys.executable, "-m", "builder", "build", source, "-t", "debian-12", "-o", out]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: running(mark) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        process.kill()
        process.wait()


def unfinished(out: Path) -> list[Path]:
    return list(out.glob("*/.build-*"))


def finished(out: Path) -> list[Path]:
    return [*out.glob("*/*.deb"), *out.glob("*/manifest.json")]


def test_a_step_that_fails_is_shown_with_the_end_of_its_log(recipe: Write, tmp_path: Path) -> None:
    said = refused(recipe(step="run = 'echo before; echo reason >&2; exit 7'"), tmp_path)
    assert "failed with exit status 7" in said
    assert "reason" in said
    assert "the step “install”" in said
    assert not finished(tmp_path / "out")
    assert not unfinished(tmp_path / "out")


def test_a_step_cannot_write_elsewhere(recipe: Write, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    step = f"run = 'touch {outside}/file || touch /usr/share/file || touch /etc/file'"
    source = recipe(step=step)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    assert "Read-only file system" in refused(source, tmp_path)
    assert not list(outside.iterdir())
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_a_step_has_no_network(recipe: Write, tmp_path: Path, served: tuple[Path, str]) -> None:
    folder, url = served
    (folder / "thing").write_text("from the network\n")
    fetch = f'import urllib.request as r; r.urlopen("{url}/thing", timeout=5)'
    said = refused(recipe(step=f"run = '''\npython3 -c '{fetch}' 2>&1 | tail -n 1\n'''"), tmp_path)
    assert "Connection refused" in said
    assert not (folder / "log").exists()


def test_a_source_with_a_wrong_digest_runs_no_step(recipe: Write, tmp_path: Path) -> None:
    archive = tmp_path / "thing"
    archive.write_text("other\n")
    digest = hashlib.sha256(b"this\n").hexdigest()
    said = refused(recipe(f'url = "file://{archive}"\nsha256 = "{digest}"'), tmp_path)
    assert digest in said
    assert not list(tmp_path.glob("out/*/logs/thing/*"))
    assert not unfinished(tmp_path / "out")


def test_a_process_of_a_step_has_so_much_memory_and_no_more(recipe: Write, tmp_path: Path) -> None:
    hog = "python3 -c 'x = bytearray(1 << 30)' 2>&1 | tail -n 1"
    said = refused(recipe(build="memory_mb = 256", step=f'run = "{hog}"'), tmp_path)
    assert "MemoryError" in said


def test_a_step_that_runs_for_ever_goes_with_its_children(recipe: Write, tmp_path: Path) -> None:
    mark = f"sleep {os.getpid()}.75"
    source = recipe(build="minutes = 1", step=f"run = 'setsid {mark} & {mark}'")
    argv = [sys.executable, "-c", _SHORT_MINUTES, "build", source, "-t", "debian-12"]
    done = subprocess.run(
        [*argv, "-o", tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "took longer than" in done.stderr
    wait_for(lambda: not running(mark))


# Minutes of a second, so that the test does not take one.
_SHORT_MINUTES = """
import builder.room as room
real = room.run
room.run = lambda *a, timeout=None, **k: real(*a, timeout=timeout and timeout / 60, **k)
from builder.cli import main
main()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_full_disk_leaves_what_was_there(recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", out], check=True)
    try:
        source = recipe()
        opkgc("build", source, "-t", "debian-12", "-o", out)
        before = (out / NAME / "manifest.json").read_bytes()
        path = source / "build.toml"
        good = path.read_text()
        path.write_text(good.replace("run = '", "run = 'head -c 8M /dev/zero > big; "))
        assert "No space left on device" in refused(source, tmp_path)
        assert (out / NAME / "manifest.json").read_bytes() == before
        manifest = read_manifest(out / NAME / "manifest.json")
        assert all((out / NAME / made.file).stat().st_size == made.size for made in manifest.files)
        assert not unfinished(out)
        path.write_text(good + "# changed\n")
        with suppress(OSError), (out / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(b"x" * 4096):
                pass
        assert "No space left on device" in refused(source, tmp_path)
        (out / "ballast").unlink()
        opkgc("build", source, "-t", "debian-12", "-o", out)
    finally:
        subprocess.run(["umount", out], check=True)


def test_a_build_that_is_killed_leaves_nothing_that_counts(recipe: Write, tmp_path: Path) -> None:
    mark, out = f"sleep {os.getpid()}.5", tmp_path / "out"
    source = recipe(step=f"run = 'setsid {mark} & {mark}'")
    with begun(source, out, mark) as process:
        process.kill()
        process.wait()
        wait_for(lambda: not running(mark))
    assert not finished(out)
    assert unfinished(out)
    path = source / "build.toml"
    path.write_text(path.read_text().replace(f"setsid {mark} & {mark}", _INSTALL))
    opkgc("build", source, "-t", "debian-12", "-o", out)
    assert finished(out)
    assert not unfinished(out)


_INSTALL = 'install -D -m 644 -t "$DESTDIR/usr/share/thing" thing'


@pytest.mark.parametrize("word", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_leaves_nothing(recipe: Write, tmp_path: Path, word: str) -> None:
    mark, out = f"sleep {os.getpid()}.25", tmp_path / "out"
    source = recipe(step=f"run = 'setsid {mark} & {mark}'")
    with begun(source, out, mark) as process:
        process.send_signal(signal.Signals[word])
        _, said = process.communicate(timeout=30)
        assert process.returncode == 1
        assert said.splitlines()[-2:] == [
            "opkgc: error: interrupted",
            "  what is done stays done; the same command does the rest",
        ]
        wait_for(lambda: not running(mark))
    assert not finished(out)


def test_what_cannot_be_compiled_here_is_refused_with_the_remedy(
    recipe: Write, tmp_path: Path
) -> None:
    source = recipe()
    words = ("--root", "host", "-o", tmp_path / "out")
    opkgc("build", source, "-t", "debian-12-riscv64", *words)  # the same for all architectures
    path = source / "build.toml"
    path.write_text(path.read_text().replace('architecture = "all"', 'architecture = "native"'))
    done = opkgc("build", source, "-t", "debian-12-riscv64", *words, check=False)
    assert done.returncode == 1
    assert "thing cannot be compiled for debian-12-riscv64" in done.stderr
    assert "qemu-user-static" in done.stderr


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("enabled\ninterpreter /usr/bin/qemu\nflags: POCF\n", True),
        ("enabled\ninterpreter /usr/bin/qemu\nflags: \n", False),
        ("disabled\ninterpreter /usr/bin/qemu\nflags: F\n", False),
    ],
)
def test_an_architecture_is_emulated_when_the_kernel_keeps_the_emulator_open(
    tmp_path: Path, said: str, known: bool
) -> None:
    (tmp_path / "qemu-riscv64").write_text(said)
    assert is_emulated(known_targets().find("debian-12-riscv64"), tmp_path) is known
    assert not is_emulated(known_targets().find("debian-12-ppc64le"), tmp_path)
