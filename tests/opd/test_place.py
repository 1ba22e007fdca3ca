# SPDX-License-Identifier: GPL-2.0-or-later
"""What a root says of itself, and where its paths lead."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from opd.place import headnode, image_place, opkg_of, opkgs_in
from opkg.errors import OpkgError
from opkg.native.installer import Installed
from opkg.native.system import target_of, within
from opkg.spec import Part
from opkg.target import known_targets

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "etc").mkdir(parents=True)
    (made / "usr/lib").mkdir(parents=True)
    return made


@pytest.mark.parametrize(
    ("text", "platform_name"),
    [
        (DEBIAN, "debian-12"),
        ("# a comment\n\nID='debian'\nVERSION_ID=12.7", "debian-12"),
        ('ID="ubuntu"\nVERSION_ID="24.04"\n', "ubuntu-24.04"),
        ('ID="rocky"\nVERSION_ID="9.5"\nNAME="a=b"\n', "rocky-9"),
        ("ID=demo-rpm\nVERSION_ID=9\n", "demo-rpm-9"),
    ],
)
def test_a_root_is_known_by_its_os_release(root: Path, text: str, platform_name: str) -> None:
    (root / "usr/lib/os-release").write_text(text)
    assert target_of(root).name == f"{platform_name}-{platform.machine()}"
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    assert target_of(root).platform == platform_name


@pytest.mark.parametrize("text", ["", "ID=debian\n", "ID=plan9\nVERSION_ID=4\n", "\xff\x00=\n"])
def test_a_distribution_that_is_not_in_the_table_is_named(root: Path, text: str) -> None:
    (root / "etc/os-release").write_text(text, encoding="latin-1")
    with pytest.raises(OpkgError, match="not in the table of targets") as caught:
        target_of(root)
    assert caught.value.where == str(root)
    assert "debian-12" in caught.value.hint


def test_an_absolute_link_is_followed_within_the_root(root: Path, tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=rocky\nVERSION_ID=9\n")
    (root / "etc/os-release").symlink_to(tmp_path / "os-release")
    with pytest.raises(OpkgError, match="no root file system"):
        target_of(root)
    inside = root / str(tmp_path).lstrip("/")
    inside.mkdir(parents=True)
    (inside / "os-release").write_text(DEBIAN)
    assert target_of(root).platform == "debian-12"


@pytest.mark.parametrize(
    ("links", "path", "end"),
    [
        ({}, "/a/b", "a/b"),
        ({}, "../../etc", "etc"),
        ({"a": "/b"}, "a/c", "b/c"),
        ({"a": "../../../b"}, "/a", "b"),
        ({"a": "b", "b": "/"}, "a/c", "c"),
        ({"a": "b/../c"}, "a", "c"),
        ({"a": "b", "b": "x/y"}, "a/..", "x"),
    ],
)
def test_no_path_leads_out_of_a_root(
    tmp_path: Path, links: dict[str, str], path: str, end: str
) -> None:
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    assert within(tmp_path, path) == tmp_path / end


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OpkgError, match="circle"):
        within(tmp_path, "a")


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ("opkg-c", ("c", Part.API)),
        ("opkg-c-server", ("c", Part.SERVER)),
        ("opkg-a-client-client", ("a-client", Part.CLIENT)),
        ("coreutils", None),
    ],
)
def test_a_part_is_known_by_its_name(package: str, expected: tuple[str, Part] | None) -> None:
    assert opkg_of(package) == expected


def test_an_opkg_is_there_when_all_its_parts_are(root: Path) -> None:
    (root / "etc/os-release").write_text(DEBIAN)
    whole = Installed(version="1:2.0-1~deb12", state="installed")
    half = Installed(version="1:2.0-1~deb12", state="half-configured")
    old = Installed(version="1.0-1~deb12", state="installed")
    packages = {
        "opkg-whole": whole, "opkg-whole-server": whole, "opkg-half": whole,
        "opkg-half-server": half, "opkg-mixed": whole, "opkg-mixed-server": old,
        "opkg-api": whole, "opkg-odd": Installed(version="x", state="installed"),
        "opkg-odd-server": Installed(version="x", state="installed"),
        "opkg-other-client": whole,
    }  # fmt: skip
    own = opkgs_in(headnode(root), packages)
    assert {name: str(version) for name, version in own.items()} == {"whole": "1:2.0-1"}
    image = image_place("i", root, known_targets().find("debian-12"))
    assert set(opkgs_in(image, packages)) == {"other"}
