# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be done with an image as a whole: cloned, compared, exported, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from opd.image import Managed, Root, check_new_name, find
from opd.nodes import folded
from opd.oda import Image, now
from opd.place import Place, image_place, opkgs_in
from opd.state import State
from opkg.errors import OpkgError
from opkg.native import layers
from opkg.native.choose import packages
from opkg.native.mounts import check_unmounted, remove_tree
from opkg.run import run

# What stands first in rsync's lines of changes (rsync(1), --itemize-changes).
_GONE, _NEW = "*deleting", "+++++++++"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All about an image: `kept` are the generations that are there, `opkgs` the versions of the
    OPKGs in it."""

    name: str
    target: str
    path: str
    generation: str
    kept: Sequence[str]
    opkgs: Mapping[str, str]


def facts(state: State, name: str) -> Facts:
    """All about an image. Raises OpkgError where there is none of that name."""
    place, root = find(state, name)
    opkgs = opkgs_in(place, packages(place))
    return Facts(
        name=place.name,
        target=place.target.name,
        path=str(place.root),
        generation=root.generation,
        kept=generations(root),
        opkgs={opkg: str(version) for opkg, version in opkgs.items()},
    )


def generations(root: Root) -> list[str]:
    """The states of an image that are kept, the oldest first."""
    if not isinstance(root, Managed):
        return []
    return sorted((path.name for path in root.generations.iterdir()), key=int)


def clone(state: State, name: str, new: str) -> Place:
    """Make an image `new` that shares its files with the image `name`. Raises OpkgError."""
    place, root = _managed(state, name)
    check_new_name(state, new)
    image = Managed(state.images / new)
    remove_tree(image.top)
    try:
        image.generations.mkdir(parents=True)
        image.scratch.mkdir()
        layers.link_tree(root.live, image.scratch / "new")
        image.publish(image.scratch / "new")
        image.scratch.rmdir()
    except BaseException:
        remove_tree(image.top)
        raise
    row = Image(name=new, target=place.target.name, path=str(image.root), created=now())
    state.oda.save(row)
    return image_place(new, image.root, place.target)


def delete(state: State, name: str) -> None:
    """Remove an image with all its states. Raises OpkgError where something is mounted in it, or
    nodes run it."""
    _, root = _managed(state, name)
    if running := [node.name for node in state.oda.nodes() if node.image == name]:
        raise OpkgError(
            f"the image {name} is what {folded(running)} run",
            hint="let them run another one first: opd node add NODES --image OTHER",
        )
    check_unmounted(root.top, "not removed")
    state.oda.delete(next(row for row in state.oda.images() if row.name == name))
    remove_tree(root.top)


def export(state: State, name: str, file: Path) -> None:
    """Write an image's tree into one file, with owners as numbers and extended attributes: as a
    squashfs where the file's name ends so, otherwise as a tar archive. The file is there when it is
    whole. Raises CommandError."""
    _, root = find(state, name)
    part = file.with_name(f".{file.name}")
    pack = _squashfs if file.suffix == ".squashfs" else _tar
    try:
        run(pack(root.live, part.absolute()))
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _tar(tree: Path, file: Path) -> list[str | Path]:
    return [
        "tar", "--create", "--auto-compress", "--file", file, "--directory", tree,
        "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sort=name",
        "--one-file-system", ".",
    ]  # fmt: skip


def _squashfs(tree: Path, file: Path) -> list[str | Path]:
    return [
        "mksquashfs", tree, file, "-noappend", "-no-progress", "-quiet", "-comp", "zstd",
        "-one-file-system",
    ]  # fmt: skip


def diff(state: State, name: str, other: str | None) -> list[tuple[str, str]]:
    """The paths of an image that are others than in `other`, one of its generations, or another
    image, or without it the generation before the live one: each with “+”, “-” or “~”. Raises
    OpkgError."""
    _, root = find(state, name)
    kept = generations(root)
    if other is None:
        earlier = kept[: kept.index(root.generation)] if kept else []
        if not earlier:
            raise OpkgError(f"no earlier generation of {name} is kept", hint="name another image")
        other = earlier[-1]
    if other in kept and isinstance(root, Managed):
        before = root.generations / other
    else:
        before = find(state, other)[1].live
    argv = ["rsync", "--archive", "--xattrs", "--dry-run", "--delete", "--itemize-changes",
            "--out-format=%i %n", f"{root.live}/", f"{before}/"]  # fmt: skip
    found = []
    for line in run(argv).stdout.splitlines():
        code, _, path = line.partition(" ")
        if path.strip() == "./":
            continue
        sign = "-" if code == _GONE else "+" if code.endswith(_NEW) else "~"
        found.append((sign, "/" + path.strip()))
    return sorted(found, key=lambda row: row[1])


def _managed(state: State, name: str) -> tuple[Place, Managed]:
    place, root = find(state, name)
    if not isinstance(root, Managed):
        raise OpkgError(f"{name} is no image that OPD made", hint="opd image list names those")
    return place, root
