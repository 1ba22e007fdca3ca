# SPDX-License-Identifier: GPL-2.0-or-later
"""Images as a whole: cloned, compared, exported and deleted."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from opd import image_tools
from opd.image import Managed, find
from opd.oda import Image, Node, now
from opd.state import State
from opkg.errors import OpkgError
from opkg.native.layers import link_tree
from tests.opd.conftest import program
from tests.trees import changes, picture

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A state with the image `one`, in its second generation."""
    made = State.open(tmp_path / "state")
    image = Managed(made.images / "one")
    image.generations.mkdir(parents=True)
    first = image.top / "new"
    (first / "etc").mkdir(parents=True)
    (first / "etc/kept").write_text("kept")
    (first / "etc/gone").write_text("gone")
    (first / "etc/changed").write_text("old")
    os.setxattr(first / "etc/kept", "user.note", b"here")
    (first / "link").symlink_to("etc/kept")
    image.publish(first)
    second = image.top / "new"
    link_tree(image.live, second)
    (second / "etc/gone").unlink()
    (second / "etc/changed").unlink()
    (second / "etc/changed").write_text("newer")
    (second / "etc/come").write_text("come")
    image.publish(second)
    made.oda.save(Image(name="one", target="debian-12-x86_64", path=str(image.root), created=now()))
    return made


EXPECTED = [("~", "/etc/changed"), ("+", "/etc/come"), ("-", "/etc/gone")]


def test_what_differs_is_told(state: State) -> None:
    found = [row for row in image_tools.diff(state, "one", None) if row[1] != "/etc/"]
    assert found == EXPECTED
    assert image_tools.diff(state, "one", "1") == image_tools.diff(state, "one", None)
    assert image_tools.diff(state, "one", "2") == []
    with pytest.raises(OpkgError, match="there is no image 9"):
        image_tools.diff(state, "one", "9")


def test_a_clone_is_the_same_shares_files_and_lives_on(state: State) -> None:
    image_tools.clone(state, "one", "two")
    one, two = find(state, "one")[1].live, find(state, "two")[1].live
    before = picture(two)
    assert changes(picture(one), before) == []
    assert (one / "etc/kept").samefile(two / "etc/kept")
    assert image_tools.diff(state, "two", "one") == []
    with pytest.raises(OpkgError, match="no earlier generation"):
        image_tools.diff(state, "two", None)
    with pytest.raises(OpkgError, match="already"):
        image_tools.clone(state, "one", "two")
    state.oda.save(Node(name="n1", image="one"), Node(name="n2", image="one"))
    with pytest.raises(OpkgError, match=r"the image one is what n\[1-2\] run"):
        image_tools.delete(state, "one")
    state.oda.delete(*state.oda.nodes())
    image_tools.delete(state, "one")
    assert [row.name for row in state.oda.images()] == ["two"]
    assert not (state.images / "one").exists()
    assert changes(before, picture(two)) == []


@pytest.mark.parametrize("name", ["image.tar", "image.tar.zst"])
def test_an_export_holds_the_tree(state: State, tmp_path: Path, name: str) -> None:
    image_tools.export(state, "one", tmp_path / name)
    (tmp_path / "out").mkdir()
    subprocess.run(
        ["tar", "--extract", "--file", tmp_path / name, "--directory", tmp_path / "out",
         "--xattrs", "--xattrs-include=*", "--numeric-owner"], check=True,
    )  # fmt: skip
    live = find(state, "one")[1].live
    out = tmp_path / "out"
    # tar keeps whole seconds.
    for path in changes(picture(live), picture(out)):
        assert (live / path).is_dir() or (live / path).read_bytes() == (out / path).read_bytes()
    assert os.getxattr(tmp_path / "out/etc/kept", "user.note") == b"here"
    with pytest.raises(OpkgError):
        image_tools.export(state, "one", tmp_path / "nowhere" / name)
    assert {path.name for path in tmp_path.iterdir()} == {name, "out", "state"}


def test_a_squashfs_holds_the_tree(state: State, tmp_path: Path) -> None:
    image_tools.export(state, "one", tmp_path / "one.squashfs")
    out = tmp_path / "out"
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", out, tmp_path / "one.squashfs"],
                   check=True)  # fmt: skip
    live = find(state, "one")[1].live
    for path in changes(picture(live), picture(out)):  # it keeps whole seconds
        assert (live / path).is_dir() or (live / path).read_bytes() == (out / path).read_bytes()
    assert os.getxattr(out / "etc/kept", "user.note") == b"here"


def test_the_commands(state: State, tmp_path: Path) -> None:
    shown = program("opd", "--state", state.root, "image", "diff", "one").splitlines()
    assert set(shown) >= {"~ /etc/changed", "+ /etc/come", "- /etc/gone"}
    program("opd", "--state", state.root, "image", "clone", "one", "two")
    program("opd", "--state", state.root, "image", "delete", "one", "--yes")
    assert program("opd", "--state", state.root, "image", "list").split()[3] == "two"


def test_the_commands_tell_programs_what_they_did(state: State, tmp_path: Path) -> None:
    def told(*words: str | Path) -> object:
        return json.loads(program("opd", "--state", state.root, "image", *words, "--json"))

    two = state.images / "two/root"
    assert told("clone", "one", "two") == {
        "name": "two", "target": "debian-12-x86_64", "path": str(two)
    }  # fmt: skip
    assert told("export", "two", tmp_path / "two.tar") == {
        "name": "two", "file": str(tmp_path / "two.tar")
    }  # fmt: skip
    assert told("delete", "one", "two", "--yes") == [{"name": "one"}, {"name": "two"}]
    assert told("list") == []
