# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from opkg.errors import InvalidInputError
from opkg.names import Names
from opkg.target import known_targets

TABLE = """
[ssh]
deb = "openssh-client"
rpm = "openssh-clients"
suse = ["openssh-clients", "openssh-common"]
fedora-43 = ""
sles = { name = "openssh", checked = false }
"""


@pytest.fixture
def names(tmp_path: Path) -> Names:
    path = tmp_path / "names.toml"
    path.write_text(TABLE)
    return Names().extended(path)


@pytest.mark.parametrize(
    ("target", "native"),
    [
        ("debian-12", ("openssh-client",)),
        ("rocky-9", ("openssh-clients",)),
        ("opensuse-leap-16", ("openssh-clients", "openssh-common")),
        ("sles-15", ("openssh",)),
        ("fedora-43", ()),
    ],
)
def test_the_most_particular_word_counts(
    names: Names, target: str, native: tuple[str, ...]
) -> None:
    assert names.native("ssh", known_targets().find(target)) == native


def test_a_name_that_is_not_in_the_table_is_the_same_everywhere(names: Names) -> None:
    assert names.native("rsync", known_targets().find("debian-12")) == ("rsync",)


def test_what_was_not_looked_up_is_known_as_such(names: Names) -> None:
    table = known_targets()
    assert not names.is_checked("ssh", table.find("sles-15"))
    assert names.is_checked("ssh", table.find("rocky-9"))


def test_an_opkg_lays_its_names_over_the_others(names: Names, tmp_path: Path) -> None:
    more = tmp_path / "more.toml"
    more.write_text('[ssh]\ndeb = "dropbear"\n[other]\nrpm = "else"\n')
    both = names.extended(more)
    table = known_targets()
    assert both.native("ssh", table.find("debian-12")) == ("dropbear",)
    assert both.native("ssh", table.find("rocky-9")) == ("openssh-clients",)
    assert both.native("other", table.find("rocky-9")) == ("else",)


@pytest.mark.parametrize("text", ["[ssh\n", "[ssh]\ndeb = 3\n", "[ssh]\ndeb = { nam = 'x' }\n"])
def test_a_damaged_table_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "names.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        Names().extended(path)
    assert caught.value.diagnostics[0].path == str(path)
