# SPDX-License-Identifier: GPL-2.0-or-later
"""opd image: the root file systems that nodes boot."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from opd import disk, disk_image, diskless, image_tools, kernel, show_cluster
from opd import image as images
from opd.place import Place
from opd.settings import JSON, Settings, pass_settings
from opd.work import changing_image, transaction
from opd.working import working
from opkg.console import print_json, print_table, say
from opkg.errors import OpkgError
from opkg.native import guest
from opkg.native.system import within
from opkg.run import attach
from opkg.target import known_targets

# What a headnode's TFTP server serves.
_TFTP = "/tftpboot"


@click.group("image")
def image() -> None:
    """Make and look after the roots that nodes boot."""


@image.command("create")
@click.argument("name")
@click.option(
    "-t", "--target", metavar="TARGET", required=True,
    help="Of this distribution, e.g. debian-12.",
)  # fmt: skip
@click.option(
    "--packages",
    "package_file",
    type=click.File(),
    help="A file that names further packages, one a line.",
)
@click.option(
    "--disk",
    "disk_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="How its nodes' disks are divided: a file as OSCAR had them.",
)
@JSON
@pass_settings
def image_create(
    settings: Settings,
    name: str,
    target: str,
    package_file: Iterator[str] | None,
    disk_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make an image of a distribution, from its mirrors."""
    state = settings.open()
    lines = (line.partition("#")[0].strip() for line in package_file or ())
    found = known_targets().find(target)
    if disk_file:
        disk.read(disk_file)
    layout = disk_file.read_text() if disk_file else ""
    with working(settings, state, []) as work:
        work.say(f"{name}: making an image of {found.name}")
        named = [line for line in lines if line]
        place = images.create(state, name, found, named, work.log, layout)
    _tell(place, as_json=as_json)


@image.command("list")
@JSON
@pass_settings
def image_list(settings: Settings, *, as_json: bool) -> None:
    """List the images."""
    rows = settings.open().oda.images()
    if as_json:
        fields = ("name", "target", "path", "created")
        print_json([{field: getattr(row, field) for field in fields} for row in rows])
    elif rows:
        print_table(["NAME", "TARGET", "PATH"], [[row.name, row.target, row.path] for row in rows])
    else:
        say("there is no image yet; make one: opd image create NAME -t TARGET")


@image.command("show")
@click.argument("name")
@JSON
@pass_settings
def image_show(settings: Settings, name: str, *, as_json: bool) -> None:
    """Tell all about an image."""
    facts = image_tools.facts(settings.open(), name)
    if as_json:
        print_json(facts)
    else:
        click.echo(show_cluster.image(facts))


@image.command("shell", context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="NAME|DIR")
@click.argument("words", metavar="[COMMAND…]", nargs=-1, type=click.UNPROCESSED)
@pass_settings
def image_shell(settings: Settings, name: str, words: Sequence[str]) -> None:
    """Open a shell in an image, or run a command there.

    What is changed there becomes the image when the shell ends with status 0; otherwise the image
    stays what it was. No service is started.
    """
    state = settings.open()
    place, root = images.find(state, name)
    command = shlex.join(["opd", "image", "shell", name, *words])
    with (
        transaction(state, [], command, say=say, echo=say) as work,
        changing_image(work, root, place) as opened,
    ):
        terminal = {"TERM": os.environ.get("TERM", "dumb")}
        status = attach(guest.inside(opened.root, *(words or ("bash", "-l")), env=terminal))
        if status:
            raise OpkgError(
                f"{words[0] if words else 'the shell'} ended with status {status}",
                hint=f"{name} is what it was",
            )


