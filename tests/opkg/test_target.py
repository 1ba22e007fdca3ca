# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import platform
from pathlib import Path

import pytest

from opkg.errors import OpkgError
from opkg.resolve import applies, native_version
from opkg.spec import DistFilter, Filter
from opkg.target import Family, known_targets, read_table
from opkg.version import Version


def test_without_its_architecture_the_machines_own_is_meant() -> None:
    target = known_targets().find("debian-12")
    assert target.architecture == platform.machine()
    assert target.family is Family.DEB


def test_an_architecture_is_spelled_the_familys_way() -> None:
    table = known_targets()
    assert table.find("debian-12-aarch64").native_architecture == "arm64"
    assert table.find("rocky-9-aarch64").native_architecture == "aarch64"
    assert table.find("opensuse-leap-16-x86_64").platform == "opensuse-leap-16"


def test_a_distribution_with_one_release_needs_no_release() -> None:
    assert known_targets().find("demo-rpm").platform == "demo-rpm-9"


@pytest.mark.parametrize(
    "name", ["", "debian", "debian-1", "debian-12-pdp11", "beos-5", "rocky-9-"]
)
def test_an_unknown_target_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(OpkgError) as caught:
        known_targets().find(name)
    assert "known are" in caught.value.hint


@pytest.mark.parametrize(
    ("dists", "archs", "targets"),
    [
        ([], [], {"debian-12", "debian-13", "rocky-9", "fedora-43"}),
        ([("debian", "", "")], [], {"debian-12", "debian-13"}),
        ([("debian", "=", "12")], [], {"debian-12"}),
        ([("debian", ">", "12")], [], {"debian-13"}),
        ([("debian", "<=", "12"), ("rhel", "", "")], [], {"debian-12", "rocky-9"}),
        ([("fc", ">=", "5")], [], {"fedora-43"}),
        ([("fc", "<", "5")], [], set()),
        ([("rocky", "", "")], [], {"rocky-9"}),
        ([], ["x86_64"], {"debian-12", "debian-13", "rocky-9", "fedora-43"}),
        ([], ["amd64"], {"debian-12", "debian-13", "rocky-9", "fedora-43"}),
        ([], ["ia64", "arm64"], set()),
        ([("debian", "", "")], ["ia64"], set()),
    ],
)
def test_filters_are_decided_by_the_target_alone(
    dists: list[tuple[str, str, str]], archs: list[str], targets: set[str]
) -> None:
    condition = Filter(
        dists=tuple(DistFilter(name=n, rel=r, version=v) for n, r, v in dists), archs=tuple(archs)
    )
    every = ("debian-12", "debian-13", "rocky-9", "fedora-43")
    table = known_targets()
    assert {name for name in every if applies(condition, table.find(f"{name}-x86_64"))} == targets


def test_versions_bear_the_targets_tag() -> None:
    table = known_targets()
    version = Version.parse("1:2.0-beta-3")
    assert str(native_version(version, table.find("debian-12"))) == "1:2.0-beta-3~deb12"
    assert str(native_version(version, table.find("rocky-9"))) == "1:2.0_beta-3.el9"


def test_a_site_lays_its_table_over_the_shipped_one(tmp_path: Path) -> None:
    site = tmp_path / "targets.toml"
    site.write_text(
        "[[distributions.rocky-9.mirrors]]\n"
        'name = "base"\nurl = "http://mirror.example/rocky"\nkey = "file:///key"\n'
    )
    rocky = read_table(site).distributions["rocky-9"]
    assert rocky.mirrors[0].url == "http://mirror.example/rocky"
    assert rocky.tag == ".el9"


@pytest.mark.parametrize(
    "text", ["[distributions", "[distributions.x-1]\nfamily = 'deb'\n", "[dist.x-1]\n"]
)
def test_a_damaged_table_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    site = tmp_path / "targets.toml"
    site.write_text(text)
    with pytest.raises(OpkgError) as caught:
        read_table(site)
    assert caught.value.where == str(site)
