# SPDX-License-Identifier: GPL-2.0-or-later
"""rpm's database of a root, read by this machine's rpm."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from opkg.native import guest
from opkg.native.installer import Installed
from opkg.native.system import System
from opkg.run import run

_QUERY = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\n"


def packages(system: System) -> dict[str, Installed]:
    """See `opkg.native.choose.packages`. The keys that rpm keeps among the packages are left
    out."""
    lines = run(looking(system, "-qa", "--qf", _QUERY)).stdout.splitlines()
    rows = (line.split("\t") for line in lines)
    return {
        name: Installed(version=version, state="installed")
        for name, version in rows
        if name != "gpg-pubkey"
    }


def files(paths: Iterable[Path]) -> dict[tuple[str, str], Path]:
    """The package files among `paths`, by name and version as `packages` has them."""
    every = list(paths)
    if not every:
        return {}
    lines = run(["rpm", "--nosignature", "-qp", "--qf", _QUERY, *every]).stdout.splitlines()
    keys = (line.split("\t") for line in lines)
    return {(name, version): path for (name, version), path in zip(keys, every, strict=True)}


def looking(system: System, *words: str) -> list[str]:
    """The command line of rpm, only reading a root's database."""
    database = f"_dbpath {system.target.distribution.rpmdb}"
    return guest.looking(system.root, "rpm", "--root", system.root, "--define", database, *words)
