# SPDX-License-Identifier: GPL-2.0-or-later
"""What package managers are told of repositories, and what a person reads."""

from __future__ import annotations

from opd import show, show_cluster
from opd.oda import Change, ScriptRun, Transaction
from opkg.native.installer import PackageSource
from opkg.spec import Kind
from tests.opd.offers import TARGET, known, offer, relation


def test_a_package_manager_is_told_of_what_is_for_its_target() -> None:
    entry = known(offer("a", "1-1"), keys=["key"])
    assert entry.package_source(TARGET) == PackageSource(
        name="opd-test",
        url="http://host.example/top/deb/stable",
        keys=("key",),
        suite="debian-12",
        component="main",
    )
    assert entry.package_source("other-1-x86_64") is None


def test_details_fit_a_terminal() -> None:
    rich = offer("a", "1-1", relation(Kind.REQUIRES, "b", ">= 2"), relation(Kind.CONFLICTS, "c"))
    text = show.details(known(rich), [rich])
    assert "b (>= 2)" in text
    assert "Home" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "opkg-a-server 1-1~deb12" in text


def test_a_story_tells_what_was_undone() -> None:
    row = Transaction(
        id=3, command="opd install a", started="2026-03-01T12:00:00+00:00", ended="",
        outcome="failed", message="it failed",
    )  # fmt: skip
    row.changes = [Change(place="i", package="opkg-a-client", before="", after="1-1")]
    row.runs = [
        ScriptRun(place="i", opkg="a", version="1-1", phase="post_rpm_install", script="s",
                  status=1, undone=True, started="", output="one\ntwo")
    ]  # fmt: skip
    text = show_cluster.story(row)
    for words in ("it failed", "opkg-a-client – → 1-1", "failed, and undone", "| two"):
        assert words in text
