# SPDX-License-Identifier: GPL-2.0-or-later
"""Recipes that other processes follow: a scheduler and workers on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from builder import farm as farm_module
from builder.cache import cache_path
from tests.builder.conftest import COPY, Link, Write, opkgc, results, words_in
from tests.builder.farms import Farm, until
from tests.builder.test_sources import archive, committed, source_package
from tests.builder.written import built
from tests.programs import running

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


def test_a_build_that_nobody_waits_for_ends_with_all_its_children(
    farm: Farm, words: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its run is interrupted, or the worker told to end: then it is done by another."""
    # A worker that ends in good order is not one that was lost.
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    farm.start()
    mark = f"sleep {os.getpid()}.125"
    for _ in range(2):
        farm.add_worker("--target", "debian-12")
    source = words("endless", step=f"setsid {mark} & {mark}")
    for word in (signal.SIGINT, signal.SIGTERM):
        process = farm.begin([source], tmp_path / "out")
        until(lambda: running(mark), "the step")
        process.send_signal(word)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert errors.splitlines()[-2] == "opkgc: error: interrupted"
        assert "Traceback" not in errors
        until(lambda: not running(mark) and not farm.building("endless"), "the end of the build")
    assert not list(farm.folder.glob("worker*-cache/builder/worker/.build-*"))
    mark = f"sleep 3.{os.getpid()}"
    source = words("twice", step=f"setsid {mark} & {mark}")
    process = farm.begin([source], tmp_path / "out")
    until(lambda: running(mark), "the step")
    (told,) = farm.building("twice")
    farm.workers[told].send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=60)
    assert [row["status"] for row in results(said)] == ["built"], errors
    assert farm.workers[told].wait(timeout=60) == 0
    log = farm.log(f"worker{told}")
    assert "ended     twice" in log
    assert log.splitlines()[-1].endswith(f" builds no more for {farm.url}")
    assert not running(mark)


def test_a_worker_needs_no_way_to_the_sources(
    farm: Farm, recipe: Write, served: tuple[Path, str], cache: Path, tmp_path: Path
) -> None:
    """opkgc has them, and they are gone from where they came from."""
    folder, url = served
    places = [folder / "thing.tar.gz", tmp_path / "upstream", tmp_path / "archive"]
    commit = committed(places[1], {"word": "committed\n"})
    source = recipe(
        f'url = "{url}/thing.tar.gz"\nsha256 = "{archive(places[0])}"\n'
        f'[source.second]\ngit = "file://{places[1]}"\ncommit = "{commit}"\n'
        f'[source.third]\ndebian = "thing"\nversion = "1.0"\n'
        f'sha256 = "{source_package(places[2])}"\nmirrors = ["file://{places[2]}"]',
        step=f"run = '''\ncat ../second/word ../third/thing >> thing\n{COPY}'''",
    )
    assert built(source, tmp_path / "one") == "fetched\ncommitted\ndebian\n"
    for place in places:
        place.rename(f"{place}.gone")
    farm.add_worker("--target", "debian-12")
    assert farm.build([source], tmp_path / "many") == {"thing": "built"}
    assert packages_in(tmp_path / "many") == packages_in(tmp_path / "one")
    # What was damaged on its way is not built from.
    (farm.folder / f"worker0-cache/builder/sources/{commit}-whole.tar").unlink()
    (kept,) = (farm.folder / "store").glob("*/*-whole.tar")
    kept.write_bytes(b"damaged")
    shutil.rmtree(next((farm.folder / "store").glob("*/thing_*.deb")).parent)
    done = opkgc("build", source, *farm.options(tmp_path / "again"), check=False)
    assert "the source “second” came damaged from the artifact store" in done.stderr
    assert farm.build([source], tmp_path / "again") == {"thing": "built"}


def certificate(folder: Path) -> Path:
    """A certificate that is its own authority, for all machines of a farm; the folder with the
    configuration that names it."""
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj",
         "/CN=farm", "-keyout", folder / "farm.key", "-out", folder / "farm.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    one = f"{{ cert: {folder}/farm.pem, key: {folder}/farm.key }}"
    (folder / "distributed.yaml").write_text(
        f"distributed:\n  comm:\n    require-encryption: true\n    tls:\n"
        f"      ca-file: {folder}/farm.pem\n"
        + "".join(f"      {role}: {one}\n" for role in ("scheduler", "worker", "client"))
    )
    return folder


def test_a_farm_asks_for_certificates(
    farm: Farm, words: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_CONFIG", str(certificate(tmp_path / "ours")))
    farm.start("--protocol", "tls")
    assert farm.url.startswith("tls://")
    farm.add_worker("--target", "debian-12")
    source = words("some")
    process = farm.begin([source], tmp_path / "out")
    said, errors = process.communicate(timeout=60)
    assert [row["status"] for row in results(said)] == ["built"], errors
    # Others have none, or another one.
    other = certificate(tmp_path / "other")
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "none"))
    for argv in (["worker", farm.url], ["build", source, *farm.options(tmp_path / "out")]):
        done = subprocess.run(
            [sys.executable, "-m", "builder", *argv], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert f"opkgc: error: {farm.url}: there is no certificate for TLS" in done.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(other / "farm.pem", other / "farm.key")
    host, _, port = farm.url.removeprefix("tls://").partition(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        context.wrap_socket(plain) as wrapped,
        pytest.raises(ssl.SSLError, match=r"(?i)unknown ca"),
    ):
        wrapped.recv(1)
