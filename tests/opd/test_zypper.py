# SPDX-License-Identifier: GPL-2.0-or-later
"""zypper in the place of dnf: an image and a headnode of an RPM distribution that it fills."""

from __future__ import annotations

from pathlib import Path

import pytest

from opkg.native.installer import Step
from opkg.native.zypper import steps
from tests.opd.conftest import Opd, Repository, copy_tree, program
from tests.opd.test_install import rpm
from tests.opd.test_plan import happened, told
from tests.opd.test_undo import second_versions
from tests.trees import changes, picture


@pytest.fixture
def zypper(alone: Opd, targets: Path, tmp_path: Path) -> Opd:
    """A headnode and an image that are zypper's."""
    table = tmp_path / "zypper.toml"
    head, text = targets.read_text().split("\n", 1)
    table.write_text(f'{head}\ninstaller = "zypper"\n{text}')
    env = {**alone.env, "OPKG_TARGETS": str(table)}
    program("opd", "--state", alone.state, "image", "create", "rpm", "-t", "demo-rpm", env=env)
    image = (alone.state / "images/rpm/root").resolve()
    copy_tree(image, tmp_path / "headnode")
    return Opd(alone.state, tmp_path / "headnode", env)


@pytest.mark.slow
def test_zypper_installs_upgrades_goes_back_and_removes(
    zypper: Opd, published: Repository, tmp_path: Path
) -> None:
    before = picture(zypper.image("rpm"))
    foretold = zypper.json("install", "alpha", "--dry-run")
    assert changes(before, picture(zypper.image("rpm"))) == []
    assert told(foretold) == happened(zypper.json("install", "alpha"))
    assert "alpha 1.0-1 client-post-install " in zypper.told(zypper.image("rpm"))
    with second_versions(zypper, published, tmp_path):
        foretold = zypper.json("upgrade", "--dry-run")
        assert told(foretold) == happened(zypper.json("upgrade"))
    assert set(rpm(zypper.headnode).values()) == {"2.0-1.demo9"}
    assert rpm(zypper.image("rpm")) == {"opkg-alpha-client": "2.0-1.demo9"}
    zypper.run("undo")
    assert set(rpm(zypper.headnode).values()) == {"1.0-1.demo9"}
    assert rpm(zypper.image("rpm")) == {"opkg-alpha-client": "1.0-1.demo9"}
    zypper.run("remove", "alpha")
    assert rpm(zypper.headnode) == rpm(zypper.image("rpm")) == {}


def test_the_summary_of_zypper_is_read() -> None:
    output = """<?xml version='1.0'?><stream><message type="info">words</message>
<install-summary download-size="1" packages-to-change="3">
<to-install><solvable type="package" name="a" edition="1-1" arch="noarch"/></to-install>
<to-upgrade><solvable type="package" name="b" edition="2-1" edition-old="1-1"/></to-upgrade>
<to-remove><solvable type="package" name="c" edition="1-1"/></to-remove>
</install-summary></stream>"""
    assert list(steps(output)) == [
        Step(name="a", before="", after="1-1"),
        Step(name="b", before="1-1", after="2-1"),
        Step(name="c", before="1-1", after=""),
    ]
    assert list(steps("Nothing to do.")) == []
