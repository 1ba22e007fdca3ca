# SPDX-License-Identifier: GPL-2.0-or-later
"""What lintian and rpmlint say of everything that is made from the library."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.builder.conftest import opkgc
from tests.opkg_specs.running import SPECS, needs_root

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
# Those that are compiled: tests/builder/test_roots.py.
OPKGS = sorted(p.parent for p in SPECS.glob("*/config.xml") if not needs_root(p.parent.name))
# tool -> tag -> why it stays
ACCEPTED: dict[str, dict[str, str]] = tomllib.loads((HERE / "policies.toml").read_text())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("library")
    opkgc("build", *OPKGS, "-t", "debian-12", "-t", "rocky-9", "-o", out)
    return out


def not_accepted(tool: str, found: list[tuple[str, str, str]]) -> list[str]:
    """What a tool found (severity, package, tag) that has no reason to stay."""
    reasons = ACCEPTED[tool]
    return [
        f"{severity}: {package}: {tag}" for severity, package, tag in found if tag not in reasons
    ]


def linted(debs: Sequence[Path]) -> list[tuple[str, str, str]]:
    """What lintian finds in some debs."""
    assert debs
    done = subprocess.run(
        ["lintian", "--allow-root", "--tag-display-limit", "0", *debs],
        capture_output=True,
        text=True,
    )
    return re.findall(r"^([EW]): (\S+?): (\S+)", done.stdout, re.M)


def rpmlinted(rpms: Sequence[Path]) -> list[tuple[str, str, str]]:
    """What rpmlint finds in some RPMs."""
    done = subprocess.run(["rpmlint", *rpms], capture_output=True, text=True)
    assert f"{len(rpms)} packages and 0 specfiles checked" in done.stdout
    found = re.findall(r"^(\S+): ([EW]): (\S+)", done.stdout, re.M)
    return [(severity, package, tag) for package, severity, tag in found]


def test_lintian_finds_nothing_unexplained(built: Path) -> None:
    assert not not_accepted("lintian", linted(sorted(built.glob("debian-12-*/*.deb"))))


def test_rpmlint_finds_nothing_unexplained(built: Path) -> None:
    assert not not_accepted("rpmlint", rpmlinted(sorted(built.glob("rocky-9-*/*.rpm"))))


def test_no_error_is_accepted(built: Path) -> None:
    """The list of reasons is for warnings; the exceptions are stated there."""
    assert set(ACCEPTED["errors"]) == {
        "no-signature",
        "devel-dependency",
        "no-dependency-on",
        "missing-hash-section",
        "no-binary",
        "postin-with-wrong-depmod",
        "postun-with-wrong-depmod",
    }
