# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build gave, before it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opkg.manifest import Artifact, InputPackage, Record, SourceFile

# Packages, each with the path at which it lies.
Files = tuple[tuple[Artifact, Path], ...]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a job made, each with the path at which it lies so far; `used` are the packages of
    other jobs that its recipe was followed with."""

    artifacts: Files
    sources: tuple[tuple[SourceFile, Path], ...] = ()
    records: tuple[tuple[Record, Path], ...] = ()
    used: tuple[InputPackage, ...] = ()

    @property
    def files(self) -> list[tuple[Artifact | SourceFile, Path]]:
        return [*self.artifacts, *self.sources, *self.records]
