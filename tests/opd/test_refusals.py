# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot be is refused in one clear error, before anything happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from opd import image as images
from opd import repository
from opd.state import State
from opkg.errors import OpkgError
from opkg.target import known_targets
from tests.opd.conftest import Opd, copy_tree


@pytest.mark.slow
def test_opkgs_that_conflict_are_not_installed_together(alone: Opd) -> None:
    done = alone.run("install", "red", "blue", status=1)
    assert "cannot be installed together" in done.err
    alone.run("install", "blue")
    done = alone.run("install", "red", status=1)
    assert "red 1.0-1 cannot be installed together with blue 1.0-1, which is installed" in done.err
    assert set(alone.json("status")) == {"blue"}
    assert len(alone.json("history")) == 1


@pytest.mark.slow
def test_an_opkg_that_is_not_there_is_named(alone: Opd) -> None:
    for name, message in {
        "lonely": "there is no OPKG absent, which lonely 1.0-1 requires",
        "../../etc": "there is no OPKG ../../etc",
        "[/red]\nx": "there is no OPKG [/red]",
        "": "there is no OPKG",
    }.items():
        done = alone.run("install", name, status=1)
        assert message in done.err
        assert "opd list" in done.err
    assert alone.json("history") == []


@pytest.mark.slow
def test_an_image_that_is_not_there_is_named(alone: Opd, tmp_path: Path) -> None:
    done = alone.run("install", "alpha", "--image", "nowhere", status=1)
    assert "there is no image nowhere" in done.err
    (tmp_path / "empty").mkdir()
    done = alone.run("install", "alpha", "--image", tmp_path / "empty", status=1)
    assert "this is no root file system" in done.err
    assert str(tmp_path / "empty") in done.err


@pytest.mark.slow
def test_a_headnode_that_is_no_root_is_named(alone: Opd, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    other = Opd(alone.state, tmp_path / "empty", alone.env)
    assert "this is no root file system" in other.run("install", "alpha", status=1).err
    assert "this is no root file system" in other.run("status", status=1).err


@pytest.mark.slow
def test_an_image_alone_needs_no_headnode(cluster: Opd, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    other = Opd(cluster.state, tmp_path / "empty", cluster.env)
    other.run("install", "alpha", "--image", "rpm")
    assert set(other.json("status", "--image", "rpm")) == {"alpha"}


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "../state", "-x", "Ä", "a b", "headnode", "x" * 300]
)
def test_names_of_images_that_would_be_paths_are_refused(tmp_path: Path, name: str) -> None:
    state = State.open(tmp_path / "state")
    with pytest.raises(OpkgError, match="is not a name for an image"):
        images.create(state, name, known_targets().find("debian-12"), [], print)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert not state.images.exists()


@pytest.mark.parametrize(
    ("option", "word"),
    [(option, word) for option in ("name", "channel")
     for word in ("", "..", "a/b", "../..", "a b", "a\nb", "[x]", "é")],
)  # fmt: skip
def test_names_of_repositories_that_would_be_paths_are_refused(
    tmp_path: Path, option: str, word: str
) -> None:
    state = State.open(tmp_path / "state")
    words = {"name": "n", "channel": "stable", option: word}
    with pytest.raises(OpkgError, match="is not a name for a"):
        repository.add(state, "http://host.example/", root_key="0" * 64, **words)
    assert not state.repositories.exists()


@pytest.mark.parametrize(
    "address", ["ftp://host/", "host", "http://", "http://a b/", "http://h/\nx", "http://[::1"]
)
def test_addresses_that_are_none_are_refused(tmp_path: Path, address: str) -> None:
    state = State.open(tmp_path / "state")
    with pytest.raises(OpkgError, match="is no http or https address"):
        repository.add(state, address, channel="stable", root_key="0" * 64, name="n")
    assert not state.repositories.exists()


@pytest.mark.slow
def test_a_path_may_have_any_name(alone: Opd, deb_image: Path, tmp_path: Path) -> None:
    """State and image in folders whose names mean something to mount, apt or SQLAlchemy."""
    strange = tmp_path / "o d,d:dir?x=%20#'é\\"
    strange.mkdir()
    copy_tree(alone.state, strange / "state")
    (strange / "deb[").mkdir()
    deb_image.rename(strange / "deb[/red],image:1")
    opd = Opd(strange / "state", alone.headnode, alone.env)
    places = ("--headnode", "--image", strange / "deb[/red],image:1")
    opd.run("install", "alpha", *places)
    assert len(opd.json("status", *places)["alpha"]) == 3
    assert "alpha" in opd.run("status", *places).out
    assert "install alpha" in opd.run("history").out
    opd.run("remove", "alpha", *places)
    assert opd.json("status", *places) == {}


@pytest.mark.slow
def test_a_link_in_a_root_leads_nothing_out_of_it(alone: Opd, tmp_path: Path) -> None:
    """Not the file that keeps services from starting, nor the names' servers."""
    (tmp_path / "outside").mkdir()
    for name in ("etc/resolv.conf", "usr/sbin/policy-rc.d"):
        path = alone.headnode / name
        path.unlink(missing_ok=True)
        path.symlink_to(tmp_path / "outside" / path.name)
    alone.run("install", "alpha")
    assert list((tmp_path / "outside").iterdir()) == []
    assert set(alone.json("status")) == {"alpha"}


@pytest.mark.slow
def test_a_state_folder_that_cannot_be_is_named(alone: Opd, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    other = Opd(tmp_path / "file", alone.headnode, alone.env)
    done = other.run("status", status=1)
    assert str(tmp_path / "file") in done.err
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "oda.sqlite").write_bytes(b"no database" * 1000)
    done = Opd(damaged, alone.headnode, alone.env).run("status", status=1)
    assert "the cluster database cannot be used" in done.err
