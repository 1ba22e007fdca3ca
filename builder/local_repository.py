# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages that were just built, as a repository for the package manager of a build root."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from opkg.native import guest
from opkg.native.installer import PackageSource
from opkg.run import run
from opkg.target import Family

_NAME = "built"


def write_repository(packages: Sequence[Path], session: Path, family: Family) -> PackageSource:
    """Make a repository of package files in the folder `session` of a package manager."""
    folder = session / _NAME
    folder.mkdir()
    for path in packages:
        shutil.copy(path, folder)
    if family is Family.RPM:
        run(["createrepo_c", "--quiet", folder])
        return PackageSource(name=_NAME, url=folder.as_uri(), local=True)
    listing = run(["dpkg-scanpackages", "--multiversion", "."], cwd=folder).stdout
    (folder / "Packages").write_text(listing)
    # The root's own apt reads it.
    url = (guest.SESSION / _NAME).as_uri()
    return PackageSource(name=_NAME, url=url, suite="./", local=True)
