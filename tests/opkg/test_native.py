# SPDX-License-Identifier: GPL-2.0-or-later
"""Roots: never emptied through a mount; what they and their package managers are told."""

from __future__ import annotations

from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import msgspec
import pytest
from debian.deb822 import Deb822

from opkg.errors import OpkgError
from opkg.native import apt, dnf
from opkg.native.apt_settings import fetch_options, mirrors
from opkg.native.installer import PackageSource
from opkg.native.make_root import mmdebstrap
from opkg.native.mounts import remove_tree
from opkg.native.system import System
from opkg.run import run
from opkg.target import RpmMirror, known_targets

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc=\n-----END PGP PUBLIC KEY BLOCK-----\n"
SOURCE = PackageSource(
    name="test",
    url="http://host.example/top",
    keys=[KEY, KEY],
    suite="debian-12",
    component="main",
)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A root with a file system mounted in it, in a folder with a space in its name."""
    root = tmp_path / "a root"
    (root / "dev").mkdir(parents=True)
    run(["mount", "-t", "tmpfs", "none", root / "dev"])
    (root / "dev/null").write_text("to be kept")
    yield root
    run(["umount", root / "dev"], check=False)


def test_a_root_with_a_mount_in_it_is_not_removed(mounted: Path) -> None:
    with pytest.raises(OpkgError, match="mounted") as caught:
        remove_tree(mounted)
    assert str(mounted / "dev") in caught.value.message
    assert (mounted / "dev/null").read_text() == "to be kept"
    run(["umount", mounted / "dev"])
    remove_tree(mounted)
    assert not mounted.exists()


def test_removing_a_root_by_a_link_leaves_what_the_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to("root")
    remove_tree(tmp_path / "link")
    assert (tmp_path / "root").is_dir()
    remove_tree(tmp_path / "never was")


def test_mirrors_are_those_of_the_suite_in_the_distributions_archive(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://mirror.example/debian bookworm main\n"
        "deb [arch=amd64 trusted=yes] http://mirror.example/debian bookworm main contrib # ours\n"
        "deb http://mirror.example/debian trixie main\n"
        "deb-src http://mirror.example/debian bookworm main\n"
        "deb [signed-by=/etc/apt/keyrings/other.asc] http://other.example/apt bookworm main\n"
    )
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Types: deb deb-src\n# where from\nURIs: http://mirror.example/debian-security\n"
        "Suites: bookworm-security trixie-security\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
        "Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n"
        "Enabled: no\n"
    )
    ring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert mirrors("bookworm", "debian-archive", tmp_path) == (
        "deb [trusted=yes] http://mirror.example/debian bookworm main contrib",
        f"deb [signed-by={ring}] http://mirror.example/debian-security bookworm-security main",
    )
    assert mirrors("bullseye", "debian-archive", tmp_path) == ()


def test_settings_that_reach_mirrors_are_taken_over_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apt.conf").write_text(
        'Acquire::http::Proxy "http://proxy.example:3142"; APT::Get::Purge "true";\n'
        'Acquire::https { CAInfo "/etc/ssl/own.pem"; };\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    options = fetch_options()
    assert 'Acquire::http::Proxy "http://proxy.example:3142"' in options
    assert 'Acquire::https::CAInfo "/etc/ssl/own.pem"' in options
    assert all(option.startswith("Acquire::") for option in options)


def test_apt_gets_a_source_with_its_key_inside() -> None:
    text = apt.source_text(SOURCE)
    source = Deb822(text)
    assert source["URIs"] == SOURCE.url
    assert (source["Types"], source["Suites"], source["Components"]) == ("deb", "debian-12", "main")
    key = "\n".join(
        "" if line == " ." else line[1:] for line in source["Signed-By"].split("\n")[1:]
    )
    assert key.count(KEY.strip()) == 2
    assert "rusted" not in text


def test_apt_keeps_all_it_downloads_in_the_session() -> None:
    words = apt.options(Path("/run/oscar"))
    assert words[::2] == ["-o"] * (len(words) // 2)
    assert {"Dir::Cache=/run/oscar/cache", "Dir::State::Lists=/run/oscar/lists"} <= set(words)
    assert not any("Trusted" in word or "Unauthenticated" in word for word in words)


def test_dnf_checks_signatures_of_packages_and_metadata_of_every_source(tmp_path: Path) -> None:
    target = known_targets().find("rocky-9")
    place = System(name="i", root=tmp_path, target=target)
    config = ConfigParser(interpolation=None)
    config.read_string(dnf.config_text(place, [SOURCE], tmp_path / "s s"))
    assert config["main"]["cachedir"] == "/run/oscar/cache"
    assert config["main"]["reposdir"] == str(tmp_path / "etc/yum.repos.d")
    ours = config["test"]
    assert ours["baseurl"] == SOURCE.url
    assert ours["gpgkey"] == (tmp_path / "s s/keys/test.asc").as_uri()
    for name in config.sections():
        if name != "main":
            assert config[name]["gpgcheck"] == config[name]["repo_gpgcheck"] == "1"


def test_dnf_takes_the_mirrors_of_the_table_in_the_place_of_the_roots_own(tmp_path: Path) -> None:
    target = known_targets().find("rocky-9")
    mirror = RpmMirror(name="base", url="http://mirror.example/9", key="file:///key")
    distribution = msgspec.structs.replace(target.distribution, mirrors=(mirror,))
    changed = msgspec.structs.replace(target, distribution=distribution)
    place = System(name="i", root=tmp_path, target=changed)
    config = ConfigParser(interpolation=None)
    config.read_string(dnf.config_text(place, [], tmp_path))
    assert config["main"]["reposdir"] == ""
    assert config["base"]["baseurl"] == "http://mirror.example/9"
    assert config["base"]["repo_gpgcheck"] == "1"


def test_a_root_is_made_with_this_machines_way_to_the_mirrors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apt.conf").write_text('Acquire::http::Proxy "http://proxy.example:3142";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    words = mmdebstrap(known_targets().find("debian-12-aarch64"), ["b", "a"], tmp_path / "root")
    assert '--aptopt=Acquire::http::Proxy "http://proxy.example:3142"' in words
    assert {"--architectures=arm64", "--include=a,b", "--format=directory"} <= set(words)
