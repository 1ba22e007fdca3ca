# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the sources of recipes come from."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.builder.conftest import Write
from tests.builder.written import refused, staged

pytestmark = pytest.mark.slow


def archive(path: Path, text: str = "fetched\n") -> str:
    """Write an archive with a file `thing` in a folder; its SHA-256."""
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("thing-1.0/thing")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_source_is_fetched_once_from_the_first_place_that_has_it(
    recipe: Write, served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    digest = archive(folder / "thing-1.0.tar.gz")
    source = recipe(
        f'url = "{url}/gone/thing-${{OPKG_VERSION}}.tar.gz"\nsha256 = "{digest}"\n'
        f'mirrors = ["{url}/thing-${{OPKG_VERSION}}.tar.gz"]'
    )
    assert staged(source, tmp_path / "one") == "fetched\n"
    (folder / "thing-1.0.tar.gz").unlink()
    assert staged(source, tmp_path / "two") == "fetched\n"


def test_a_source_with_other_contents_is_refused(
    recipe: Write, served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    digest = archive(folder / "thing.tar.gz")
    archive(folder / "thing.tar.gz", "something else\n")
    source = recipe(f'url = "{url}/thing.tar.gz"\nsha256 = "{digest}"')
    assert f"the recipe says {digest}" in refused(source, tmp_path)


def test_an_interrupted_download_goes_on(
    recipe: Write, served: tuple[Path, str], tmp_path: Path, cache: Path
) -> None:
    folder, url = served
    digest = archive(folder / "thing.tar.gz")
    part = cache / f"builder/sources/{digest}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes((folder / "thing.tar.gz").read_bytes()[:40])
    source = recipe(f'url = "{url}/thing.tar.gz"\nsha256 = "{digest}"')
    assert staged(source, tmp_path / "out") == "fetched\n"
    assert (folder / "log").read_text() == "/thing.tar.gz bytes=40-\n"


def git(folder: Path, *words: str | Path) -> str:
    """Run git in a repository, and return what it says."""
    identity = {"GIT_AUTHOR_NAME": "M", "GIT_AUTHOR_EMAIL": "m@sample.example"}
    identity |= {"GIT_COMMITTER_NAME": "M", "GIT_COMMITTER_EMAIL": "m@sample.example"}
    argv = ["git", "-C", folder, "-c", "protocol.file.allow=always", *words]
    env = {**os.environ, **identity}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout


def committed(folder: Path, files: dict[str, str]) -> str:
    """Write files into a repository, which may be new; the commit that has them."""
    if not folder.exists():
        folder.mkdir()
        git(folder, "init", "--quiet")
    for path, text in files.items():
        (folder / path).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "change")
    return git(folder, "rev-parse", "HEAD").strip()


def test_a_commit_is_taken_from_git(recipe: Write, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    old = committed(upstream, {"thing": "old\n"})
    committed(upstream, {"thing": "new\n"})
    source = recipe(f'git = "file://{upstream}"\ncommit = "{old}"')
    assert staged(source, tmp_path / "out") == "old\n"
    never = "0" * 40
    source = recipe(f'git = "file://{upstream}"\ncommit = "{never}"')
    assert f"no place gives the commit {never}" in refused(source, tmp_path)


def test_submodules_come_as_their_commits_pin_them(recipe: Write, tmp_path: Path) -> None:
    inner, middle, outer = (tmp_path / name for name in ("inner", "middle", "outer"))
    committed(inner, {"word": "pinned\n"})
    committed(middle, {"with": "middle\n"})
    git(middle, "submodule", "--quiet", "add", "../inner", "deep down")
    committed(middle, {})
    committed(outer, {"main": "outer\n"})
    git(outer, "submodule", "--quiet", "add", f"file://{middle}", "parts/middle")
    commit = committed(outer, {})
    committed(inner, {"word": "moved on\n"})
    step = "run = \"cat main parts/middle/with 'parts/middle/deep down/word' > thing\\n"
    step += 'install -D -m 644 -t $DESTDIR/usr/share/thing thing"'
    source = recipe(f'git = "file://{outer}"\ncommit = "{commit}"', step=step)
    assert staged(source, tmp_path / "one") == "outer\nmiddle\npinned\n"


def test_a_submodule_that_is_gone_is_named(recipe: Write, tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    pinned = committed(inner, {"word": "here\n"})
    committed(outer, {"main": "outer\n"})
    git(outer, "submodule", "--quiet", "add", f"file://{inner}", "inner")
    commit = committed(outer, {})
    inner.rename(tmp_path / "gone")
    source = recipe(f'git = "file://{outer}"\ncommit = "{commit}"')
    said = refused(source, tmp_path)
    assert f"no place gives the commit {pinned}" in said
    assert f"file://{inner}" in said


def test_a_zip_is_unpacked_inside_its_folder_only(recipe: Write, tmp_path: Path) -> None:
    def pack(name: str, text: str) -> Path:
        path = tmp_path / "thing.zip"
        with zipfile.ZipFile(path, "w") as packed:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            packed.writestr(entry, text)
        return path

    step = "run = './thing > made\ninstall -D -m 644 made $DESTDIR/usr/share/thing/thing'"
    step = step.replace("'", '"').replace("\n", "\\n")
    path = pack("thing-1.0/thing", "#!/bin/sh\necho zipped\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = recipe(f'url = "file://{path}"\nsha256 = "{digest}"', step=step)
    assert staged(source, tmp_path / "one") == "zipped\n"
    digest = hashlib.sha256(pack("../../out", "#!/bin/sh\n").read_bytes()).hexdigest()
    source = recipe(f'url = "file://{path}"\nsha256 = "{digest}"', step=step)
    refused(source, tmp_path)
    path.write_bytes(b"no archive")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = recipe(f'url = "file://{path}"\nsha256 = "{digest}"')
    assert "unzip failed" in refused(source, tmp_path)


def source_package(archive: Path) -> str:
    """Make an archive of Debian with a source package `thing`; the SHA-256 of its .dsc."""
    pool = archive / "pool/main/t/thing"
    tree = pool / "thing-1.0"
    (tree / "debian/source").mkdir(parents=True)
    (tree / "thing").write_text("debian\n")
    (tree / "debian/source/format").write_text("3.0 (native)\n")
    (tree / "debian/control").write_text(
        "Source: thing\nMaintainer: M <m@sample.example>\n\n"
        "Package: thing\nArchitecture: all\nDescription: a thing\n"
    )
    (tree / "debian/changelog").write_text(
        "thing (1.0) unstable; urgency=low\n\n  * New.\n\n"
        " -- M <m@sample.example>  Sun, 01 Mar 2026 12:00:00 +0000\n"
    )
    subprocess.run(["dpkg-source", "-b", tree.name], cwd=pool, check=True, capture_output=True)
    return hashlib.sha256((pool / "thing_1.0.dsc").read_bytes()).hexdigest()


def test_a_source_package_of_debian_is_taken_by_name_and_version(
    recipe: Write, tmp_path: Path
) -> None:
    digest = source_package(tmp_path / "archive")
    source = recipe(
        f'debian = "thing"\nversion = "1.0"\nsha256 = "{digest}"\n'
        f'mirrors = ["file://{tmp_path}/archive"]'
    )
    assert staged(source, tmp_path / "out") == "debian\n"


def test_patches_are_applied_and_one_that_does_not_fit_is_named(
    recipe: Write, tmp_path: Path
) -> None:
    patch = "--- a/thing\n+++ b/thing\n@@ -1 +1 @@\n-{old}\n+patched\n"
    files = {"one.patch": patch.format(old="here")}
    source = recipe('path = "src"\npatches = ["one.patch"]', files=files)
    assert staged(source, tmp_path / "out") == "patched\n"
    (source / "one.patch").write_text(patch.format(old="elsewhere"))
    assert "one.patch does not fit" in refused(source, tmp_path)
    assert (source / "src/thing").read_text() == "here\n"
