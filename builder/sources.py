# SPDX-License-Identifier: GPL-2.0-or-later
"""Gets a recipe's sources: into the cache, by digest or commit, from the first place that has
them; and from there, unpacked and patched, into the folder of a build."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from debian.deb822 import Dsc

from builder.cache import cache_folder
from builder.fetch import fetch
from builder.git_source import commit_archive
from builder.room import SHOWN, Room
from opkg.directory import digest
from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_file
from opkg.native.system import HOST
from opkg.recipe import Recipe, RecipeSource

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tar.zst")
_ZIP = ".zip"


def check_replaced(recipes: Sequence[Recipe], replaced: Mapping[str, Path]) -> None:
    """Raise OpkgError where --source names a source that no recipe has, or a path of nothing."""
    known = {name for recipe in recipes for name in recipe.source}
    for name, path in replaced.items():
        if name not in known:
            have = ", ".join(sorted(known)) or "none"
            raise OpkgError(f"no recipe has a source “{name}”", hint=f"there are: {have}")
        if not path.exists():
            raise OpkgError("there is nothing", where=str(path), hint="--source NAME=PATH")


def get_sources(recipe: Recipe, directory: Path, replaced: Mapping[str, Path], room: Room) -> None:
    """Put every source of a recipe into its folder in `room`, and apply its patches; `directory`
    is the OPKG's. Raises OpkgError (IntegrityError for wrong contents)."""
    for name, source in recipe.source.items():
        place = room.sources / name
        if name in replaced:
            _put(replaced[name], place, room)
        elif source.path:
            _put(directory / source.path, place, room)
        elif source.git:
            place.mkdir()
            _unpack(fetched(source), place, room)
        elif source.debian:
            _put_debian(source, fetched(source), place, room)
        else:
            _put(fetched(source), place, room, name=source.url.rpartition("/")[2])
        for patch in source.patches:
            _apply(directory / patch, place, room)


def cache_name(source: RecipeSource) -> str:
    """What a source that is fetched is called in the cache of sources; "" for a path."""
    if source.git:
        return f"{source.commit}-whole.tar"
    return f"{source.debian}_{source.sha256}" if source.debian else source.sha256


def fetched(source: RecipeSource) -> Path:
    """A source that is no path, in the cache: a file, or the folder of a source package's files.
    It is fetched, if it is not there. Raises OpkgError (IntegrityError for wrong contents)."""
    kept = cache_folder("sources") / cache_name(source)
    if source.git:
        return commit_archive(source, kept)
    if source.debian:
        return _source_package(source, kept)
    return fetch([source.url, *source.mirrors], source.sha256, kept)


def _put(origin: Path, place: Path, room: Room, *, name: str = "") -> None:
    """Copy a folder, unpack an archive, or copy a file into the new folder `place`."""
    name = name or origin.name
    if origin.is_dir():
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".git")
        shutil.copytree(origin, place, symlinks=True, ignore=ignore)
        return
    place.mkdir(parents=True)
    if name.endswith((*_ARCHIVES, _ZIP)):
        _unpack(origin, place, room, name=name)
    else:
        shutil.copyfile(origin, place / name)


def _unpack(archive: Path, place: Path, room: Room, *, name: str = "") -> None:
    """Unpack an archive; where all lies in one folder, that folder's contents."""
    room.own(place)
    # In the room, as its user: an archive can name paths and links that lead out of it.
    if name.endswith(_ZIP):
        # By this machine's program: no root has it by itself.
        own = replace(room, root=HOST)
        own.run(["unzip", "-q", SHOWN, "-d", room.inside(place)], shown=archive)
    else:
        options = ["--extract", "--no-same-owner", "--no-same-permissions", "--directory"]
        room.run(["tar", *options, room.inside(place), "--file", SHOWN], shown=archive)
    tops = list(place.iterdir())
    if len(tops) == 1 and tops[0].is_dir() and not tops[0].is_symlink():
        top = tops[0].rename(place.parent / f".{place.name}")
        place.rmdir()
        top.rename(place)


def _apply(patch: Path, place: Path, room: Room) -> None:
    room.own(place)
    room.run(
        ["patch", "--strip=1", "--batch", "--forward", "--no-backup-if-mismatch", "--fuzz=0",
         "--input", SHOWN],
        cwd=room.inside(place),
        shown=patch,
        hint=f"the patch {patch} does not fit its source",
    )  # fmt: skip


def _source_package(source: RecipeSource, folder: Path) -> Path:
    """The files of a source package of Debian, in `folder`."""
    folder.mkdir(exist_ok=True)
    dsc = folder / _dsc(source)
    initial = source.debian[: 4 if source.debian.startswith("lib") else 1]
    pools = [
        f"{archive.rstrip('/')}/pool/{component}/{initial}/{source.debian}"
        for archive in source.mirrors
        for component in ("main", "contrib", "non-free", "non-free-firmware")
    ]
    if not pools:
        raise OpkgError(
            f"no archive of the source package {source.debian} is known",
            hint='add mirrors = ["https://…/debian"] to the source',
        )
    fetch([f"{pool}/{dsc.name}" for pool in pools], source.sha256, dsc)
    for name, sha256 in _files_of(dsc):
        fetch([f"{pool}/{name}" for pool in pools], sha256, folder / name)
    return folder


def _put_debian(source: RecipeSource, folder: Path, place: Path, room: Room) -> None:
    """Unpack a source package of Debian, with Debian's patches applied."""
    place.parent.mkdir(parents=True, exist_ok=True)
    room.own(place.parent)
    room.run(
        ["dpkg-source", "--no-check", "--extract", f"{SHOWN}/{_dsc(source)}", room.inside(place)],
        shown=folder,
    )


def _dsc(source: RecipeSource) -> str:
    version = source.version.partition(":")[2] or source.version
    return f"{source.debian}_{version}.dsc"


def _files_of(dsc: Path) -> Iterator[tuple[str, str]]:
    """The files that a .dsc names, with their SHA-256."""
    with dsc.open("rb") as stream:
        for entry in Dsc(stream).get("Checksums-Sha256", ()):
            name = entry["name"]
            if "/" in name:
                raise IntegrityError(f"names a file in a folder: {name}", where=str(dsc))
            yield name, entry["sha256"]


def digest_of(path: Path) -> str:
    """What a source that was replaced stands for, among the inputs of a build."""
    return sha256_file(path) if path.is_file() else digest(path)
