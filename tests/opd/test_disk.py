# SPDX-License-Identifier: GPL-2.0-or-later
"""How disks are divided."""

from __future__ import annotations

from pathlib import Path

import pytest

from opd.disk import PLAIN, fstab, parse
from opkg.errors import InvalidInputError
from tests.opd.conftest import Opd

SAMPLE = """\
# label_type=gpt
/dev/sda1    24    _BOOTFS_  /boot    defaults  bootable
/dev/sda5   128    swap
/dev/sda6    *     ext3      /        noatime
nfs_oscar:/home    -  nfs    /home    rw
"""


def test_a_layout_becomes_partitions_and_an_fstab() -> None:
    layout = parse(SAMPLE, Path("sample"))
    assert [each.size for each in layout.partitions] == [24, 128, None]
    assert fstab(layout, ["a", "b", "c"]) == (
        "UUID=a /boot ext4 defaults 0 2\nUUID=b none swap sw 0 0\nUUID=c / ext3 noatime 0 1\n"
        "nfs_oscar:/home /home nfs rw 0 0\n"
    )


def test_shares_of_a_disk_have_no_size_here() -> None:
    layout = parse("# units=%\n/dev/sda1 20 ext4 /home\n/dev/sda2 80 ext4 /\n", Path("sample"))
    assert [each.size for each in layout.partitions] == [None, None]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("/dev/sda2 10 ext9 /x", "“ext9” is no file system that is made here: perhaps ext"),
        ("/dev/sda2 ten ext4 /x", "“ten” is no size"),
        ("/dev/sda2 0 ext4 /x", "“0” is no size"),
        ("/dev/sda2 10 ext4 x", "“x” is no place to mount it at"),
        ("/dev/sda2 10 ext4 /../x", "is no place to mount it at"),
        ("/dev/sda2 10 ext4", "is no place to mount it at"),
        ("/dev/md0 10 ext4 /x", "“/dev/md0” is no partition of a disk"),
        ("/dev/sda2 * swap", "swap needs a size"),
        ("/dev/sda2 * ext4 /x", "only one partition can have the rest"),
        ("/dev/sda2 10 ext4 /", "mounted twice: /"),
        ("/dev/sdb1 10 ext4 /x", "only one is written"),
        ("host:/x - nfs", "a line is:"),
        ("/dev/sda2", "is no size"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, fault: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse(f"/dev/sda1 * ext4 /\n{line}\n", Path("layout"))
    [found] = refused.value.diagnostics
    assert fault in found.message
    assert found.line in (0, 2)
    with pytest.raises(InvalidInputError):
        parse("", Path("layout"))


def test_an_image_says_nothing_of_disks_by_itself() -> None:
    assert [each.mount for each in PLAIN.partitions] == ["/"]


@pytest.mark.slow
def test_an_image_keeps_its_layout(
    tmp_path: Path, headnode: Path, env: dict[str, str], targets: Path
) -> None:
    opd = Opd(tmp_path / "state", headnode, env)
    (tmp_path / "bad").write_text("/dev/sda1 10 ext4 /boot\n")
    words = ("image", "create", "rpm", "-t", "demo-rpm", "--disk")
    done = opd.run(*words, tmp_path / "bad", status=1)
    assert "nothing is mounted at /" in done.err
    (tmp_path / "good").write_text(SAMPLE)
    opd.run(*words, tmp_path / "good")
    opd.run("image", "clone", "rpm", "two")
    assert (opd.image("two") / "etc/oscar/disk").read_text() == SAMPLE
