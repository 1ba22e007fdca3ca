# SPDX-License-Identifier: GPL-2.0-or-later
"""A dry run tells what the real one then does, and does nothing; an upgrade brings only what is
newer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opkg.native.dnf import steps
from opkg.native.installer import Installed, Step
from tests.opd.conftest import Opd, Repository
from tests.opd.test_install import dpkg, rpm
from tests.opd.test_undo import second_versions
from tests.trees import changes, picture


def told(record: Any) -> dict[str, set[tuple[str, str, str]]]:
    """The packages of a dry run, by place."""
    return {
        plan["place"]: {(each["name"], each["before"], each["after"]) for each in plan["packages"]}
        for plan in record
    }


def happened(record: Any) -> dict[str, set[tuple[str, str, str]]]:
    """The packages of a change, by place."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    for each in record["changes"]:
        step = each["package"], each["before"], each["after"]
        found.setdefault(each["place"], set()).add(step)
    return found


@pytest.mark.slow
def test_what_a_dry_run_tells_is_what_happens(
    cluster: Opd, deb_image: Path, published: Repository, tmp_path: Path
) -> None:
    everywhere = ("--headnode", "--image", deb_image, "--image", "rpm")

    def foretold(command: str, *names: str) -> None:
        before = picture(deb_image), picture(cluster.image("rpm")), dpkg(cluster.headnode)
        plan = cluster.json(command, *names, "--dry-run", *everywhere)
        assert changes(before[0], picture(deb_image)) == []
        assert changes(before[1], picture(cluster.image("rpm"))) == []
        assert dpkg(cluster.headnode) == before[2]
        done = cluster.json(command, *names, *everywhere)
        assert told(plan) == happened(done)
        assert [each["script"] for row in plan for each in row["scripts"]] == [
            row["script"] for row in done["scripts"]
        ]

    foretold("install", "aback")
    with second_versions(cluster, published, tmp_path):
        foretold("upgrade")
        assert dpkg(deb_image)["opkg-alpha-client"] == "2.0-1~deb12"
        assert rpm(cluster.image("rpm"))["opkg-aback-client"] == "1.0-1.demo9"
        assert "nothing newer" in cluster.run("upgrade", *everywhere).err
    foretold("remove", "aback", "alpha")


@pytest.mark.slow
def test_an_upgrade_brings_nothing_to_where_it_was_not(
    cluster: Opd, published: Repository, tmp_path: Path
) -> None:
    cluster.run("install", "alpha", "--headnode")
    before = picture(cluster.image("rpm"))
    with second_versions(cluster, published, tmp_path):
        shown = cluster.run("upgrade", "--dry-run").out
        cluster.run("upgrade", "alpha")
    assert "opkg-alpha 1.0-1~deb12 → 2.0-1~deb12" in shown
    assert "alpha: server-post-install" in shown
    assert set(dpkg(cluster.headnode).values()) == {"2.0-1~deb12"}
    assert changes(before, picture(cluster.image("rpm"))) == []


@pytest.mark.slow
def test_a_dry_run_refuses_what_the_real_one_would(alone: Opd) -> None:
    alone.run("install", "aback")
    done = alone.run("remove", "alpha", "--dry-run", status=1)
    assert "needs what is to be removed" in done.err
    assert "lonely" in alone.run("install", "lonely", "--dry-run", status=1).err
    assert len(alone.json("history")) == 1


def test_the_table_of_dnf_is_read_with_its_broken_lines() -> None:
    output = """
Last metadata expiration check: 0:00:01 ago.
Dependencies resolved.
================================================================================
 Package                       Arch      Version             Repository    Size
================================================================================
Installing:
 opkg-alpha-client             noarch    2:2.0-1.demo9       opd-test     6.1 k
Upgrading:
 a-package-with-a-very-long-name-indeed-that-breaks-the-line
                               x86_64    1.1-1               opd-test     6.1 M
     replacing  other.x86_64 1-1
Removing unused dependencies:
 old                           noarch    1-1                 @System        0
 older                         noarch    1-1                 @System      811
Transaction Summary
================================================================================
Install  1 Package
"""
    long = "a-package-with-a-very-long-name-indeed-that-breaks-the-line"
    there = {
        long: Installed(version="1.0-1", state="installed"),
        "old": Installed(version="1-1", state="installed"),
        "older": Installed(version="1-1", state="installed"),
    }
    assert steps(output, there) == [
        Step(name="opkg-alpha-client", before="", after="2:2.0-1.demo9"),
        Step(name=long, before="1.0-1", after="1.1-1"),
        Step(name="old", before="1-1", after=""),
        Step(name="older", before="1-1", after=""),
    ]
