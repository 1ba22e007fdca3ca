# SPDX-License-Identifier: GPL-2.0-or-later
"""The library on Debian 13: every OPKG finds there what it needs, by the name that it has there.

What is installed and used is on Debian 12 (test_library_installs.py), but for what Debian 12 has
too old for this machine.
"""

from __future__ import annotations

import pytest

from opkg.directory import read_opkg
from opkg.resolve import PACKAGES_DIR, applies
from opkg.target import known_targets
from tests.opkg_specs.machines import Library, built_library, machine_of
from tests.opkg_specs.running import SPECS, needs_root

pytestmark = pytest.mark.slow

TARGET = known_targets().find("debian-13-x86_64")
OPKGS = [
    path.parent.name
    for path in sorted(SPECS.glob("*/config.xml"))
    if applies(read_opkg(path.parent)[0].availability, TARGET) and not needs_root(path.parent.name)
]


@pytest.fixture(scope="module")
def library_13(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return built_library(tmp_path_factory.mktemp("library"), TARGET.name)


def test_apt_finds_all_that_the_library_needs(library_13: Library) -> None:
    """All at once, which is quick; where a name is wrong, apt tells it and who needs it."""
    head = [f"opkg-{name}{part}" for name in OPKGS for part in ("", "-server")]
    with machine_of(library_13) as machine:
        machine.simulate(*head)
        machine.simulate(*(f"opkg-{name}-client" for name in OPKGS))


def test_a_process_is_saved_and_goes_on(library_13: Library) -> None:
    with machine_of(library_13) as machine:
        machine.install("opkg-criu", "opkg-criu-server")
        machine.check(f"{PACKAGES_DIR}/criu/server-post-install")
        machine.check(f"{PACKAGES_DIR}/criu/testing/test_root")


def test_the_client_starts(library_13: Library) -> None:
    with machine_of(library_13) as machine:
        machine.install("opkg-opd", "opkg-opd-server")
        machine.check(f"{PACKAGES_DIR}/opd/testing/test_root")
