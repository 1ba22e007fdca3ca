# SPDX-License-Identifier: GPL-2.0-or-later
"""A picture of how an OPKG relates to others: left what needs it, right what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opkg.manifest import OpkgRelation
from opkg.spec import Kind

_WIDTH, _HEIGHT, _GAP, _ROOM = 180, 34, 12, 90
# A longer column is cut: the page's text names all.
_MOST = 12
_LONGEST = 20
_SHOWN = (Kind.REQUIRES, Kind.RECOMMENDS, Kind.SUGGESTS, Kind.PROVIDES, Kind.CONFLICTS)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A name at a place; `kind` says how it looks, `path` is the line to it. `linked` names have a
    page."""

    name: str
    text: str
    kind: str
    x: int
    y: int
    path: str = ""
    linked: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Boxes within a width and a height."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    box_width: int = _WIDTH
    box_height: int = _HEIGHT


def draw(
    name: str, relations: Sequence[OpkgRelation], needed_by: Sequence[str], known: frozenset[str]
) -> Picture | None:
    """The picture of an OPKG; None where it is alone."""
    right = [
        (one.name, one.kind.value) for kind in _SHOWN for one in relations if one.kind is kind
    ][:_MOST]
    left = [(other, "needed-by") for other in needed_by][:_MOST]
    if not left and not right:
        return None
    rows = max(len(left), len(right), 1)
    height = rows * (_HEIGHT + _GAP) - _GAP + 2
    middle_x = _WIDTH + _ROOM if left else 1
    middle_y = (height - _HEIGHT) // 2
    boxes = [Box(name=name, text=_short(name), kind="self", x=middle_x, y=middle_y)]
    far_x = middle_x + _WIDTH + _ROOM
    centre = middle_y + _HEIGHT // 2
    for x, column in ((1, left), (far_x, right)):
        top = (height - len(column) * (_HEIGHT + _GAP) + _GAP) // 2
        for number, (other, kind) in enumerate(column):
            y = top + number * (_HEIGHT + _GAP)
            at = y + _HEIGHT // 2
            ends = (
                (x + _WIDTH, at, middle_x, centre)
                if x == 1 and left
                else (middle_x + _WIDTH, centre, x, at)
            )
            boxes.append(
                Box(
                    name=other,
                    text=_short(other),
                    kind=kind,
                    x=x,
                    y=y,
                    path=_curve(*ends),
                    linked=other in known,
                )
            )
    width = (far_x if right else middle_x) + _WIDTH + 1
    return Picture(width=width, height=height, boxes=tuple(boxes))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _curve(x: int, y: int, to_x: int, to_y: int) -> str:
    bend = (x + to_x) // 2
    return f"M{x} {y}C{bend} {y} {bend} {to_y} {to_x} {to_y}"
