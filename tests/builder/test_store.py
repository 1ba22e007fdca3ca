# SPDX-License-Identifier: GPL-2.0-or-later
"""What was built before, taken from a store."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buckets import bucket_service
from tests.builder.conftest import Write, opkgc, results

pytestmark = pytest.mark.slow

DEB = "debian-12-x86_64"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A place in a bucket."""
    with bucket_service("artifacts", tmp_path_factory.mktemp("s3") / "log"):
        yield "s3://artifacts/of/us"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def build(source: Path, out: Path, store: str, *words: str) -> tuple[str, str]:
    """What became of it, and what was said."""
    words = ("-t", "debian-12", "-o", str(out), "--store", store, "--json", *words)
    done = opkgc("build", source, *words)
    return results(done.stdout)[0]["status"], done.stderr


def files_in(out: Path) -> dict[str, bytes]:
    found = (path for path in out.glob("*/**/*") if path.is_file() and "logs" not in path.parts)
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def test_another_folder_gets_the_same_from_the_store(
    opkg: Write, tmp_path: Path, store: str
) -> None:
    source = opkg(recipe=True)
    assert build(source, tmp_path / "one", store)[0] == "built"
    words = ("-t", "debian-12", "-o", tmp_path / "two", "--store", store, "--json")
    assert json.loads(opkgc("plan", source, *words).stdout)[0]["action"] == "from store"
    assert build(source, tmp_path / "two", store)[0] == "from store"
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")
    assert build(source, tmp_path / "two", store)[0] == "unchanged"
    (source / "src/data").write_text("changed\n")
    assert build(source, tmp_path / "two", store)[0] == "built"


def test_what_is_damaged_is_built_again(opkg: Write, tmp_path: Path, folder: str) -> None:
    source = opkg(recipe=True)
    build(source, tmp_path / "one", folder)
    for name, harm in (
        ("hello-sample_*.deb", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x")),
        ("source/*.dsc", lambda path: path.unlink()),
        ("entry.json", lambda path: path.write_text("{")),
    ):
        harm(next(Path(folder).glob(f"*/{name}")))
        out = tmp_path / name.partition("*")[0]
        status, said = build(source, out, folder)
        assert (status, "for it was damaged" in said) == ("built", True), name
        assert files_in(out) == files_in(tmp_path / "one")


def test_an_entry_that_leads_out_of_its_folder_is_damaged(
    opkg: Write, tmp_path: Path, folder: str
) -> None:
    source = opkg(recipe=True)
    build(source, tmp_path / "one", folder)
    entry = next(Path(folder).glob("*/entry.json"))
    entry.write_text(entry.read_text().replace('"hello-sample', '"../hello-sample'))
    assert build(source, tmp_path / "two", folder)[0] == "built"


def test_what_was_used_least_recently_goes(opkg: Write, tmp_path: Path, folder: str) -> None:
    sources = [opkg(name, recipe=True) for name in ("one", "two", "three")]
    for source in sources[:2]:
        build(source, tmp_path / "out", folder)
    os.utime(next(Path(folder).glob("*/hello-one_*")).parent, (1, 1))
    size = sum(path.stat().st_size for path in Path(folder).rglob("*"))
    build(sources[2], tmp_path / "out", folder, "--store-gb", str((size + 9000) / 1e9))
    left = {path.name.partition("_")[0] for path in Path(folder).glob("*/hello-*.deb")}
    assert left == {"hello-two", "hello-three"}


def test_what_nobody_has_looked_at_is_looked_at(opkg: Write, tmp_path: Path, folder: str) -> None:
    source = opkg(recipe=True)
    recipe = source / "build.toml"
    recipe.write_text(recipe.read_text().replace('"bash"', '"dpkg"'))
    build(source, tmp_path / "one", folder)
    words = ("-t", "debian-12", "-o", tmp_path / "two", "--store", folder)
    done = opkgc("build", source, *words, check=False, lint=True)
    assert done.returncode == 1
    assert "depends-on-essential-package-without-using-version" in done.stderr


def test_a_store_that_cannot_be_is_refused(opkg: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ("-t", "debian-12", "-o", tmp_path / "out", "--store", tmp_path / "file")
    done = opkgc("build", opkg(recipe=True), *words, check=False)
    assert done.returncode == 1
    assert "file: this is no folder, and no artifact store" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bucket_that_is_not_there_is_named(opkg: Write, tmp_path: Path, bucket: str) -> None:
    words = ("-t", "debian-12", "-o", tmp_path / "out", "--store", "s3://nowhere")
    done = opkgc("build", opkg(recipe=True), *words, check=False)
    assert done.returncode == 1
    assert "s3://nowhere: the artifact store cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