@image.command("kernel")
@click.argument("name", metavar="NAME|DIR")
@click.option("--version", metavar="V", help="This one; else the default, or the only one.")
@click.option("--default", is_flag=True, help="Nodes boot it from now on.")
@click.option("--append", metavar="ARGS", help="What it is told when it boots.")
@click.option("--netboot", is_flag=True, help="Nodes find it in the headnode's /tftpboot, too.")
@JSON
@pass_settings
def image_kernel(
    settings: Settings,
    name: str,
    version: str | None,
    append: str | None,
    *,
    default: bool,
    netboot: bool,
    as_json: bool,
) -> None:
    """Choose the kernel that an image boots; without options, list its kernels.

    The kernel comes from a package of the image. Its modules are indexed, its initrd is made, and
    it gets an entry in systemconfig.conf and in GRUB's menu. The first one becomes the default.
    """
    state = settings.open()
    place, root = images.find(state, name)
    if version is not None or append is not None or default or netboot:
        with working(settings, state, []) as work:
            with changing_image(work, root, place) as opened:
                chosen = kernel.pick(opened, version, append, default=default, say=work.log)
            work.say(f"{name}: {chosen.version} is set up")
            if netboot:
                served = within(settings.headnode_root, _TFTP)
                work.say(f"{name}: exporting it to {served}")
                diskless.export(state, name, served)
    there = kernel.kernels(root.live)
    if as_json:
        print_json(kernel.shown(there))
    elif there:
        click.echo(show_cluster.kernels(there))
    else:
        say(f"{name} has no kernel; a package brings one")


@image.command("clone")
@click.argument("name")
@click.argument("new")
@JSON
@pass_settings
def image_clone(settings: Settings, name: str, new: str, *, as_json: bool) -> None:
    """Make a new image that is what another one is. They share their files on the disk."""
    state = settings.open()
    with working(settings, state, []):
        place = image_tools.clone(state, name, new)
    _tell(place, as_json=as_json)


@image.command("diff")
@click.argument("name")
@click.argument("generation", metavar="[GENERATION|IMAGE]", required=False)
@JSON
@pass_settings
def image_diff(settings: Settings, name: str, generation: str | None, *, as_json: bool) -> None:
    """Tell which paths of an image have changed.

    Since an earlier generation, by default the one before, or against another image: + for new
    ones, - for gone ones, ~ for changed ones.
    """
    found = image_tools.diff(settings.open(), name, generation)
    if as_json:
        print_json([{"change": sign, "path": path} for sign, path in found])
    else:
        click.echo("".join(f"{sign} {path}\n" for sign, path in found), nl=False)


@image.command("export")
@click.argument("name", metavar="NAME|DIR")
@click.argument("path", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--diskless", "as_folder", is_flag=True, help="Write what boots nodes from memory, into FOLDER."
)
@JSON
@pass_settings
def image_export(
    settings: Settings, name: str, path: Path, *, as_folder: bool, as_json: bool
) -> None:
    """Write an image as one file, or as what boots nodes without a disk.

    It is what the end of the file's name says: .squashfs, or a tar archive: .tar, .tar.gz, .tar.xz,
    .tar.zst; or .img, the content of a disk that a PC boots.

    With --diskless: a kernel and an initramfs that is the image, and for each node that runs it and
    whose MAC address is known an entry for PXELINUX and for GRUB. TFTP can serve the folder.
    """
    state = settings.open()
    if as_folder:
        entries = diskless.export(state, name, path)
    else:
        entries = []
        (disk_image if path.suffix == ".img" else image_tools).export(state, name, path)
    if as_json:
        more = {"nodes": entries} if as_folder else {}
        print_json({"name": name, "file": path.absolute(), **more})
    else:
        say(f"{name}: written to {path}")


@image.command("delete")
@click.argument("names", metavar="NAME…", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@pass_settings
def image_delete(settings: Settings, names: Sequence[str], *, yes: bool, as_json: bool) -> None:
    """Remove images with all their generations. This cannot be undone."""
    state = settings.open()
    if not yes:
        click.confirm(f"remove {', '.join(names)} for good?", abort=True, err=True)
    with working(settings, state, []):
        for name in names:
            image_tools.delete(state, name)
    if as_json:
        print_json([{"name": name} for name in names])
    else:
        say(f"removed {', '.join(names)}")


def _tell(place: Place, *, as_json: bool) -> None:
    """Tell where a new image is."""
    if as_json:
        print_json({"name": place.name, "target": place.target.name, "path": place.root})
    else:
        click.echo(str(place.root))


COMMANDS = (image,)
