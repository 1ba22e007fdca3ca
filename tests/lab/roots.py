# SPDX-License-Identifier: GPL-2.0-or-later
"""Root file systems of Debian: made once, unpacked in a second, thrown away in less."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from opkg.files import locked
from opkg.native.make_root import make_root, mirrors, mmdebstrap
from opkg.native.mounts import mounts_in, remove_tree
from opkg.native.system import System
from opkg.run import run
from opkg.target import Target, read_table
from tests.lab.cache import cache_root, cached

# Mirrors move on; a root older than this is made anew.
MAX_AGE = timedelta(days=14)
# What a machine of a cluster has, a head node or a node: a root with these serves most tests.
MACHINE = ("kmod", "openssh-server", "python3", "rsync")


def debian_root(
    include: Sequence[str] = (),
    suite: str = "bookworm",
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """The tarball of a minimal Debian with the packages `include`, from the cache if it is there.

    Raises CommandError when mmdebstrap fails.
    """
    target = _of_suite(suite)
    packages = ",".join(sorted(include))

    def follow(line: str) -> None:
        if line.startswith("I: ") and line.endswith("...") and "/" not in line:
            say(f"debian root: {line[3:]}")

    def make(tarball: Path) -> None:
        say(f"debian root: {suite} with {packages or 'nothing more'}")
        root = tarball.with_suffix(".tar")
        system = System(name=f"the root of {suite}", root=root, target=target)
        make_root(system, include, session=tarball.parent, say=follow)
        root.rename(tarball)

    digest = hashlib.sha256(packages.encode()).hexdigest()[:8]
    made_by = [mmdebstrap(target, include, Path("root.tar")), mirrors(target)]
    return cached(f"debian-{suite}-{digest}", made_by, make, max_age=MAX_AGE)


def _of_suite(suite: str) -> Target:
    distributions = read_table().distributions.items()
    return read_table().find(next(name for name, row in distributions if row.suite == suite))


def unpack(tarball: Path, directory: Path) -> None:
    """Unpack a root into `directory`, with owners as numbers and extended attributes."""
    directory.mkdir(parents=True, exist_ok=True)
    run(
        ["tar", "--extract", "--file", tarball, "--directory", directory, "--numeric-owner",
         "--same-permissions", "--xattrs", "--xattrs-include=*"],
    )  # fmt: skip


def unpacked(tarball: Path) -> Path:
    """The directory that a cached tarball unpacks to, cached too: a base for `overlay`, to be read
    only."""
    made = [tarball.name, tarball.stat().st_mtime_ns]
    return cached(f"{tarball.parent.name}-unpacked", made, lambda path: unpack(tarball, path))


@contextmanager
def overlay(base: Path) -> Iterator[Path]:
    """A throw-away root: what `base` holds, and what is changed in it goes at the end.

    Whatever is mounted in it by then is unmounted, busy or not. If this process is killed first,
    the next call does that in its stead. Raises CommandError where the cache's file system cannot
    carry an overlay (an overlay itself).
    """
    folder = cache_root() / "overlays"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        _sweep(folder)
        place = Path(tempfile.mkdtemp(dir=folder))
        holder = os.open(place, os.O_RDONLY)
        fcntl.flock(holder, fcntl.LOCK_EX)  # says that we live; goes with our process
    root = place / "root"
    try:
        for directory in (root, place / "upper", place / "work"):
            directory.mkdir()
        # Nothing of it outlives this process: no sync has to wait for a disk.
        layers = f"volatile,lowerdir={base},upperdir={place / 'upper'},workdir={place / 'work'}"
        run(
            ["mount", "-t", "overlay", "overlay", "-o", layers, root],
            hint="let OPKG_CACHE name a folder on a plain file system",
        )
        root.chmod(0o755)
        yield root
    finally:
        _discard(place)
        os.close(holder)


def _sweep(folder: Path) -> None:
    """Discard the overlays whose processes are gone."""
    for place in folder.glob("tmp*"):
        handle = os.open(place, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _discard(place)
        except BlockingIOError:
            pass
        finally:
            os.close(handle)


def _discard(place: Path) -> None:
    for point in mounts_in(place):
        run(["umount", "--lazy", point])
    remove_tree(place)
