# SPDX-License-Identifier: GPL-2.0-or-later
"""The page that shows a run: what was built, by whom, for how long, with links to its logs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2

from builder.job import Result
from builder.out import log_folder
from builder.progress import duration
from builder.record import Entry, Record
from opkg.files import write_atomic

# Of the picture, in its own units: as wide as the text beside it would be.
_WIDTH, _LEFT, _LANE, _TOP = 960, 96, 26, 22
_LETTER = 6.5  # the width of one, about
_STEPS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600)


@dataclass(frozen=True, kw_only=True)
class _Bar:
    """A job in the picture."""

    x: float
    y: int
    width: float
    kind: str
    label: str
    title: str
    anchor: str


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A job in the table."""

    opkg: str
    version: str
    target: str
    status: str
    kind: str
    worker: str
    took: str
    packages: int
    error: str
    output: str
    logs: list[tuple[str, str]]
    anchor: str


def write_report(record: Record, out: Path, path: Path) -> None:
    """Write the page of a run that put its packages under `out`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("builder", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    now = time.time()
    lanes = sorted({entry.worker for entry in record.entries if entry.begun})
    rows = [_row(entry, out, path.parent) for entry in record.entries]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    page = environment.get_template("report.html").render(
        when=time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(record.begun)),
        machine=platform.node(),
        took=duration(now - record.begun),
        counts=counts,
        rows=rows,
        lanes=[(name, _TOP + number * _LANE) for number, name in enumerate(lanes)],
        bars=list(_bars(record, lanes, now)),
        ticks=list(_ticks(now - record.begun)),
        width=_WIDTH,
        height=_TOP + len(lanes) * _LANE + 4,
        lane=_LANE,
    )
    write_atomic(path, page)


def _row(entry: Entry, out: Path, beside: Path) -> _Row:
    job, result = entry.job, entry.result
    logs = log_folder(job, out)
    return _Row(
        opkg=job.opkg.name,
        version=str(job.opkg.version),
        target=job.target.name,
        status=result.status.value if result else "not finished",
        kind=_kind(result),
        worker=entry.worker,
        took=_took(result.seconds) if result and entry.begun else "",
        packages=len(result.artifacts) if result else 0,
        error=_why(result) if result else "",
        output=getattr(result.error, "output", "") if result else "",
        logs=[
            (log.stem, quote(os.path.relpath(log.absolute(), beside.absolute())))
            for log in sorted(logs.glob("*.log"))
        ],
        anchor=f"{job.target.name}.{job.opkg.name}",
    )


def _why(result: Result) -> str:
    if result.missing:
        return "for want of " + ", ".join(result.missing)
    return str(result.error) if result.error else ""


def _kind(result: Result | None) -> str:
    if result is None:
        return "open"
    if not result.status.is_good:
        return "bad"
    return "good" if result.artifacts else "idle"


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _bars(record: Record, lanes: list[str], now: float) -> Iterator[_Bar]:
    scale = (_WIDTH - _LEFT) / max(now - record.begun, 0.001)
    for entry in record.entries:
        if entry.begun is None:
            continue
        result = entry.result
        took = result.seconds if result else now - entry.begun
        width = max(took * scale, 2)
        name = entry.job.opkg.name
        yield _Bar(
            x=round(_LEFT + (entry.begun - record.begun) * scale, 1),
            y=_TOP + lanes.index(entry.worker) * _LANE,
            width=round(width, 1),
            kind=_kind(result),
            label=name if len(name) * _LETTER + 10 < width else "",
            title=f"{entry.job.id}: {result.status.value if result else 'not finished'}, "
            f"{_took(took)}",
            anchor=f"{entry.job.target.name}.{name}",
        )


def _ticks(total: float) -> Iterator[tuple[float, str]]:
    """Where the picture has lines of time, and what stands at them: at most eight."""
    step = next((step for step in _STEPS if total / step <= 8), _STEPS[-1])
    for number in range(int(total / step) + 1):
        at = number * step
        x = _LEFT + at / max(total, 0.001) * (_WIDTH - _LEFT)
        if x < _WIDTH - 30:
            yield round(x, 1), f"{at:g} s" if total < 120 else duration(at)
