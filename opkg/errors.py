# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that a person may meet. Everything else is a bug and shows its traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class OpkgError(Exception):
    """Something expected went wrong: what (`message`), where, and what to do about it (`hint`)."""

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class IntegrityError(OpkgError):
    """Data are not what a digest or a signature says they are."""


class CommandError(OpkgError):
    """A program that we started failed; `output` is the end of what it said."""

    def __init__(
        self, message: str, *, argv: Sequence[str], output: str, hint: str = "", where: str = ""
    ) -> None:
        super().__init__(message, hint=hint, where=where)
        self.argv = tuple(argv)
        self.output = output
        # For who sees a traceback, such as that of a failed test.
        self.add_note(output)


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One finding in somebody's file. `severity` is "error", "warning" or "note"; `line` counts
    from 1, 0 stands for the whole file. As a text, the hint has a line of its own."""

    severity: str
    path: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{place}: {self.severity}: {self.message}{hint}"


class InvalidInputError(OpkgError):
    """A file was refused; `diagnostics` holds every fault in it."""

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = tuple(diagnostics)
