# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the library is, and how its tests run programs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

SPECS = Path(__file__).parents[2] / "opkg_specs"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a program ended and what it said."""

    status: int
    out: str
    err: str


def ran(argv: list[str | Path], **options: object) -> Ran:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    return Ran(status=done.returncode, out=done.stdout, err=done.stderr)
