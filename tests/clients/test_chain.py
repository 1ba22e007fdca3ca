# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole chain, by the real commands and the real apt and dnf: OPKGs are built, published and
installed into a headnode and two images; and refused where anything on the way was changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from opkg.native.mounts import remove_tree
from tests.builder.conftest import CONFIG
from tests.lab.roots import debian_root, unpack
from tests.lab.standin import KEY_FILE, standin_repository
from tests.programs import forked

pytestmark = pytest.mark.slow

TELL = '#!/bin/sh\necho "{word} $OSCAR_PACKAGE_HOME $*" >> /told\n'


@dataclass(frozen=True)
class World:
    """A served repository, a headnode root and two images, with OPD's state."""

    folder: Path
    url: str
    headnode: Path

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def deb(self) -> Path:
        return self.folder / "compute-deb"

    @property
    def rpm(self) -> Path:
        return self.folder / "state/images/compute-rpm/root"

    def opd(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        base = ["--state", self.folder / "state", "--headnode-root", self.headnode]
        return _program("opd", *base, *words, check=check)

    def publish(self, **opkgs: dict[str, str]) -> None:
        """Build OPKGs, by name the files of each beside config.xml, and publish them."""
        for name, files in opkgs.items():
            version = files.pop("version", "1.0-1")
            source = self.folder / "opkgs" / name
            shutil.rmtree(source, ignore_errors=True)
            config = CONFIG.format(name=name, version=version, body=files.pop("body", ""))
            for path, text in {"config.xml": config, **files}.items():
                (source / path).parent.mkdir(parents=True, exist_ok=True)
                (source / path).write_text(text)
            out = self.folder / "out"
            _program("builder", "build", source, "-t", "debian-12", "-t", "demo-rpm", "-o", out)
        manifests = self.folder.glob("out/*/manifest.json")
        _program("repo_server", "add", self.repository, "--channel", "stable", *manifests)
        _program("repo_server", "publish", self.repository)

    def images(self) -> list[str | Path]:
        return ["--image", self.deb, "--image", "compute-rpm"]

    def version(self, root: Path, package: str) -> str:
        """What dpkg or rpm says of a package; "" where it is not installed."""
        if (root / "var/lib/dpkg/status").exists():
            argv = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f",
                    "${db:Status-Status} ${Version}", package]  # fmt: skip
            found = subprocess.run(argv, capture_output=True, text=True).stdout
            return found.removeprefix("installed ") if found.startswith("installed ") else ""
        # Read-only, since reading rpm's database writes beside it.
        argv = ["bwrap", "--ro-bind", "/", "/", "rpm", "--root", str(root),
                "--define", "_dbpath /var/lib/rpm", "-q", "--qf",
                "%{VERSION}-%{RELEASE}", package]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""


