# SPDX-License-Identifier: GPL-2.0-or-later
"""What apt and dnf are told, and what a person reads."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import msgspec
from debian.deb822 import Deb822

from opd import apt, dnf, show
from opd.oda import Change, ScriptRun, Transaction
from opd.place import image_place
from opkg.index import Source
from opkg.spec import Kind
from opkg.target import Family, RpmMirror, known_targets
from tests.opd.offers import TARGET, known, offer, relation

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc=\n-----END PGP PUBLIC KEY BLOCK-----\n"


def test_apt_gets_a_source_with_its_key_inside() -> None:
    entry = known(offer("a", "1-1"), keys=[KEY, KEY])
    source = Deb822(apt.source_text(entry, TARGET))
    assert source["URIs"] == "http://host.example/top/deb/stable"
    assert (source["Types"], source["Suites"], source["Components"]) == ("deb", "debian-12", "main")
    key = "\n".join(
        "" if line == " ." else line[1:] for line in source["Signed-By"].split("\n")[1:]
    )
    assert key.count(KEY.strip()) == 2
    assert "rusted" not in apt.source_text(entry, TARGET)
    assert apt.source_text(entry, "other-1-x86_64") == ""


def test_apt_keeps_all_it_downloads_in_the_session() -> None:
    words = apt.options(Path("/run/opd"))
    assert words[::2] == ["-o"] * (len(words) // 2)
    assert {"Dir::Cache=/run/opd/cache", "Dir::State::Lists=/run/opd/lists"} <= set(words)
    assert not any("Trusted" in word or "Unauthenticated" in word for word in words)


def test_dnf_checks_signatures_of_packages_and_metadata_of_every_source(tmp_path: Path) -> None:
    target = known_targets().find("rocky-9")
    source = Source(family=Family.RPM, path="rpm/stable/rocky")
    entry = known(offer("a", "1-1", target=target.name), keys=[KEY], source=source)
    place = image_place("i", tmp_path, target)
    config = ConfigParser(interpolation=None)
    config.read_string(dnf.config_text(place, [entry], tmp_path / "s s"))
    assert config["main"]["cachedir"] == "/run/opd/cache"
    assert config["main"]["reposdir"] == str(tmp_path / "etc/yum.repos.d")
    ours = config["opd-test"]
    assert ours["baseurl"] == "http://host.example/top/rpm/stable/rocky"
    assert ours["gpgkey"] == (tmp_path / "s s/keys/test.asc").as_uri()
    for name in config.sections():
        if name != "main":
            assert config[name]["gpgcheck"] == config[name]["repo_gpgcheck"] == "1"


def test_dnf_takes_the_mirrors_of_the_table_in_the_place_of_the_roots_own(tmp_path: Path) -> None:
    target = known_targets().find("rocky-9")
    mirror = RpmMirror(name="base", url="http://mirror.example/9", key="file:///key")
    distribution = msgspec.structs.replace(target.distribution, mirrors=(mirror,))
    place = image_place("i", tmp_path, msgspec.structs.replace(target, distribution=distribution))
    config = ConfigParser(interpolation=None)
    config.read_string(dnf.config_text(place, [], tmp_path))
    assert config["main"]["reposdir"] == ""
    assert config["base"]["baseurl"] == "http://mirror.example/9"
    assert config["base"]["repo_gpgcheck"] == "1"


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
    text = show.story(row)
    for words in ("it failed", "opkg-a-client – → 1-1", "failed, and undone", "| two"):
        assert words in text
