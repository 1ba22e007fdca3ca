# SPDX-License-Identifier: GPL-2.0-or-later
"""Package files that are kept, so that a root can go back when its repository has dropped them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from opkg.errors import CommandError
from opkg.native.installer import Installer, Say, Step

# Of the last changes of a place; older ones cannot be undone where the repository has no more.
TRANSACTIONS = 50
Key = tuple[str, str]


def kept(folder: Path) -> dict[Key, Path]:
    """The files that are kept, by name and version."""
    found = {}
    for path in folder.glob("*=*"):
        name, _, version = path.stem.partition("=")
        found[unquote(name), unquote(version)] = path
    return found


def keep_installed(folder: Path, installer: Installer, steps: Sequence[Step], say: Say) -> None:
    """Keep what is installed now and will be replaced or removed by `steps`. What is to be had
    nowhere is told, and no hindrance."""
    keep_fetched(folder, installer, [(step.name, step.before) for step in steps])
    there = kept(folder)
    lacking = [step for step in steps if step.before and (step.name, step.before) not in there]
    if not lacking:
        return
    try:
        installer.fetch_installed([step.name for step in lacking])
    except CommandError:
        names = ", ".join(f"{step.name} {step.before}" for step in lacking)
        say(f"{installer.system.name}: no repository has what is replaced, so it cannot be kept "
            f"for opd undo: {names}")  # fmt: skip
    keep_fetched(folder, installer, [(step.name, step.before) for step in lacking])


def keep_fetched(folder: Path, installer: Installer, keys: Iterable[Key]) -> None:
    """Keep those of the packages that the installer has downloaded."""
    folder.mkdir(parents=True, exist_ok=True)
    there, fetched = kept(folder), installer.files()
    for name, version in keys:
        path = fetched.get((name, version))
        if path and (name, version) not in there:
            place = folder / f"{quote(name, safe='')}={quote(version, safe='')}{path.suffix}"
            part = place.with_suffix(".part")
            shutil.copy(path, part)
            part.replace(place)


def forget(folder: Path, needed: frozenset[Key]) -> None:
    """Remove what is kept beside `needed`."""
    for key, path in kept(folder).items():
        if key not in needed:
            path.unlink()
