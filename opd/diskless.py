# SPDX-License-Identifier: GPL-2.0-or-later
"""Booting nodes without a disk: a kernel, an initramfs that is the whole image, and for each node
what tells its loader so, in a folder that TFTP serves."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Interface, ip_address
from pathlib import Path

from opd import kernel
from opd.image import find
from opd.oda import Node
from opd.state import State
from opkg.errors import OpkgError
from opkg.files import locked, write_atomic
from opkg.native.mounts import exchange, remove_tree
from opkg.native.system import within
from opkg.run import run

_INIT = "/sbin/init"
_BY_OPD = "# Written by opd, and anew with each export:"
KERNEL, INITRAMFS = "vmlinuz", "initramfs"


def export(state: State, name: str, folder: Path) -> list[Path]:
    """Write what boots an image's nodes without a disk below `folder`:

    images/IMAGE/vmlinuz      the kernel that the image boots
    images/IMAGE/initramfs    all of the image
    pxelinux.cfg/01-MAC       for each node whose MAC address is known (PXELINUX)
    grub/grub.cfg-01-MAC      the same for GRUB

    The first two change together, in one step; what is there for nodes that run the image no more
    goes. Returns what is there for nodes. Raises OpkgError for an image without a kernel or an
    init.
    """
    place, root = find(state, name)
    chosen = kernel.choose(root.live, name, None)
    if not within(root.live, _INIT).exists():
        raise OpkgError(
            f"{name} has no {_INIT}, which the kernel would start",
            hint=f"it comes with a package such as systemd-sysv: opd image shell {name}",
        )
    top = folder / "images" / Path(place.name).name
    fresh = top.with_name(f".{top.name}.new")
    with locked(top.with_name(f".{top.name}.lock")):
        remove_tree(fresh)
        fresh.mkdir()
        try:
            run(["cp", "--", within(root.live, chosen.path), fresh / KERNEL])
            _write_initramfs(root.live, chosen.version, fresh)
            _take_place(fresh, top)
        finally:
            remove_tree(fresh)
        nodes = [node for node in state.oda.nodes() if node.image == name]
        append = chosen.entry.append if chosen.entry else ""
        return _write_entries(folder, name, nodes, append)


def _write_initramfs(tree: Path, version: str, folder: Path) -> None:
    """An initramfs whose files are a root's own (the kernel's documentation,
    filesystems/ramfs-rootfs-initramfs.rst): an archive with /init, and behind it the tree's."""
    form = ["bsdtar", "--create", "--format=newc"]
    init, link, archive = folder / INITRAMFS, folder / "init", folder / "tree"
    link.symlink_to(_INIT)
    run([*form, "--file", init, "-C", folder, link.name])
    # Nothing reads kernels from there on such a node.
    leave = ["--exclude", "./boot/*", "--one-file-system"]
    packed = f"--{_compression(tree, version)}"
    run([*form, packed, *leave, "--file", archive, "-C", tree, "."])
    with init.open("ab") as stream, archive.open("rb") as more:
        shutil.copyfileobj(more, stream)
    link.unlink()
    archive.unlink()


def _compression(tree: Path, version: str) -> str:
    """The best that the kernel can unpack, as far as its configuration says so."""
    path = within(tree, f"/boot/config-{version}")
    settings = path.read_text(errors="replace") if path.is_file() else ""
    return "zstd" if "\nCONFIG_RD_ZSTD=y\n" in settings else "gzip"


def _take_place(fresh: Path, place: Path) -> None:
    run(["sync", "--file-system", fresh])
    if place.exists():
        exchange(fresh, place)
    else:
        fresh.rename(place)


def _networks() -> list[IPv4Interface]:
    """The networks that this machine is in."""
    found = json.loads(run(["ip", "-json", "-4", "address"]).stdout)
    return [
        IPv4Interface(f"{address['local']}/{address['prefixlen']}")
        for device in found
        for address in device["addr_info"]
    ]


def arguments(node: Node, append: str, networks: Iterable[IPv4Interface]) -> str:
    """What a node's kernel is told: what the image's is, the node's name, and its address
    (the kernel's documentation, admin-guide/nfs/nfsroot.rst), with the mask of the network that
    it is in where that is known."""
    words = [append, f"hostname={node.name}", f"systemd.hostname={node.name}"]
    if node.ip and isinstance(address := ip_address(node.ip), IPv4Address):
        masks = [str(each.netmask) for each in networks if address in each.network]
        words.append(f"ip={address}:::{masks[0] if masks else ''}:{node.name}::off")
    return " ".join(filter(None, words))


def _write_entries(folder: Path, image: str, nodes: Sequence[Node], append: str) -> list[Path]:
    networks = _networks() if any(node.ip for node in nodes) else []
    texts = {}
    for node in nodes:
        if node.mac:
            told = arguments(node, append, networks)
            mac = "01-" + node.mac.replace(":", "-")
            texts[folder / "pxelinux.cfg" / mac] = pxe_entry(node, told)
            texts[folder / "grub" / f"grub.cfg-{mac}"] = grub_entry(node, told)
    for path, text in texts.items():
        write_atomic(path, text)
    for path in (*folder.glob("pxelinux.cfg/01-*"), *folder.glob("grub/grub.cfg-01-*")):
        if path not in texts and _of_image(path, image):
            path.unlink()
    return list(texts)


def _of_image(path: Path, image: str) -> bool:
    """Whether we wrote a file, for a node that ran the image."""
    first = path.read_text(errors="replace").partition("\n")[0]
    return first.startswith(_BY_OPD) and first.endswith(f" runs {image}")


def pxe_entry(node: Node, told: str) -> str:
    """The file of pxelinux.cfg for a node (Syslinux, PXELINUX)."""
    return (
        f"{_BY_OPD} {node.name} runs {node.image}\n"
        f"DEFAULT {node.image}\nLABEL {node.image}\n"
        f"    KERNEL images/{node.image}/{KERNEL}\n"
        f"    INITRD images/{node.image}/{INITRAMFS}\n    APPEND {told}\n"
    )


def grub_entry(node: Node, told: str) -> str:
    """The file for a node that GRUB reads over the network (GNU GRUB Manual, 3.5)."""
    words = shlex.join(shlex.split(told))
    return (
        f"{_BY_OPD} {node.name} runs {node.image}\n"
        f"set timeout=0\nmenuentry {node.image} {{\n"
        f"    linux /images/{node.image}/{KERNEL} {words}\n"
        f"    initrd /images/{node.image}/{INITRAMFS}\n}}\n"
    )
