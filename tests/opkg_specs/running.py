# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the library is, and how its tests run programs."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from opkg.recipe_reader import read_recipe

SPECS = Path(__file__).parents[2] / "opkg_specs"


def needs_root(name: str) -> bool:
    """Whether an OPKG is compiled, and so to be built in a root of its target:
    tests/builder/test_roots.py builds, installs and runs those."""
    recipe = read_recipe(SPECS / name)
    return recipe is not None and any(step.kind for step in recipe.step)


def options_of(page: Path) -> set[str]:
    """The options that a page of the manual has."""
    text = page.read_text().partition(".SH OPTIONS")[2].partition(".SH EXIT")[0]
    return set(re.findall(r"(?:^|, )\\fB(\S+?)\\fR", text.replace("\\-", "-"), re.MULTILINE))


def options_in(help_text: str) -> set[str]:
    """The options that a program offers by --help."""
    offered = re.findall(r"^ +(-\w|--[a-z-]+)", help_text, re.MULTILINE)
    return {*offered, *re.findall(r"^ +-\w(?: \w+)?, (--[a-z-]+)", help_text, re.MULTILINE)}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a program ended and what it said."""

    status: int
    out: str
    err: str


def ran(argv: list[str | Path], **options: object) -> Ran:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    return Ran(status=done.returncode, out=done.stdout, err=done.stderr)
