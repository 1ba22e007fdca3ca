# SPDX-License-Identifier: GPL-2.0-or-later
"""A new state of a root from an old one and the layer of its changes, sharing all that is equal.

The layer's form is that of overlayfs: a character device 0/0 stands for what was removed, and the
extended attribute trusted.overlay.opaque for a folder that hides the old one.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from opkg.run import run

_OVERLAY = "trusted.overlay."


def link_tree(old: Path, new: Path) -> None:
    """Make `new` the same tree as `old`, its files being hard links."""
    run(["cp", "--archive", "--link", "--no-target-directory", old, new])


def apply_layer(layer: Path, tree: Path) -> None:
    """Put the changes of `layer` into `tree`, on the same file system: its files become hard links
    too. Files of the tree are replaced, never written to, so that what shares them stays as it
    was."""
    for here, folders, names in os.walk(layer):
        for name in folders + names:
            _apply(Path(here, name), tree / Path(here).relative_to(layer) / name)
    # Owner, mode, attributes and times of folders last: what was put into them changed their times.
    for here, _, _ in os.walk(layer, topdown=False):
        place = tree / Path(here).relative_to(layer)
        if place.is_dir():
            copy_metadata(Path(here), place)


def is_empty(layer: Path) -> bool:
    """Whether a layer holds no change."""
    return not any(layer.iterdir())


def _apply(change: Path, place: Path) -> None:
    status = change.lstat()
    if stat.S_ISDIR(status.st_mode):
        if _is_opaque(change):
            _remove(place)
        place.mkdir(exist_ok=True)
        return
    _remove(place)
    if not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0):
        for name in os.listxattr(change, follow_symlinks=False):
            if name.startswith(_OVERLAY):
                os.removexattr(change, name, follow_symlinks=False)
        os.link(change, place, follow_symlinks=False)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _is_opaque(folder: Path) -> bool:
    try:
        return os.getxattr(folder, f"{_OVERLAY}opaque") == b"y"
    except OSError:
        return False


def copy_metadata(origin: Path, place: Path) -> None:
    """Give the folder `place` owner, mode, extended attributes and times of the folder `origin`."""
    status = origin.stat()
    os.chown(place, status.st_uid, status.st_gid)
    place.chmod(stat.S_IMODE(status.st_mode))
    wanted = {name for name in os.listxattr(origin) if not name.startswith(_OVERLAY)}
    for name in set(os.listxattr(place)) - wanted:
        os.removexattr(place, name)
    for name in wanted:
        os.setxattr(place, name, os.getxattr(origin, name))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
