# SPDX-License-Identifier: GPL-2.0-or-later
"""How long builds took, kept from run to run, to say how long the next ones may take."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from builder.cache import cache_path
from builder.job import Result, Status
from opkg.files import locked, write_atomic


def known() -> dict[str, float]:
    """The seconds that each job took when it was last done, by its id; none where the file that
    keeps them is not there, or is damaged."""
    try:
        found = json.loads(_file().read_text())
        return {str(job): float(seconds) for job, seconds in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def remember(results: Iterable[Result]) -> None:
    """Keep how long recipes took; all else takes no time."""
    fresh = {
        result.job.id: round(result.seconds, 1)
        for result in results
        if result.status is Status.BUILT and result.job.recipe
    }
    if fresh:
        with locked(_file().with_suffix(".lock")):
            write_atomic(_file(), json.dumps({**known(), **fresh}, indent=1, sort_keys=True))


def _file() -> Path:
    return cache_path("durations") / "seconds.json"
