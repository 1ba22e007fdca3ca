# SPDX-License-Identifier: GPL-2.0-or-later
"""What an image boots, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from opd.boot import SystemConfig, check_arguments, grub_menu
from opd.kernel import choose, kernels
from opkg.errors import OpkgError

# As older tools left it: a kernel that is gone, one that is there twice, and numbers beyond 9.
OLD = """\
# by hand
[BOOT]
    ROOTDEV = /dev/sda1
    defaultboot = Kerrighed (2.6.11)
    APPEND = quiet

[KERNEL9]
    PATH = /boot/vmlinuz-6
    LABEL = six
    APPEND = debug

[KERNEL10]
    PATH = /boot/vmlinuz-2.6.11
    LABEL = Kerrighed (2.6.11)

[KERNEL11]
    PATH = /boot/vmlinuz-6
    LABEL = again

[HARDWARE]
    ORDER = e1000
"""
THERE = ("/boot/vmlinuz-6", "/boot/vmlinuz-7")


def picked(
    text: str, version: str = "7", append: str | None = None, *, default: bool = False
) -> str:
    config = SystemConfig.parse(text)
    path, initrd = f"/boot/vmlinuz-{version}", f"/boot/initrd.img-{version}"
    return config.with_kernel(path, initrd, append, default=default, there=THERE).text


def test_an_empty_file_becomes_a_whole_one() -> None:
    assert picked("") == (
        "[BOOT]\n    DEFAULTBOOT = vmlinuz-7\n    CONFIGRD = NO\n\n"
        "[KERNEL0]\n    PATH = /boot/vmlinuz-7\n    LABEL = vmlinuz-7\n"
        "    INITRD = /boot/initrd.img-7\n"
    )


def test_entries_of_gone_kernels_and_second_ones_go_and_all_else_stays() -> None:
    assert picked(OLD, append="a=b,c  d") == (
        "# by hand\n[BOOT]\n    ROOTDEV = /dev/sda1\n    DEFAULTBOOT = vmlinuz-7\n"
        "    APPEND = quiet\n    CONFIGRD = NO\n\n"
        "[KERNEL9]\n    PATH = /boot/vmlinuz-6\n    LABEL = six\n    APPEND = debug\n\n"
        "[HARDWARE]\n    ORDER = e1000\n\n"
        "[KERNEL10]\n    PATH = /boot/vmlinuz-7\n    LABEL = vmlinuz-7\n"
        "    INITRD = /boot/initrd.img-7\n    APPEND = a=b,c  d\n"
    )


def test_the_same_again_changes_nothing() -> None:
    once = picked(OLD, append="a=b c", default=True)
    assert picked(once, append="a=b c", default=True) == once
    assert picked(once) == once


def test_another_kernel_becomes_the_default_only_where_that_is_asked_for() -> None:
    once = picked(OLD)
    assert SystemConfig.parse(picked(once, "6")).default == "vmlinuz-7"
    told = SystemConfig.parse(picked(once, "6", default=True)).default_entry()
    assert told is not None
    assert (told.label, told.append, told.root) == ("six", "quiet debug", "/dev/sda1")
    emptied = SystemConfig.parse(picked(once, "6", append="", default=True)).default_entry()
    assert emptied is not None
    assert emptied.append == "quiet"


def test_kernels_are_in_the_order_of_their_numbers() -> None:
    text = "".join(f"[KERNEL{n}]\nPATH = /boot/vmlinuz-{n}\n" for n in (10, 9, 2))
    labels = [entry.label for entry in SystemConfig.parse(text).entries()]
    assert labels == ["vmlinuz-2", "vmlinuz-9", "vmlinuz-10"]


@pytest.mark.parametrize(
    "text",
    ["node_id=<HOSTID> a=1", "session_id=1, nb_nodes=4", 'half="open', "two\nlines", "it's", "a\\"],
)
def test_what_a_kernel_would_take_otherwise_is_refused(text: str) -> None:
    with pytest.raises(OpkgError):
        check_arguments(text)


@pytest.mark.parametrize("text", ["", "console=ttyS0,115200 quiet", 'dyndbg="file a.c +p"'])
def test_what_a_kernel_takes_is_not_refused(text: str) -> None:
    check_arguments(text)


def test_the_menu_of_grub_names_roots_and_keeps_what_others_wrote() -> None:
    config = SystemConfig.parse(picked("", append='dyndbg="file a.c +p" $x'))
    menu = grub_menu(config, "menuentry mine {\n}")
    assert menu.startswith("menuentry mine {\n}\n# BEGIN")
    assert "root=UUID=$uuid 'dyndbg=file a.c +p' '$x'\n" in menu
    assert grub_menu(config, menu) == menu
    rooted = grub_menu(SystemConfig.parse(picked("[BOOT]\nROOTDEV = /dev/sda1\n")), "")
    assert "    linux /boot/vmlinuz-7 root=/dev/sda1\n    initrd /boot/initrd.img-7\n" in rooted
    assert "probe" not in rooted
    own = grub_menu(SystemConfig.parse(picked("", append="root=LABEL=top")), "")
    assert "    linux /boot/vmlinuz-7 root=LABEL=top\n" in own


def test_entries_of_others_for_the_same_kernels_go() -> None:
    config = SystemConfig.parse(picked(""))
    other = (
        '# BEGIN OPKG one\nset default="{0}"\nmenuentry "{0}" --id "{0}" {{\n}}\n# END OPKG one\n'
    )
    assert "OPKG one" not in grub_menu(config, other.format("vmlinuz-7"))
    assert grub_menu(config, other.format("memtest")).startswith(other.format("memtest"))


def test_the_kernels_of_a_root_are_found_wherever_packages_put_them(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for name in ("boot/vmlinuz-6.10-1", "boot/vmlinuz-6.9-2", "lib/modules/6.2/vmlinuz",
                 "lib/modules/6.9-2/vmlinuz", "boot/vmlinuz-0-rescue-abc", "boot/vmlinuz-6.9-2.old",
                 "boot/initrd.img-6.9-2"):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    outside.touch()
    (root / "boot/vmlinuz-7").symlink_to(outside)
    found = [(kernel.version, kernel.path) for kernel in kernels(root)]
    assert found == [
        ("6.2", "/lib/modules/6.2/vmlinuz"),
        ("6.9-2", "/boot/vmlinuz-6.9-2"),
        ("6.10-1", "/boot/vmlinuz-6.10-1"),
    ]
    with pytest.raises(OpkgError, match="which kernel of it is meant") as refused:
        choose(root, "it", None)
    assert "6.2, 6.9-2, 6.10-1" in refused.value.hint
    with pytest.raises(OpkgError, match=r"it has no kernel 6\.11"):
        choose(root, "it", "6.11")
