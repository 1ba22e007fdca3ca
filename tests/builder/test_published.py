# SPDX-License-Identifier: GPL-2.0-or-later
"""Build requirements that come from a published repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from opkg.manifest import Input, read_manifest
from tests.builder.conftest import Link, opkgc
from tests.builder.test_roots import BUILDING
from tests.lab.signing import throwaway_key
from tests.lab.standin import KEY_FILE, standin_repository
from tests.programs import forked
from tests.repo_server.clients import any_web_server

pytestmark = pytest.mark.slow

BOTH = ("-t", "debian-12", "-t", "demo-rpm-9")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with nothing in it yet."""
    demo, table = standin_repository(BUILDING), tmp_path / "targets.toml"
    table.write_text(
        f'[distributions.demo-rpm-9]\nmirrors = [{{ name = "demo", url = "file://{demo}", '
        f'key = "file://{demo / KEY_FILE}" }}]\n'
    )
    monkeypatch.setenv("OPKG_TARGETS", str(table))
    assert forked("repo_server", "init", tmp_path / "repository").returncode == 0
    return tmp_path / "repository"


@pytest.fixture
def url(tree: Path) -> Iterator[str]:
    with any_web_server(tree) as top:
        yield f"{top}live"


def publish(tree: Path, out: Path) -> None:
    manifests = sorted(out.glob("*/manifest.json"))
    done = forked("repo_server", "add", tree, "--channel", "stable", *manifests)
    assert done.returncode == 0, done.stderr
    done = forked("repo_server", "publish", tree)
    assert done.returncode == 0, done.stderr


def test_what_a_recipe_requires_comes_from_a_repository(
    link: Link, tree: Path, url: str, tmp_path: Path
) -> None:
    """With what that requires there in turn; its version and digest decide what is built again."""
    first, out = tmp_path / "first", tmp_path / "out"
    base, near, other = link("base"), link("near", installed=["base"]), link("other")
    opkgc("build", base, near, other, *BOTH, "--root", "host", "-o", first)
    publish(tree, first)
    repo = ("--repo", url, "stable", tree / "live/keys/repository.asc")
    last = link("last", ["near"], step="cat /usr/share/base/words")

    def build() -> str:
        return opkgc("build", last, *BOTH, *repo, "-o", out).stderr

    assert "2 built" in build()
    for target, tag in (("debian-12-x86_64", "~deb12"), ("demo-rpm-9-x86_64", ".demo9")):
        there = {
            a.name: a.sha256 for a in read_manifest(first / target / "manifest.json").artifacts
        }
        used = inputs(out, target).published
        assert [(p.name, p.version) for p in used] == [
            ("base-data", f"1.0-1{tag}"),
            ("near-data", f"1.0-1{tag}"),
        ]
        # rpm's packages were signed when they were published.
        assert target.startswith("demo") or all(there[p.name] == p.sha256 for p in used)
        assert "base" in (out / target / "logs/last/1-install.log").read_text()
        assert "near-data 1.0-1" in (out / target / "records/last.packages").read_text()
    assert "2 unchanged" in build()
    raise_version(other)
    opkgc("build", other, *BOTH, "--root", "host", "-o", first)
    publish(tree, first)
    assert "2 unchanged" in build()
    raise_version(base)
    opkgc("build", base, *BOTH, "--root", "host", "-o", first)
    publish(tree, first)
    assert "2 built" in build()
    assert inputs(out, "debian-12-x86_64").published[0].version == "1.1-1~deb12"


def test_a_repository_that_cannot_be_trusted_or_read_is_refused(
    link: Link, tree: Path, url: str, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    opkgc("build", link("near"), *BOTH, "--root", "host", "-o", first)
    publish(tree, first)
    last, key = link("last", ["near", "away"]), tmp_path / "key.asc"

    def refused(address: str, channel: str = "stable", target: str = "debian-12") -> str:
        words = ("-t", target, "--repo", address, channel, key, "-o", tmp_path / "out")
        done = opkgc("build", last, *words, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    assert f"{key}: No such file" in refused(url)
    key.write_text("no key\n")
    assert "no OpenPGP public key" in refused(url)
    with throwaway_key("somebody <else@localhost>") as other:
        key.write_text(other.public())
    for target in ("debian-12", "demo-rpm-9"):
        said = refused(url, target=target)
        assert f"no signature by {key}" in said
        assert "keys/repository.asc" in said
    key.write_text((tree / "live/keys/repository.asc").read_text())
    assert "the published repository cannot be read" in refused("http://127.0.0.1:9")
    assert "404" in refused(url, channel="testing")
    assert "away-data" in refused(url)
    packages = tree / "live/rpm/stable/demo-rpm-9-x86_64/repodata"
    primary = next(packages.glob("*primary.xml*"))
    primary.write_bytes(primary.read_bytes() + b"more")
    assert "this is not what the repository signed" in refused(url, target="demo-rpm-9")


def inputs(out: Path, target: str) -> Input:
    return read_manifest(out / target / "manifest.json").inputs[0]


def raise_version(source: Path) -> None:
    path = source / "config.xml"
    path.write_text(path.read_text().replace('version="1.0-1"', 'version="1.1-1"'))
