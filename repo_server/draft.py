# SPDX-License-Identifier: GPL-2.0-or-later
"""A generation while it is being made: small files are written, packages are linked."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from opkg.errors import OpkgError
from repo_server.openpgp import Keyring
from repo_server.repository import Repository, pool_path


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The generation `number` of a repository, in the making, with the `date` and the end that
    all its metadata bear. `lasting` collects the files whose names change with their content."""

    repository: Repository
    keys: Keyring
    number: int
    date: datetime
    valid_until: datetime
    lasting: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The folder that becomes the generation."""
        return self.repository.generation(self.number)

    def write(self, path: str, data: bytes | str, *, lasting: bool = False) -> None:
        """Write a file. A lasting one stays in later generations, for clients that still hold
        the metadata which name it."""
        place = self._place(path, lasting)
        place.write_bytes(data.encode() if isinstance(data, str) else data)

    def link(self, path: str, origin: Path, *, lasting: bool = False) -> None:
        """Give the file `origin` the name `path` in the tree, if nothing has it yet."""
        with contextlib.suppress(FileExistsError):
            os.link(origin, self._place(path, lasting))

    def link_package(self, path: str, sha256: str) -> None:
        """Put a package of the pool into the tree."""
        self.link(path, pool_path(self.repository.pool, sha256))

    def _place(self, path: str, lasting: bool) -> Path:
        if lasting:
            self.lasting.append(path)
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def compress(form: str, data: bytes) -> bytes:
    """`data` compressed as a target's `index_compression` says, alike at any time."""
    if form == "gz":
        return gzip.compress(data, mtime=0)
    if form == "xz":
        return lzma.compress(data)
    raise OpkgError(
        f"lists cannot be compressed as “{form}”",
        where="targets.toml",
        hint="index_compression takes gz and xz",
    )
