# SPDX-License-Identifier: GPL-2.0-or-later
"""kernel_picker: the files that it writes, and a kernel that it puts into a real image."""

from __future__ import annotations

import importlib.util
import re
from importlib.machinery import SourceFileLoader
from types import ModuleType

import pytest

from tests.opkg_specs.conftest import SPECS, Sandbox, ran
from tests.opkg_specs.machines import IMAGE, Machine

PROGRAM = SPECS / "kernel-picker/src/kernel_picker"


def _module() -> ModuleType:
    loader = SourceFileLoader("kernel_picker", str(PROGRAM))
    spec = importlib.util.spec_from_loader("kernel_picker", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


kernel_picker = _module()
CONF = """\
# by hand
[BOOT]
    ROOTDEV = /dev/sda1
    DEFAULTBOOT = old
    APPEND = quiet

[KERNEL9]
    PATH = /boot/vmlinuz-5
    LABEL = old

[KERNEL10] # not a header
[KERNEL10]
    PATH = /boot/vmlinuz-6
    LABEL = newer
    APPEND = debug

[HARDWARE]
    ORDER = e1000
"""


def picked(text: str, *words: str | None) -> str:
    conf = kernel_picker.Conf(text)
    kernel_picker.with_kernel(conf, *words)
    return str(conf.text())


def test_a_new_kernel_gets_the_next_number_and_all_else_is_kept() -> None:
    told = picked(CONF, "/boot/vmlinuz-7", "seven", "/boot/initrd.img-7", None)
    added = "\n[KERNEL11]\n    PATH = /boot/vmlinuz-7\n    LABEL = seven\n"
    added += "    INITRD = /boot/initrd.img-7\n"
    assert told == CONF.replace("DEFAULTBOOT = old", "DEFAULTBOOT = seven") + added


def test_the_same_kernel_again_changes_nothing() -> None:
    words = ("/boot/vmlinuz-7", "seven", "/boot/initrd.img-7", "a=b c")
    once = picked(CONF, *words)
    assert picked(once, *words) == once


def test_a_known_kernel_is_replaced_and_keeps_what_it_is_told() -> None:
    told = picked(CONF, "/boot/vmlinuz-6", "six", "", None)
    assert told == CONF.replace("DEFAULTBOOT = old", "DEFAULTBOOT = six").replace("newer", "six")
    emptied = picked(CONF, "/boot/vmlinuz-6", "six", "", "")
    assert "debug" not in emptied


def test_an_empty_file_becomes_a_sound_one() -> None:
    told = picked("", "/boot/vmlinuz-7", "seven", "", None)
    assert told == (
        "[BOOT]\n    DEFAULTBOOT = seven\n"
        "\n[KERNEL0]\n    PATH = /boot/vmlinuz-7\n    LABEL = seven\n"
    )


def test_grub_gets_all_kernels_in_the_order_of_their_numbers() -> None:
    told = kernel_picker.grub_entries(kernel_picker.Conf(CONF))
    assert told.startswith('set default="old"\nmenuentry "old" --id "old" {\n')
    lines = [line.strip() for line in told.splitlines() if "linux " in line]
    assert lines == [
        "linux /boot/vmlinuz-5 root=/dev/sda1 quiet",
        "linux /boot/vmlinuz-6 root=/dev/sda1 quiet debug",
    ]


def test_pxe_gets_the_chosen_kernel() -> None:
    told = kernel_picker.pxe_entry(kernel_picker.Conf(CONF), "newer", True)
    assert told == (
        "DEFAULT newer\nLABEL newer\n    KERNEL kernels/newer/vmlinuz\n"
        "    APPEND initrd=kernels/newer/initrd root=/dev/sda1 quiet debug\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "say which image, by --oscarimage NAME; there are: none"),
        ("--oscarimage none", "there is no image /var/lib/systemimager/images/none"),
        ("--oscarimage /opt/image", "say which kernel"),
        ("--oscarimage /opt/image --kernelversion 7", "there is no kernel /boot/vmlinuz-7"),
        ("--oscarimage /opt/image --bootkernel /opt/linux", "does not tell its version"),
        (
            "--oscarimage /opt/image --bootkernel /opt/vmlinuz-7 --bootlabel 'a b'",
            "“a b” cannot be a label",
        ),
    ],
)
def test_a_call_that_does_not_fit_is_refused_before_anything_is_changed(
    tools: Sandbox, words: str, said: str
) -> None:
    for name in ("image/etc/fstab", "linux", "vmlinuz-7"):
        tools.write(f"/opt/{name}", "")
    tools.write("/opt/kernel_picker", PROGRAM.read_text())
    before = tools.files()
    done = tools.call(f"python3 -I /opt/kernel_picker {words}")
    assert done.status == 1
    assert said in done.err
    assert tools.files() == before


def test_help_fits_a_terminal() -> None:
    told = ran(["/usr/bin/python3", PROGRAM, "--help"], env={"COLUMNS": "80"})
    assert told.status == 0
    assert max(map(len, told.out.splitlines())) <= 80


@pytest.mark.slow
def test_a_kernel_is_put_into_an_image_twice_with_one_result(
    machines: tuple[Machine, Machine],
) -> None:
    head, image = machines
    image.install("opkg-kernel-picker-client", "initramfs-tools")
    head.install("opkg-kernel-picker-server")
    version = "6.1.7-ours"
    modules = f"/lib/modules/{version}"
    picks = f"kernel_picker --bootkernel /boot/vmlinuz-{version} --bootlabel ours --append quiet "
    picks += "--networkboot"
    told = head.check(
        f"""
        echo kernel > /boot/vmlinuz-{version}
        echo CONFIG_RD_GZIP=y > /boot/config-{version}
        mkdir -p {modules}/kernel
        : > {modules}/modules.order; : > {modules}/modules.builtin
        ln -s /usr/src/linux {modules}/build
        {picks}
        grep -rH . {IMAGE}/etc/systemconfig {IMAGE}/boot/grub /tftpboot/pxelinux.cfg > /once
        {picks}
        grep -rH . {IMAGE}/etc/systemconfig {IMAGE}/boot/grub /tftpboot/pxelinux.cfg | cmp - /once
        [ ! -e {IMAGE}{modules}/build ] && [ ! -L {IMAGE}{modules}/build ]
        [ -e {IMAGE}{modules}/modules.dep ] && [ ! -e {modules}/modules.dep ]
        cmp /tftpboot/kernels/ours/initrd {IMAGE}/boot/initrd.img-{version}
        node lsinitramfs /boot/initrd.img-{version} | grep {version}/modules.dep
        """
    )
    assert told.splitlines()[:2] == [f"{IMAGE}: starts ours ({version})"] * 2
    written = (head.root / "once").read_text()
    # The image's own kernel keeps its own modules, also where this machine has the same version.
    head.check(
        f"""
        mkdir {IMAGE}{modules}/updates; : > {IMAGE}{modules}/updates/own.ko
        kernel_picker --kernelversion {version}
        [ -e {IMAGE}{modules}/updates/own.ko ]
        """
    )
    assert re.search(r"custom.cfg:    linux /boot/vmlinuz-6\.1\.7-ours quiet\n", written)
    assert "pxelinux.cfg/ours:    APPEND initrd=kernels/ours/initrd quiet\n" in written
