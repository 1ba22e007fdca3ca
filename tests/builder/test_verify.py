# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc verify: what was built is built again, and must be the same."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder.conftest import Write, opkgc

pytestmark = pytest.mark.slow

BOTH = ("-t", "debian-12", "-t", "rocky-9")
FILES = {"testing/test_it": "#!/bin/sh\nexit 0\n", "doc/user.md": "one\ntwo\n"}
RELATION = "<serverDeps><requires><pkg>{}</pkg></requires></serverDeps>"


def manifests(out: Path) -> list[Path]:
    return sorted(out.glob("*/manifest.json"))


def verified(out: Path, *words: str | Path, status: int = 0) -> str:
    done = opkgc("verify", *manifests(out), *words, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def digests(out: Path) -> dict[str, str]:
    packages = [path for path in out.rglob("*.*") if path.suffix in (".deb", ".rpm", ".dsc")]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in packages}


def test_what_can_be_built_again_is_the_same(opkg: Write, tmp_path: Path) -> None:
    source, out = opkg(files=FILES), tmp_path / "out"
    opkgc("build", source, *BOTH, "-o", out)
    before = digests(out)
    shown = verified(out, source)
    assert shown == (
        "the same   sample  debian-12-x86_64  3 files\nthe same   sample  rocky-9-x86_64  3 files\n"
    )
    assert digests(out) == before


def test_what_a_recipe_gives_is_the_same(opkg: Write, tmp_path: Path) -> None:
    source, out = opkg(recipe=True), tmp_path / "out"
    opkgc("build", source, *BOTH, "-o", out)
    assert verified(out, source).count("the same   sample") == 2


def _edit(source: Path, path: str, text: str) -> None:
    (source / path).write_text(text)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda source: _edit(source, "doc/user.md", "one\nTWO\n"),
            ["/usr/share/doc/opkg-sample/user.md: content: line 2: “two” → “TWO”"] * 2,
        ),
        (
            lambda source: (source / "testing/test_it").chmod(0o644),
            [
                "packages/sample/testing/test_it: mode: “0755” → “0644”",
                "packages/sample/testing/test_it: mode: “-rwxr-xr-x” → “-rw-r--r--”",
            ],
        ),
        (
            lambda source: _edit(
                source,
                "config.xml",
                (source / "config.xml").read_text().replace("<pkg>alpha", "<pkg>beta"),
            ),
            [
                "field Depends: without “alpha”, with “beta”",
                "tag Requires: without “alpha”, with “beta”",
            ],
        ),
        (
            lambda source: (source / "doc/user.md").unlink(),
            ["/usr/share/doc/opkg-sample/user.md: is not there any more"] * 2,
        ),
    ],
    ids=["content", "mode", "relation", "file"],
)
def test_what_differs_is_named(
    opkg: Write, tmp_path: Path, change: Callable[[Path], None], found: list[str]
) -> None:
    source, out = opkg(body=RELATION.format("alpha"), files=FILES), tmp_path / "out"
    (source / "testing/test_it").chmod(0o755)
    opkgc("build", source, *BOTH, "-o", out)
    change(source)
    debs, _, rpms = verified(out, source, status=1).partition("  rocky-9")
    assert "the directory does not hold what the packages were made from" in debs
    assert "opkg-sample" in debs
    assert found[0] in debs
    assert found[1] in rpms


@pytest.mark.parametrize(
    "made", ["date +%s%N", "head -c 8 /dev/urandom | od -x"], ids=["date", "random"]
)
def test_a_recipe_that_gives_something_else_each_time_is_found_out(
    opkg: Write, tmp_path: Path, made: str
) -> None:
    source, out = opkg(recipe=True), tmp_path / "out"
    recipe = source / "build.toml"
    step = f'{made} > data\ninstall -D -m 644 data "$DEST'
    recipe.write_text(recipe.read_text().replace('install -D -m 644 data "$DEST', step))
    opkgc("build", source, *BOTH, "-o", out)
    shown = verified(out, source, status=1)
    assert shown.count("/usr/share/hello-sample/data: content: line 1: “") == 2
    assert "the directory does not hold" not in shown


def test_what_cannot_be_built_again_is_told_without_what_was_installed(
    opkg: Write, tmp_path: Path
) -> None:
    source, out = opkg(recipe=True), tmp_path / "out"
    opkgc("build", source, *BOTH, "-o", out)
    recipe = source / "build.toml"
    recipe.write_text(recipe.read_text().replace("run = '''", "run = '''\nfalse"))
    shown = verified(out, source, status=1)
    assert shown.count("cannot be built again") == 2
    assert "installed where it was built" not in shown


