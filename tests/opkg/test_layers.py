# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree and a layer of changes, by the real overlayfs, give the tree that was seen."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opkg.native.layers import apply_layer, link_tree
from opkg.native.mounts import overlay
from tests.trees import changes, picture

# Few names, so that changes often meet what is there.
PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=2).map(lambda names: Path(*names))
TEXTS = st.text("xyz", max_size=4)
MODES = st.sampled_from([0o000, 0o640, 0o755, 0o1777, 0o2755, 0o4755])
OWNERS = st.sampled_from([0, 1, 1000, 65534])


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def recreate(path: Path) -> None:
    """A folder in the place of whatever was there: it hides the old one's content."""
    remove(path)
    path.mkdir()


def write(path: Path, text: str, how: int) -> None:
    """Write to a file in its place; to a pipe nobody reads, not at all."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | how)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def replace(path: Path, text: str) -> None:
    """A file in the place of whatever was there."""
    remove(path)
    path.write_text(text)


def bare(path: Path) -> None:
    """Without extended attributes."""
    for name in os.listxattr(path):
        os.removexattr(path, name)


def set_time(path: Path, nanoseconds: int) -> None:
    os.utime(path, ns=(nanoseconds, nanoseconds))


# What a change does to a path, and what else it is told.
CHANGES: dict[Callable[..., object], tuple[st.SearchStrategy, ...]] = {
    write: (TEXTS, st.sampled_from([os.O_TRUNC, os.O_APPEND])),
    Path.mkdir: (),
    remove: (),
    recreate: (),
    replace: (TEXTS,),
    Path.chmod: (MODES,),
    os.lchown: (OWNERS, OWNERS),
    Path.hardlink_to: (PATHS,),
    Path.symlink_to: (PATHS,),
    Path.rename: (PATHS,),
    os.mkfifo: (),
    set_time: (st.integers(0, 2**60),),
    os.setxattr: (st.sampled_from(["user.one", "trusted.two"]), st.binary(max_size=4)),
    bare: (),
}
HISTORIES = st.lists(
    st.one_of(
        st.tuples(st.just(change), st.tuples(PATHS, *rest)) for change, rest in CHANGES.items()
    ),
    max_size=12,
)
History = list[tuple[Callable[..., object], tuple[object, ...]]]


def play(history: History, root: Path) -> None:
    """Do what can be done of a history: what does not fit the tree is passed over."""
    with contextlib.chdir(root):
        for change, arguments in history:
            with contextlib.suppress(OSError):
                change(*arguments)


def furnish(root: Path) -> None:
    """Something of everything, so that each change finds what it is about."""
    (root / "a").mkdir()
    os.setxattr(root / "a", "user.one", b"1")
    (root / "a/a").mkdir()
    (root / "a/b").write_text("text")
    (root / "b").hardlink_to(root / "a/b")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=HISTORIES, after=HISTORIES)
@pytest.mark.slow
def test_a_flattened_layer_is_what_was_seen_and_the_old_tree_stays(
    before: History, after: History
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        old, new, scratch = Path(folder, "old"), Path(folder, "new"), Path(folder, "scratch")
        old.mkdir()
        scratch.mkdir()
        furnish(old)
        play(before, old)
        kept = picture(old)

        with overlay(old, old, scratch) as layer:
            play(after, old)
            seen = picture(old)
        link_tree(old, new)
        apply_layer(layer, new)

        assert changes(seen, picture(new)) == []
        assert changes(kept, picture(old)) == []