def _program(name: str, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = forked(name, *words)
    assert not check or done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("chain")
    standin = standin_repository()
    targets = folder / "targets.toml"
    targets.write_text(
        '[[distributions.demo-rpm-9.mirrors]]\nname = "demo-rpm"\n'
        f'url = "{standin.as_uri()}"\nkey = "{(standin / KEY_FILE).as_uri()}"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPKG_TARGETS", str(targets))
        _program("repo_server", "init", folder / "repository")
        server, url = _serve(folder / "repository")
        made = World(folder, url, folder / "headnode")
        try:
            for root in (made.headnode, made.deb):
                unpack(debian_root(), root)
                # What these OPKGs need is in the root: no test here asks the Debian archive.
                (root / "etc/apt/sources.list").unlink(missing_ok=True)
                shutil.rmtree(root / "etc/apt/sources.list.d")
            made.opd("image", "create", "compute-rpm", "-t", "demo-rpm")
            made.publish(first={})
            pinned = folder / "repository/live/keys/root.json"
            made.opd("repo", "add", url, "--root-key", pinned, "--name", "test")
            yield made
        finally:
            server.terminate()
            server.wait()
            remove_tree(folder)


def _serve(repository: Path) -> tuple[subprocess.Popen[str], str]:
    argv = [sys.executable, "-m", "repo_server", "serve", str(repository), "--port", "0"]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    return server, server.stdout.readline().strip().rstrip("/")


def look(root: Path) -> str:
    """A digest over all that a root holds: names, owners, modes, contents and links."""
    digest = hashlib.sha256()
    for path in sorted(Path(root).resolve().rglob("*")):
        status = path.lstat()
        entry = [str(path), status.st_uid, status.st_gid, status.st_mode, status.st_mtime_ns]
        if stat.S_ISREG(status.st_mode):
            entry.append(hashlib.sha256(path.read_bytes()).hexdigest())
        elif stat.S_ISLNK(status.st_mode):
            entry.append(str(path.readlink()))
        digest.update(repr(entry).encode())
    return digest.hexdigest()


def told(root: Path) -> list[str]:
    path = root / "told"
    return path.read_text().splitlines() if path.exists() else []


def test_parts_go_where_they_belong_and_scripts_run_in_order(world: World) -> None:
    scripts = {
        f"scripts/{name}": TELL.format(word=name)
        for name in ("server-post-install", "client-post-install", "api-post-image")
    }
    world.publish(
        alpha={"body": "<requires><pkg>zeta</pkg></requires>", **scripts}, zeta=dict(scripts)
    )
    world.opd("update")
    world.opd("install", "alpha", "--headnode", *world.images())
    for name in ("alpha", "zeta"):
        assert world.version(world.headnode, f"opkg-{name}") == "1.0-1~deb12"
        assert world.version(world.headnode, f"opkg-{name}-server") == "1.0-1~deb12"
        assert world.version(world.deb, f"opkg-{name}-client") == "1.0-1~deb12"
        assert world.version(world.rpm, f"opkg-{name}-client") == "1.0-1.demo9"
        assert not world.version(world.deb, f"opkg-{name}")
    home = "/usr/lib/oscar/packages"
    order = [f"client-post-install {home}/{name} " for name in ("zeta", "alpha")]
    assert told(world.deb) == told(world.rpm) == order
    assert told(world.headnode) == [
        f"server-post-install {home}/zeta ",
        f"server-post-install {home}/alpha ",
        *(
            f"api-post-image {home}/{name} {root}"
            for root in (world.deb, world.rpm.resolve().parent / "1")
            for name in ("zeta", "alpha")
        ),
    ]


def test_doing_it_again_changes_nothing(world: World) -> None:
    world.opd("install", "first", "--headnode", *world.images())
    before = [look(world.deb), str(world.rpm.resolve()), told(world.headnode)]
    world.opd("install", "first", "--headnode", *world.images())
    assert [look(world.deb), str(world.rpm.resolve()), told(world.headnode)] == before


def test_a_newer_version_takes_the_place_of_the_old(world: World) -> None:
    world.publish(grows={})
    world.opd("update")
    world.opd("install", "grows", *world.images())
    world.publish(grows={"version": "1.1-1"})
    world.opd("update")
    world.opd("install", "grows", *world.images())
    assert world.version(world.deb, "opkg-grows-client") == "1.1-1~deb12"
    assert world.version(world.rpm, "opkg-grows-client") == "1.1-1.demo9"
    world.opd("remove", "grows", *world.images())
    assert not world.version(world.deb, "opkg-grows-client")
    assert not world.version(world.rpm, "opkg-grows-client")


def test_a_failing_script_leaves_the_images_as_they_were(world: World) -> None:
    failing = "#!/bin/sh\necho spoiled > /etc/hostname\necho so it goes\nexit 3\n"
    world.publish(fails={"scripts/client-post-install": failing})
    world.opd("update")
    for image, root in ((world.deb, world.deb), ("compute-rpm", world.rpm)):
        before = look(root)
        done = world.opd("install", "fails", "--image", image, check=False)
        assert done.returncode == 1
        assert "client-post-install of fails failed" in done.stderr
        assert "so it goes" in done.stderr
        assert look(root) == before
    last = json.loads(world.opd("history", "--json").stdout)[0]
    assert last["outcome"] == "failed"
    assert [(run["script"], run["status"], run["undone"]) for run in last["scripts"]] == [
        ("client-post-install", 1, True)
    ]


@contextmanager
def _spoiled(tree: Path, pattern: str) -> Iterator[None]:
    """A byte in the middle of the files that match is another one for a while. The files are
    replaced, not written to: others share their content."""
    kept = {path: path.read_bytes() for path in tree.resolve().glob(pattern)}
    assert kept, f"nothing matches {pattern}"
    for path, data in kept.items():
        middle = len(data) // 2
        _replace(path, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    try:
        yield
    finally:
        for path, data in kept.items():
            _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        ("deb", "deb/stable/pool/**/opkg-second-client_*.deb"),
        ("deb", "deb/stable/dists/debian-12/InRelease"),
        ("rpm", "rpm/stable/*/packages/opkg-second-client-*.rpm"),
        ("rpm", "rpm/stable/*/repodata/repomd.xml"),
        ("rpm", "rpm/stable/*/repodata/repomd.xml.asc"),
    ],
)
def test_what_was_changed_on_the_way_is_refused(world: World, image: str, pattern: str) -> None:
    """By apt and dnf themselves, from the tree that OPD points them to."""
    world.publish(second={})
    world.opd("update")
    root = world.deb if image == "deb" else world.rpm
    world.opd("remove", "second", "--image", world.deb if image == "deb" else "compute-rpm")
    before = look(root)
    name = world.deb if image == "deb" else "compute-rpm"
    with _spoiled(world.repository / "live", pattern):
        done = world.opd("install", "second", "--image", name, check=False)
    assert done.returncode == 1
    assert look(root) == before
    world.opd("install", "second", "--image", name)
    assert world.version(root, "opkg-second-client")


@pytest.mark.parametrize("pattern", ["metadata/timestamp.json", "targets/*.index.json"])
def test_a_changed_index_is_refused_and_the_old_one_stays(world: World, pattern: str) -> None:
    world.opd("update")
    before = world.opd("list", "--json").stdout
    world.publish(third={})
    with _spoiled(world.repository / "live/opd/stable", pattern):
        done = world.opd("update", check=False)
    assert done.returncode == 1
    assert "is not what its pinned key vouches for" in done.stderr
    assert world.opd("list", "--json").stdout == before
    world.opd("update")


def test_one_channel_is_not_taken_for_another(world: World) -> None:
    manifests = world.folder.glob("out/*/manifest.json")
    _program("repo_server", "add", world.repository, "--channel", "testing", *manifests)
    _program("repo_server", "publish", world.repository)
    tree = world.repository.joinpath("live/opd").resolve()
    shutil.rmtree(tree / "stable")
    shutil.copytree(tree / "testing", tree / "stable")
    done = world.opd("update", check=False)
    assert done.returncode == 1
    assert "this is the index of the channel “testing”" in done.stderr
    world.publish()
    world.opd("update")


def test_a_wrong_fingerprint_is_refused(world: World) -> None:
    done = world.opd("repo", "add", world.url, "--root-key", "0" * 64, "--name", "x", check=False)
    assert done.returncode == 1
    assert "has another fingerprint" in done.stderr
    assert "x" not in [
        row["name"] for row in json.loads(world.opd("repo", "list", "--json").stdout)
    ]
