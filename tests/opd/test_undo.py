# SPDX-License-Identifier: GPL-2.0-or-later
"""Every change can be taken back, also when no repository has the old packages any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opd.oda import Change, Transaction
from opd.undo import find, taken_back
from opkg.errors import OpkgError
from tests.opd.conftest import Opd, Repository, copy_tree, serve
from tests.opd.test_install import dpkg, rpm
from tests.trees import changes, picture


@contextmanager
def second_versions(opd: Opd, published: Repository, tmp_path: Path) -> Iterator[None]:
    """A repository that has the second versions too takes the place of the first; at the end
    there is none."""
    own = published.copy(tmp_path / "published")
    own.publish_second()
    with serve(own.root) as address:
        opd.run("repo", "remove", "test")
        opd.run("repo", "add", address, "--root-key", own.root_json, "--name", "second")
        yield
        opd.run("repo", "remove", "second")


@pytest.mark.slow
def test_an_upgrade_is_undone_without_a_repository_and_then_the_installation(
    cluster: Opd, deb_image: Path, published: Repository, tmp_path: Path
) -> None:
    everywhere = ("--headnode", "--image", deb_image, "--image", "rpm")
    empty = picture(cluster.image("rpm"))
    cluster.run("install", "alpha", *everywhere)
    first = picture(cluster.image("rpm"))
    with second_versions(cluster, published, tmp_path):
        cluster.run("install", "alpha", *everywhere)
    assert set(dpkg(cluster.headnode).values()) == {"2.0-1~deb12"}

    done = cluster.run("undo")
    assert "is undone" in done.err
    assert set(dpkg(cluster.headnode).values()) == set(dpkg(deb_image).values()) == {"1.0-1~deb12"}
    assert changes(first, picture(cluster.image("rpm"))) == []
    assert {row["state"] for row in cluster.json("status", *everywhere)["alpha"]} == {"installed"}
    assert len(cluster.json("status", *everywhere)["alpha"]) == 4

    cluster.run("undo")
    assert dpkg(cluster.headnode) == dpkg(deb_image) == {}
    assert changes(empty, picture(cluster.image("rpm"))) == []
    assert "nothing to undo" in cluster.run("undo", status=1).err

    # What was undone can be brought back by its number.
    cluster.run("undo", str(cluster.json("history")[0]["id"]))
    assert set(dpkg(cluster.headnode).values()) == set(dpkg(deb_image).values()) == {"1.0-1~deb12"}
    assert changes(first, picture(cluster.image("rpm"))) == []


@pytest.mark.slow
def test_a_headnode_with_dnf_goes_back_too(
    cluster: Opd, published: Repository, tmp_path: Path
) -> None:
    copy_tree(cluster.image("rpm"), tmp_path / "rpm-headnode")
    opd = Opd(cluster.state, tmp_path / "rpm-headnode", cluster.env)
    opd.run("install", "alpha", "--headnode")
    with second_versions(opd, published, tmp_path):
        opd.run("install", "alpha", "--headnode")
    assert set(rpm(opd.headnode).values()) == {"2.0-1.demo9"}
    opd.run("undo")
    assert set(rpm(opd.headnode).values()) == {"1.0-1.demo9"}
    opd.run("remove", "alpha", "--headnode")
    assert rpm(opd.headnode) == {}
    opd.run("undo")
    assert rpm(opd.headnode) == {"opkg-alpha": "1.0-1.demo9", "opkg-alpha-server": "1.0-1.demo9"}


@pytest.mark.slow
def test_an_earlier_change_is_not_undone_before_the_later(cluster: Opd) -> None:
    cluster.run("install", "alpha")
    first = str(cluster.json("history")[0]["id"])
    cluster.run("install", "blue")
    cluster.run("remove", "alpha", "--headnode")
    done = cluster.run("undo", first, status=1)
    assert "was changed since" in done.err
    assert "undo the later changes first" in done.err
    cluster.run("undo")
    cluster.run("undo")
    cluster.run("undo")
    assert cluster.json("status") == {}
    # Scripts of what was undone run again when it comes back.
    cluster.run("install", "alpha")
    assert [row["status"] for row in cluster.json("history")[0]["scripts"]] == [0, 0, 0, 0]


def done(number: int, undoes: int | None = None, outcome: str = "done") -> Transaction:
    row = Transaction(id=number, command="", started="", outcome=outcome, undoes=undoes)
    row.changes = [Change(place="headnode", package="p", before="", after="1")]
    return row


def test_the_last_change_that_stands_is_undone() -> None:
    history = [done(5, undoes=4), done(4), done(3, undoes=2), done(2), done(1)]
    assert taken_back(history) == {2, 4}
    assert find(history, None).id == 1
    again = [done(6, undoes=5), *history]
    assert taken_back(again) == {2, 5}
    assert find(again, None).id == 4
    failed = [done(7, undoes=4, outcome="failed"), *again]
    assert find(failed, None).id == 4
    assert find(failed, 2).id == 2
    with pytest.raises(OpkgError, match="there is no change 9"):
        find(failed, 9)
