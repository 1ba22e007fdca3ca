# SPDX-License-Identifier: GPL-2.0-or-later
"""A plan as a picture: a column for each step of the way, an arrow from what is needed to what
needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise

from builder.graph import in_order
from builder.job import Job

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 190, 44, 70, 14
_MARGIN, _TITLE, _LEGEND = 24, 34, 40
_LETTERS = 23  # that fit into a box

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1b2430 }
.title { font-weight: 600; font-size: 15px }
.small { font-size: 11px; fill: #5a6675 }
.paper { fill: #ffffff }
rect.node { stroke-width: 1.5; fill: #f6f8fa; stroke: #8a95a3 }
rect.build { fill: #fff3d6; stroke: #c28a0e }
rect.from-store { fill: #ddeeff; stroke: #2b74c7 }
rect.unchanged { fill: #e2f5e6; stroke: #2f8f4e }
rect.skip { stroke-dasharray: 4 3 }
path { fill: none; stroke: #8a95a3; stroke-width: 1.5 }
.head { fill: #8a95a3; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf1 } .small { fill: #9aa7b6 } .paper { fill: #12171d }
  rect.node { fill: #1c242d; stroke: #66717f }
  rect.build { fill: #3a2f12; stroke: #d6a431 }
  rect.from-store { fill: #14304d; stroke: #5ba0ec }
  rect.unchanged { fill: #16351f; stroke: #55b877 }
  path { stroke: #66717f } .head { fill: #66717f }
}
"""


def picture(jobs: Sequence[Job], actions: Mapping[str, str]) -> str:
    """The SVG text of the jobs, each with its action, a block for each target."""
    parts: list[str] = []
    top, width = _MARGIN, 0
    for target in dict.fromkeys(job.target.name for job in jobs):
        mine = [job for job in jobs if job.target.name == target]
        ways = _ways({job.id: job.needs for job in mine})
        places = _places(ways, top + _TITLE)
        parts.append(f'<text class="title" x="{_MARGIN}" y="{top + 16}">{escape(target)}</text>')
        parts += [_arrow([places[stop] for stop in way]) for each in ways.values() for way in each]
        parts += [_box(job, actions[job.id], *places[job.id]) for job in mine]
        top = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
        width = max(width, *(x + _WIDTH + _MARGIN for x, _ in places.values()))
    used = dict.fromkeys(actions[job.id] for job in jobs)
    width, height = max(width, _MARGIN + 120 * len(used)), top + _LEGEND
    parts += [_legend(word, number, top) for number, word in enumerate(used)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n<title>What a build would do</title>\n'
        f"<style>{_STYLE}</style>\n"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>\n'
        f'<rect class="paper" width="{width}" height="{height}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _columns(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The column of each job: right of all that it needs."""
    found: dict[str, int] = {}
    for name in in_order(needs):
        found[name] = max((found[need] + 1 for need in needs[name]), default=0)
    return found


def _ways(needs: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[str, ...]]]:
    """For each job the ways from what it needs to it: with a stop of its own in each column that
    lies between, so that no way leads through a box."""
    columns = _columns(needs)
    return {
        name: [
            (
                need,
                *(f"{need} {name} {n}" for n in range(columns[need] + 1, columns[name])),
                name,
            )
            for need in needs[name]
        ]
        for name in needs
    }


def _places(ways: Mapping[str, Sequence[Sequence[str]]], top: int) -> dict[str, tuple[int, int]]:
    """The upper left corner of each job's box, and of each stop: near where ways come from."""
    before: dict[str, list[str]] = {name: [] for name in ways}
    for way in (way for each in ways.values() for way in each):
        for stop, following in pairwise(way):
            before.setdefault(following, []).append(stop)
    columns = _columns({name: before[name] for name in before})
    used = {stop for stops in before.values() for stop in stops}
    rows: dict[str, int] = {}
    for number in range(max(columns.values()) + 1):
        here = [name for name in before if columns[name] == number]
        # In the first column, what nothing needs comes last.
        here.sort(key=lambda name: (_mean(rows[each] for each in before[name]), name not in used))
        rows |= {name: row for row, name in enumerate(here)}
    return {
        name: (_MARGIN + columns[name] * (_WIDTH + _GAP_X), top + rows[name] * (_HEIGHT + _GAP_Y))
        for name in before
    }


def _mean(rows: Iterable[int]) -> float:
    listed = list(rows)
    return sum(listed) / len(listed) if listed else 0.0


def _box(job: Job, action: str, x: int, y: int) -> str:
    name, version = job.opkg.name, str(job.opkg.version)
    shown = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
    kind = action.replace(" ", "-")
    return (
        f"<g><title>{escape(f'{name} {version}: {action}')}</title>"
        f'<rect class="node {kind}" x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>'
        f'<text x="{x + 12}" y="{y + 19}">{escape(shown)}</text>'
        f'<text class="small" x="{x + 12}" y="{y + 35}">{escape(version[:_LETTERS])}</text>'
        f'<text class="small" x="{x + _WIDTH - 12}" y="{y + 35}" text-anchor="end">'
        f"{escape(action)}</text></g>"
    )


def _arrow(stops: Sequence[tuple[int, int]]) -> str:
    """A line from the right side of the first box to the left side of the last one."""
    half, bend = _HEIGHT // 2, _GAP_X // 2
    x, y = stops[0]
    line = f"M{x + _WIDTH} {y + half}"
    for (x1, y1), (x2, y2) in pairwise(stops):
        start, end = x1 + _WIDTH + bend, x2 - bend
        line += f"C{start} {y1 + half} {end} {y2 + half} {x2} {y2 + half}"
        line += f"H{x2 + _WIDTH}" if (x2, y2) != stops[-1] else ""
    return f'<path marker-end="url(#head)" d="{line}"/>'


def _legend(word: str, number: int, top: int) -> str:
    x = _MARGIN + 120 * number
    return (
        f'<rect class="node {word.replace(" ", "-")}" x="{x}" y="{top}" width="16" height="16" '
        f'rx="4"/><text class="small" x="{x + 22}" y="{top + 12}">{escape(word)}</text>'
    )
