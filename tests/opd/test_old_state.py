# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong on the way ends in one message and the old state: in the headnode, in a Debian
image and in an RPM image alike."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from repo_server.publish import publish
from repo_server.repository import open_repository
from tests.opd.conftest import Opd, Repository, copy_tree, program, serve_files
from tests.opd.test_trust import lasting
from tests.trees import Picture, changes, picture

pytestmark = pytest.mark.slow


class BreaksOff(SimpleHTTPRequestHandler):
    """Serves files, but of packages the first half."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        outputfile.write(data[: len(data) // 2] if self.path.endswith((".deb", ".rpm")) else data)

    def log_message(self, *_arguments: object) -> None:
        pass


@dataclass(frozen=True)
class Places:
    """A headnode and images, by the words that name them to opd."""

    opd: Opd
    roots: dict[str, Path]

    def words(self, place: str) -> tuple[str, ...]:
        return ("--headnode",) if place == "headnode" else ("--image", place)

    def seen(self, place: str) -> tuple[Picture, Any]:
        """The tree, and what opd knows of it."""
        tree = picture(self.roots[place].resolve())
        if place == "headnode":
            tree = {path: entry for path, entry in tree.items() if lasting(path)}
        return tree, self.opd.json("status", *self.words(place))

    def refuses(self, *command: str) -> None:
        """Installing into any of them, or a command, fails, in one message, and leaves what was
        there."""
        for place in self.roots:
            tree, known = self.seen(place)
            done = self.opd.run(*command or ("install", "alpha", *self.words(place)), status=1)
            assert done.err.count("opd: error:") == 1, done.err
            after, knows = self.seen(place)
            assert changes(tree, after) == [], place
            assert knows == known
            last = self.opd.json("history")[0]
            assert (last["outcome"], last["changes"], last["scripts"]) == ("failed", [], [])


@contextmanager
def trusting(opd: Opd, own: Repository, *handler: type[SimpleHTTPRequestHandler]) -> Iterator[None]:
    """While a copy of the repository is served, and the only one that is known."""
    with serve_files(own.live, *handler) as url:
        opd.run("repo", "remove", "test")
        opd.run("repo", "add", url, "--root-key", own.root_json, "--name", "test")
        yield


def signed_by_another(own: Repository, folder: Path) -> None:
    """Put the same packages' metadata in place as somebody else signs them."""
    other = folder / "repository"
    program("repo_server", "init", other)
    manifests = own.folder.glob("first/*/manifest.json")
    program("repo_server", "add", other, "--channel", "stable", *manifests)
    program("repo_server", "publish", other)
    for path in ("deb/stable", "rpm/stable"):
        shutil.rmtree(own.live / path)
        shutil.copytree(other / "live" / path, own.live / path)


def from_last_month(own: Repository, folder: Path) -> None:
    """Put apt's metadata in place as the same repository signed them when they were valid for time
    that is over. OPD's own stay those of today; RPM's know no such time."""
    old = own.copy(folder / "old")
    past = datetime.now(UTC) - timedelta(days=30)
    publish(open_repository(old.root), lambda _: None, now=past)
    shutil.rmtree(own.live / "deb/stable")
    shutil.copytree(old.live / "deb/stable", own.live / "deb/stable")


def fill(place: Path, spare: int) -> None:
    """Leave so many bytes on a disk."""
    filler = place / "filler"
    with filler.open("wb") as stream, suppress(OSError):
        while True:
            stream.write(b"0" * (1 << 16))
            stream.flush()
    with filler.open("r+b") as stream:
        stream.truncate(max(0, filler.stat().st_size - spare))


# Somebody else who writes to the same disk, at the worst time.
FILL = """DPkg::Pre-Invoke {
    "dd if=/dev/zero of=/filler bs=64k 2> /dev/null || truncate -s -40000 /filler";
};
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_what_fails_on_the_way_changes_nothing(
    cluster: Opd, deb_image: Path, published: Repository, tmp_path: Path
) -> None:
    roots = {"headnode": cluster.headnode, str(deb_image): deb_image}
    places = Places(cluster, {**roots, "rpm": cluster.state / "images/rpm/root"})
    own = published.copy(tmp_path / "own")
    with trusting(cluster, own, BreaksOff):
        places.refuses()
    with trusting(cluster, own):
        from_last_month(own, tmp_path)
        Places(cluster, roots).refuses()
        assert "expired" in cluster.run("install", "alpha", "--headnode", status=1).err
        signed_by_another(own, tmp_path)
        places.refuses()


def test_a_full_disk_is_told_and_what_broke_off_is_taken_up(
    alone: Opd, deb_image: Path, small_disk: Path
) -> None:
    """The disk of the roots: nothing is begun that it has no room for. Where it is filled while
    packages are installed, images are what they were, and in the headnode dpkg goes on later."""
    copy_tree(deb_image, small_disk / "headnode")
    copy_tree(deb_image, small_disk / "image")
    opd = Opd(alone.state, small_disk / "headnode", alone.env)
    roots = {"headnode": opd.headnode, str(small_disk / "image"): small_disk / "image"}
    both = Places(opd, roots)
    for spare in (0, 60_000, 10_000_000):
        fill(small_disk, spare)
        both.refuses()
    assert (
        "the disk of /usr has 10.0 MB left"
        in opd.run("install", "alpha", "--headnode", status=1).err
    )
    (small_disk / "filler").unlink()
    for root in roots.values():
        (root / "etc/apt/apt.conf.d/99fill").write_text(FILL)
    Places(opd, {str(small_disk / "image"): small_disk / "image"}).refuses()
    assert "No space left" in opd.run("install", "alpha", "--headnode", status=1).err
    assert any((opd.headnode / "var/lib/dpkg/updates").iterdir())
    for root in roots.values():
        (root / "etc/apt/apt.conf.d/99fill").unlink()
        (root / "filler").unlink(missing_ok=True)
    places = ("--headnode", "--image", small_disk / "image")
    opd.run("install", "alpha", *places)
    opd.run("remove", "alpha", "--headnode")
    fill(small_disk, 10_000_000)
    Places(opd, {"headnode": opd.headnode}).refuses("undo")
    (small_disk / "filler").unlink()
    opd.run("undo")
    states = [row["state"] for row in opd.json("status", *places)["alpha"]]
    assert states == ["installed"] * 3


def test_nothing_is_begun_on_a_full_disk_of_the_rpm_family_either(
    cluster: Opd, small_disk: Path
) -> None:
    """rpm looks for its packages' room, and not for that of its own database."""
    copy_tree((cluster.state / "images/rpm/root").resolve(), small_disk / "headnode")
    opd = Opd(cluster.state, small_disk / "headnode", cluster.env)
    for spare in (0, 200_000, 10_000_000):
        fill(small_disk, spare)
        Places(opd, {"headnode": opd.headnode}).refuses()
    (small_disk / "filler").unlink()
    opd.run("install", "alpha", "--headnode")
