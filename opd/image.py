# SPDX-License-Identifier: GPL-2.0-or-later
"""Images: root file systems that change as a whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from opd.disk import LAYOUT
from opd.oda import Image, now
from opd.place import HEADNODE, Place, image_place
from opd.state import State
from opkg.errors import OpkgError
from opkg.files import locked, point, write_atomic
from opkg.native import layers
from opkg.native.make_root import make_root
from opkg.native.mounts import (
    check_unmounted,
    enter_private_namespace,
    exchange,
    mounts_in,
    overlay,
    remove_tree,
)
from opkg.native.system import within
from opkg.run import run
from opkg.target import Target, known_targets

# How many earlier states of an image are kept.
KEPT = 5
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
Say = Callable[[str], None]


class Root(Protocol):
    """A root that can be changed as a whole. `live` is its tree, `scratch` a path on the same
    file system for a change that is under way."""

    @property
    def live(self) -> Path: ...
    @property
    def scratch(self) -> Path: ...
    @property
    def generation(self) -> str:
        """Which of its states is live; “” where earlier ones are not kept."""

    def publish(self, tree: Path) -> None:
        """Make `tree`, which is on the same file system, the live one in one step."""


@dataclass(frozen=True)
class Managed:
    """An image that OPD made, in a folder of its own:

    TOP/root -> generations/<n>     what is live
    TOP/generations/<n>/            whole trees, which share their equal files
    """

    top: Path

    @property
    def root(self) -> Path:
        return self.top / "root"

    @property
    def generations(self) -> Path:
        return self.top / "generations"

    @property
    def live(self) -> Path:
        return self.root.resolve()

    @property
    def scratch(self) -> Path:
        return self.top / "scratch"

    @property
    def generation(self) -> str:
        return self.live.name

    def go_to(self, generation: str) -> None:
        """Make another of the kept states the live one."""
        point(self.root, f"generations/{generation}")

    def publish(self, tree: Path) -> None:
        numbers = sorted(int(path.name) for path in self.generations.iterdir())
        number = str(numbers[-1] + 1 if numbers else 1)
        before = int(self.generation) if numbers else 0
        run(["sync", "--file-system", tree])
        tree.rename(self.generations / number)
        point(self.root, f"generations/{number}")
        # The state before stays in any case: it may be an old one that was gone back to.
        for old in set(numbers[:-KEPT]) - {before}:
            path = self.generations / str(old)
            # Somebody may still look around in it, with /dev and /proc mounted.
            if not mounts_in(path):
                remove_tree(path)


@dataclass(frozen=True)
class Plain:
    """A root that somebody else made, anywhere; its earlier states are not kept."""

    live: Path
    generation: ClassVar[str] = ""

    @property
    def scratch(self) -> Path:
        return self.live.with_name(f".{self.live.name}.opd-scratch")

    def publish(self, tree: Path) -> None:
        run(["sync", "--file-system", tree])
        try:
            exchange(tree, self.live)
        except OSError as error:
            raise OpkgError(
                f"the changed root cannot take the place of the old one: {error.strerror}",
                where=str(self.live),
                hint="is it a mount point? give its parent folder the mount instead",
            ) from error


def find(state: State, name: str) -> tuple[Place, Root]:
    """The image of that name, or in that directory. Raises OpkgError where there is none."""
    rows = state.oda.images()
    for row in rows:
        if row.name == name:
            managed = Managed(state.images / name)
            return image_place(name, managed.root, known_targets().find(row.target)), managed
    directory = Path(name)
    if "/" in name and directory.is_dir():
        directory = directory.resolve()
        return image_place(str(directory), directory), Plain(directory)
    known = ", ".join(row.name for row in rows) or "none"
    raise OpkgError(
        f"there is no image {name}",
        hint=f"known: {known}; make one: opd image create {name} -t TARGET; or name a directory",
    )


def check_new_name(state: State, name: str) -> None:
    """Raise OpkgError where an image cannot get that name."""
    if not _NAME.fullmatch(name) or name == HEADNODE:
        raise OpkgError(f"“{name}” is not a name for an image", hint="as in: compute, gpu-2")
    if any(row.name == name for row in state.oda.images()):
        raise OpkgError(f"there is an image named {name} already", hint="choose another name")


def create(
    state: State, name: str, target: Target, packages: Sequence[str], say: Say, disk: str = ""
) -> Place:
    """Make an image of the target's distribution, from its mirrors. `disk` is the text of its
    layout, if it has one. Raises OpkgError; then there is no image of that name, as before."""
    check_new_name(state, name)
    image = Managed(state.images / name)
    remove_tree(image.top)
    tree = image.scratch / "new"
    tree.mkdir(parents=True)
    image.generations.mkdir()
    place = image_place(name, tree, target)
    try:
        make_root(place, packages, session=state.sessions / name, say=say)
        if disk:
            write_atomic(within(tree, LAYOUT), disk)
        image.publish(tree)
        image.scratch.rmdir()
    except BaseException:
        remove_tree(image.top)
        raise
    state.oda.save(Image(name=name, target=target.name, path=str(image.root), created=now()))
    return image_place(name, image.root, target)


class _NotMeantError(Exception):
    """Gives up a change that was only tried."""


@contextmanager
def trying(root: Root, say: Say) -> Iterator[None]:
    """As `changing`, but at the end the root is what it was."""
    with suppress(_NotMeantError), changing(root, say):
        yield
        raise _NotMeantError


@contextmanager
def changing(root: Root, say: Say) -> Iterator[None]:
    """Change a root: inside the context its live tree can be written to, seen by this process
    and its children alone; at the end the changes become the live tree, unless an exception
    passes: then nothing happened. A second change of the same root waits."""
    enter_private_namespace()
    lock = root.scratch.with_name(root.scratch.name + ".lock")
    with locked(lock, waiting=lambda: say(f"waiting for another change of {root.live} …")):
        live = root.live
        check_unmounted(live, "cannot be changed")
        # What a killed process left; its mounts went with it.
        remove_tree(root.scratch)
        root.scratch.mkdir()
        try:
            with overlay(live, live, root.scratch) as layer:
                yield
            if not layers.is_empty(layer):
                new = root.scratch / "new"
                layers.link_tree(live, new)
                layers.apply_layer(layer, new)
                root.publish(new)
        finally:
            remove_tree(root.scratch)
