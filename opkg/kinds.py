# SPDX-License-Identifier: GPL-2.0-or-later
"""The named kinds of build steps, for what is built in a common way; a table in `kinds.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec


class StepKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`requires` are generic names of packages, `run` is a script for bash whose arguments are
    the step's options."""

    requires: tuple[str, ...]
    run: str


@cache
def step_kinds() -> Mapping[str, StepKind]:
    """The kinds by their names."""
    text = files("opkg").joinpath("kinds.toml").read_text()
    return msgspec.convert(tomllib.loads(text), dict[str, StepKind])
