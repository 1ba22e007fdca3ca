# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels of an image, and which of them its nodes boot."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from opd.boot import Entry, SystemConfig, check_arguments, grub_menu
from opd.place import Place
from opkg.errors import OpkgError
from opkg.files import write_atomic
from opkg.native import guest
from opkg.native.installer import Say
from opkg.native.system import within
from opkg.run import run

_CONFIG = PurePosixPath("/etc/systemconfig/systemconfig.conf")
_BOOT = PurePosixPath("/boot")
_MODULES = PurePosixPath("/lib/modules")
# What kernels are called, with their version at the end (installkernel(8)).
_IMAGE = re.compile(r"(?:vmlinuz|vmlinux|Image)-(.*)")
# What kernel-install(8) makes of a kernel for repairs, and what Debian and make install keep.
_NO_VERSION = re.compile(r"0-rescue-.*|.*\.(old|bak)")


@dataclass(frozen=True, kw_only=True)
class _Maker:
    """A program that makes the initrd of a kernel. What it is called differs by the distribution:
    as one that is there, or else as the last of these."""

    program: str
    initrds: tuple[str, ...]
    argv: tuple[str, ...]


# update-initramfs(8) may be dracut's, so it goes first.
_MAKERS = (
    _Maker(
        program="update-initramfs",
        initrds=("/boot/initrd.img-{version}",),
        argv=("update-initramfs", "-c", "-k", "{version}"),
    ),
    _Maker(
        program="dracut",
        initrds=(
            "/boot/initrd.img-{version}",
            "/boot/initrd-{version}",
            "/boot/initramfs-{version}.img",
        ),
        argv=("dracut", "--force", "--no-hostonly", "{initrd}", "{version}"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel of an image: `path` is where the image has it, `entry` what is said of it in
    systemconfig.conf, if anything is."""

    version: str
    path: str
    default: bool
    entry: Entry | None


def kernels(root: Path) -> list[Kernel]:
    """The kernels that are in an image, the oldest version first."""
    config = read_config(root)
    entries = {entry.path: entry for entry in config.entries()}
    default = config.default_entry()
    return [
        Kernel(
            version=version,
            path=str(path),
            default=default is not None and default.path == str(path),
            entry=entries.get(str(path)),
        )
        for version, path in sorted(_found(root), key=lambda each: _natural(each[0]))
    ]


def _found(root: Path) -> Iterator[tuple[str, PurePosixPath]]:
    seen = set()
    for file in sorted(within(root, _BOOT).glob("*")):
        name = _IMAGE.fullmatch(file.name)
        path = _BOOT / file.name
        if name and not _NO_VERSION.fullmatch(name[1]) and within(root, path).is_file():
            seen.add(name[1])
            yield name[1], path
    # Packages of kernels that leave it to kernel-install(8) to fill /boot.
    for folder in within(root, _MODULES).glob("*"):
        path = _MODULES / folder.name / "vmlinuz"
        if folder.name not in seen and within(root, path).is_file():
            yield folder.name, path


def _natural(version: str) -> list[tuple[int, str]]:
    words = re.split("([0-9]+)", version)
    return [(int(word), "") if word.isdigit() else (-1, word) for word in words]


def read_config(root: Path) -> SystemConfig:
    """An image's systemconfig.conf; an empty one where there is none."""
    path = within(root, _CONFIG)
    return SystemConfig.parse(path.read_text(errors="surrogateescape") if path.is_file() else "")


def choose(root: Path, name: str, version: str | None) -> Kernel:
    """The kernel of this version; without one the default, or the only one that there is. Raises
    OpkgError."""
    there = kernels(root)
    listed = ", ".join(kernel.version for kernel in there) or "none"
    if version is not None:
        found = [kernel for kernel in there if kernel.version == version]
    else:
        found = [kernel for kernel in there if kernel.default] or there
    if not found:
        raise OpkgError(
            f"{name} has no kernel" + (f" {version}" if version else ""),
            hint=f"it has {listed}; a package brings one: opd image shell {name}",
        )
    if len(found) > 1:
        raise OpkgError(
            f"it is not known which kernel of {name} is meant",
            hint=f"opd image kernel {name} --version V --default; it has {listed}",
        )
    return found[0]


def pick(
    place: Place, version: str | None, append: str | None, *, default: bool, say: Say
) -> Kernel:
    """Make a kernel of an image one that it boots, the one that it boots by default where that is
    asked for or there is no other: its modules are indexed and its initrd is made, both by the
    image's own programs, and the menus get its entry. `append` is what the kernel is told; None
    leaves that as it is. Raises OpkgError."""
    check_arguments(append or "")
    root = place.root
    kernel = choose(root, place.name, version)
    path = _BOOT / f"vmlinuz-{kernel.version}"
    if PurePosixPath(kernel.path).parent == _BOOT:
        path = PurePosixPath(kernel.path)
    else:
        within(root, _BOOT).mkdir(exist_ok=True)
        shutil.copy2(within(root, kernel.path), within(root, path))
    if within(root, _MODULES / kernel.version).is_dir():
        run(guest.inside(root, "depmod", kernel.version), on_line=say)
    initrd = _make_initrd(place, kernel.version, say)
    there = {str(path), *(each.path for each in kernels(root))}
    config = read_config(root).with_kernel(str(path), initrd, append, default=default, there=there)
    _write(root, config)
    return next(each for each in kernels(root) if each.version == kernel.version)


def _make_initrd(place: Place, version: str, say: Say) -> str:
    """Make a kernel's initrd, whatever was there before; its path, “” where the image has nothing
    that makes one."""
    for maker in _MAKERS:
        folders = ("usr/sbin", "usr/bin", "sbin")
        if any(within(place.root, f"{folder}/{maker.program}").is_file() for folder in folders):
            names = [name.format(version=version) for name in maker.initrds]
            there = [name for name in names if within(place.root, name).is_file()]
            initrd = [*there, names[-1]][0]
            argv = [word.format(version=version, initrd=initrd) for word in maker.argv]
            within(place.root, initrd).unlink(missing_ok=True)
            run(guest.inside(place.root, *argv), on_line=say)
            if not within(place.root, initrd).is_file():
                raise OpkgError(
                    f"{maker.program} made no {initrd}",
                    where=place.name,
                    hint="what it said is in the log; opd history names it",
                )
            return initrd
    return ""


def _write(root: Path, config: SystemConfig) -> None:
    for entry in config.entries():
        try:
            check_arguments(entry.append)
        except OpkgError as error:
            error.where = f"{_CONFIG}, {entry.label}"
            raise
    _write_text(root, _CONFIG, config.text)
    grub = next((name for name in ("grub2", "grub") if within(root, _BOOT / name).is_dir()), "grub")
    menu = _BOOT / grub / "custom.cfg"
    path = within(root, menu)
    old = path.read_text(errors="surrogateescape") if path.is_file() else ""
    _write_text(root, menu, grub_menu(config, old))


def _write_text(root: Path, path: PurePosixPath, text: str) -> None:
    write_atomic(within(root, path), text.encode(errors="surrogateescape"))


def shown(there: Sequence[Kernel]) -> list[dict[str, object]]:
    """Kernels, for --json."""
    return [
        {
            "version": kernel.version,
            "path": kernel.path,
            "default": kernel.default,
            "label": kernel.entry.label if kernel.entry else "",
            "initrd": kernel.entry.initrd if kernel.entry else "",
            "append": kernel.entry.append if kernel.entry else "",
        }
        for kernel in there
    ]
