# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that a person may meet."""

from __future__ import annotations


class C3Error(Exception):
    """What went wrong, where, and what to do about it."""

    status = 1  # what the command exits with

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class UsageError(C3Error):
    """The command line asks for something that cannot be."""

    status = 2