def test_a_file_that_is_not_the_manifests_is_named(opkg: Write, tmp_path: Path) -> None:
    source, out = opkg(files=FILES), tmp_path / "out"
    opkgc("build", source, *BOTH, "-o", out)
    deb = next(out.glob("*/opkg-sample_*.deb"))
    with deb.open("r+b") as stream:
        stream.seek(-300, os.SEEK_END)
        stream.write(b"x" * 300)
    rpm = next(out.glob("*/opkg-sample-1*.rpm"))
    os.truncate(rpm, rpm.stat().st_size // 2)
    next(out.glob("*/opkg-sample-client-1*.rpm")).unlink()
    shown = verified(out, source, status=1)
    assert f"  {deb.name}\n    is not the file that the manifest means\n    not a whole" in shown
    assert f"  {rpm.name}\n    is not the file that the manifest means\n    not a whole" in shown
    assert "noarch.rpm\n    is missing" in shown


def test_a_manifest_that_was_changed_with_its_package_is_found_out(
    opkg: Write, tmp_path: Path
) -> None:
    source, out = opkg(files=FILES), tmp_path / "out"
    opkgc("build", source, "-t", "debian-12", "-o", out)
    deb = next(out.glob("*/opkg-sample_*.deb"))
    unpacked = tmp_path / "unpacked"
    subprocess.run(["dpkg-deb", "-R", deb, unpacked], check=True)
    _edit(unpacked, "usr/share/doc/opkg-sample/user.md", "one\nevil\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-b", unpacked, deb], check=True)
    (path,) = manifests(out)
    manifest = json.loads(path.read_text())
    for artifact in manifest["artifacts"]:
        if artifact["file"] == deb.name:
            artifact["sha256"] = hashlib.sha256(deb.read_bytes()).hexdigest()
            artifact["size"] = deb.stat().st_size
    path.write_text(json.dumps(manifest))
    shown = verified(out, source, status=1)
    assert "user.md: content: line 2: “evil” → “two”" in shown
    assert "is not the file" not in shown


def test_an_opkg_that_the_manifest_does_not_know_is_refused(opkg: Write, tmp_path: Path) -> None:
    opkgc("build", opkg("one"), *BOTH, "-o", tmp_path / "out")
    done = opkgc("verify", *manifests(tmp_path / "out"), opkg("two"), check=False)
    assert done.returncode == 1
    assert "the manifest does not know the OPKG two" in done.stderr
    assert "it knows one" in done.stderr


def test_a_manifest_of_a_former_version_is_read(opkg: Write, tmp_path: Path) -> None:
    source, out = opkg(), tmp_path / "out"
    opkgc("build", source, "-t", "debian-12", "-o", out)
    (path,) = manifests(out)
    manifest = json.loads(path.read_text())
    for entry in manifest["inputs"]:
        for name in ("directory", "settings", "tools", "root", "sources", "packages"):
            del entry[name]
        entry["sha256"] = "0" * 64
    del manifest["records"]
    path.write_text(json.dumps(manifest))
    shown = verified(out, source, status=1)
    assert "which does not say which they were" in shown
    assert "opkg-sample" not in shown


def test_who_builds_and_where_makes_no_difference(
    opkg: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that leave modes and the order of files to their surroundings."""
    step = 'mkdir -p "$DESTDIR/usr/share/hello-sample/deep"; ls -l > /dev/null\n'
    step += 'for i in b a B A; do echo $i; done | sort > "$DESTDIR/usr/share/hello-sample/deep/x"\n'
    made = []
    for number in range(2):
        where = tmp_path / ("there/deeper" if number else "here")
        source = opkg(recipe=True, where=where, files=FILES)
        recipe = source / "build.toml"
        recipe.write_text(recipe.read_text().replace("run = '''\n", f"run = '''\n{step}"))
        old = os.umask(0o077 if number else 0o022)
        with monkeypatch.context() as patch:
            if number:
                settings = {"LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8", "TZ": "Asia/Tokyo",
                            "HOME": str(tmp_path), "USER": "somebody", "CFLAGS": "-O0",
                            "DEB_BUILD_OPTIONS": "nostrip", "MAKEFLAGS": "-k"}  # fmt: skip
                for name, value in settings.items():
                    patch.setenv(name, value)
                for path in source.rglob("*"):
                    os.utime(path, (time.time() - 4e8,) * 2)
                patch.chdir("/")
            try:
                jobs = ("-j", str(3 * number + 1))
                opkgc("build", source, opkg("other", where=where), *BOTH, *jobs, "-o", where / "o")
            finally:
                os.umask(old)
        made.append(digests(where / "o"))
    assert len(made[0]) > 8
    assert made[0] == made[1]
