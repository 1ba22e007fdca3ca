# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules by which the packages of a Debian root become RPMs."""

from __future__ import annotations

import stat

import pytest

from tests.lab.convert import RELEASE, Rules, rpm_version, split_tree, to_rpms
from tests.lab.debroot import DebianPackage, Entry, merge_usr
from tests.lab.rpms import Rpm


@pytest.mark.parametrize(
    ("path", "merged"),
    [
        ("/bin/sh", "/usr/bin/sh"),
        ("/sbin", "/usr/sbin"),
        ("/lib64/ld.so", "/usr/lib64/ld.so"),
        ("/lib/x/y.so", "/usr/lib/x/y.so"),
        ("/library/x", "/library/x"),
        ("/usr/bin/sh", "/usr/bin/sh"),
        ("/etc/bin", "/etc/bin"),
    ],
)
def test_paths_are_merged_into_usr(path: str, merged: str) -> None:
    assert merge_usr(path) == merged


@pytest.mark.parametrize(
    ("debian", "expected"),
    [
        ("5.2.15-2+b7", (0, "5.2.15", "2+b7")),
        ("1:9.2p1-2+deb12u7", (1, "9.2p1", "2+deb12u7")),
        ("12.4", (0, "12.4", "1")),
        ("2021a-1-0~deb12u1", (0, "2021a_1", "0~deb12u1")),
    ],
)
def test_versions_are_spelled_for_rpm(debian: str, expected: tuple[int, str, str]) -> None:
    assert rpm_version(debian) == expected


def package(name: str, *listed: str, **more: object) -> DebianPackage:
    given: dict[str, object] = {
        "name": name,
        "version": "1-1",
        "architecture": "all",
        "summary": name,
        "depends": (),
        "provides": (),
        "listed": listed,
        "conffiles": frozenset(),
    }
    return DebianPackage(**{**given, **more})  # type: ignore[arg-type]  # built from a table


def tree_of(*paths: str) -> dict[str, Entry]:
    """A root's paths: `x/` is a directory, `x -> y` a link."""
    tree = {}
    for path in paths:
        name, _, target = path.partition(" -> ")
        kind = stat.S_IFLNK if target else stat.S_IFDIR if name.endswith("/") else stat.S_IFREG
        entry = Entry(mode=kind | 0o755, user="root", group="root", target=target)
        tree[name.rstrip("/")] = entry
    return tree


RULES = Rules(
    include=(),
    base=("bash", "el-editor"),
    drop_packages=frozenset({"dpkg"}),
    drop=("/etc/hostname", "/var/cache/.*"),
    links={},
    owners={"/etc/passwd": "setup"},
    names={"editor": ("el-editor", "vi", "cap(x)")},
    triggers={},
    files={},
)
PACKAGES = {
    each.name: each
    for each in (
        package("bash", "/bin/bash", "/usr", "/etc", "/etc/bash.rc", depends=(("dpkg",), ("awk",)),
                conffiles=frozenset({"/etc/bash.rc"})),
        package("gawk", "/usr/bin/gawk", "/usr", provides=(("awk", ""),)),
        package("editor", "/etc", "/etc/editor", version="2:3-4", depends=(("none", "bash"),)),
        package("dpkg", "/usr/bin/dpkg", "/usr", "/etc", "/etc/dpkg"),
    )
}  # fmt: skip
TREE = tree_of(
    "/usr/", "/usr/bin/", "/usr/bin/bash", "/usr/bin/gawk", "/usr/bin/dpkg",
    "/usr/bin/awk -> /etc/alternatives/awk", "/etc/", "/etc/alternatives/",
    "/etc/alternatives/awk -> /usr/bin/gawk", "/etc/bash.rc", "/etc/editor/",
    "/etc/editor/made.conf", "/etc/passwd", "/etc/hostname", "/etc/dpkg/", "/etc/dpkg/made",
    "/bin -> usr/bin", "/var/", "/var/cache/", "/var/cache/x",
)  # fmt: skip


@pytest.fixture
def rpms() -> dict[str, Rpm]:
    shares = split_tree(TREE, PACKAGES, RULES)
    made = to_rpms(PACKAGES, shares, {"gawk": ["libx.so.1()(64bit)"]}, RULES, {"all": "noarch"})
    return {each.name: each for each in made}


def test_what_maintainer_scripts_made_goes_where_it_belongs(rpms: dict[str, Rpm]) -> None:
    links = {"/usr/bin/gawk", "/usr/bin/awk", "/etc/alternatives/awk"}
    assert set(rpms["gawk"].files) == links, "a link belongs with what it leads to"
    assert set(rpms["el-editor"].files) == {"/etc/editor", "/etc/editor/made.conf"}
    assert set(rpms["setup"].files) == {"/etc/passwd"}
    assert {"/bin", "/usr", "/etc", "/etc/alternatives"} <= set(rpms[RELEASE].files)


def test_what_is_dropped_is_in_no_rpm(rpms: dict[str, Rpm]) -> None:
    everything = {path for rpm in rpms.values() for path in rpm.files}
    assert not everything & {"/usr/bin/dpkg", "/etc/dpkg", "/etc/hostname", "/var/cache/x"}
    assert "dpkg" not in rpms


def test_relations_are_carried_over_by_name(rpms: dict[str, Rpm]) -> None:
    assert rpms["bash"].requires == ("awk", RELEASE)
    assert rpms["el-editor"].requires == ("bash", RELEASE)
    assert rpms[RELEASE].requires == ("setup",)
    assert rpms["setup"].requires == ()
    assert set(rpms["gawk"].provides) == {("awk", ""), ("libx.so.1()(64bit)", "")}
    assert ("/bin/bash", "") in rpms["bash"].provides
    assert set(rpms["el-editor"].provides) == {
        ("editor", "2:3-4"),
        ("vi", "2:3-4"),
        ("cap(x)", ""),
    }


def test_configuration_files_are_told_apart(rpms: dict[str, Rpm]) -> None:
    assert rpms["bash"].config == {"/etc/bash.rc"}
    assert rpms["el-editor"].config == {"/etc/editor/made.conf"}
    assert rpms["setup"].config == {"/etc/passwd"}
