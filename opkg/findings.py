# SPDX-License-Identifier: GPL-2.0-or-later
"""What is found wrong with a file, collected so that a person hears of everything at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from opkg.errors import Diagnostic, InvalidInputError

# A person mends these first; a file made to waste our memory gets no further.
LIMIT = 500
_LONGEST = 400
_MANY = 20


class Findings:
    """The findings of one reading. `path` is the file that they are about, unless said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[Diagnostic] = []

    @property
    def failed(self) -> bool:
        return any(found.severity == "error" for found in self.found)

    def error(self, line: int, message: str, hint: str = "", *, path: Path | None = None) -> None:
        """Something would be lost, or is missing. `line` 0 is the whole file."""
        self._add("error", line, message, hint, path)

    def warn(self, line: int, message: str, hint: str = "", *, path: Path | None = None) -> None:
        """Something is odd, and was read all the same."""
        self._add("warning", line, message, hint, path)

    def _add(self, severity: str, line: int, message: str, hint: str, path: Path | None) -> None:
        if len(self.found) == LIMIT:
            severity, message, hint = "error", f"more than {LIMIT} findings", "mend those first"
        self.found.append(_diagnostic(severity, path or self.path, line, message, hint))
        if len(self.found) > LIMIT:
            raise self.refusal()

    def refusal(self) -> InvalidInputError:
        """The error that carries the findings, in the order of files and lines."""
        errors = sum(found.severity == "error" for found in self.found)
        plural = "s" if errors > 1 else ""
        where = printable(str(self.path))
        return InvalidInputError(f"{where} has {errors} error{plural}", self.sorted())

    def sorted(self) -> tuple[Diagnostic, ...]:
        """All findings, by line; those of one file stay together."""
        order = {
            path: number for number, path in enumerate(dict.fromkeys(f.path for f in self.found))
        }
        return tuple(sorted(self.found, key=lambda found: (order[found.path], found.line)))


def refuse(path: Path, message: str, hint: str = "", *, line: int = 0) -> InvalidInputError:
    """The error for a file that is refused for one reason."""
    found = _diagnostic("error", path, line, message, hint)
    return InvalidInputError(f"{found.path} cannot be read", [found])


def _diagnostic(severity: str, path: Path, line: int, message: str, hint: str) -> Diagnostic:
    return Diagnostic(
        severity=severity,
        path=printable(str(path)),
        line=line,
        message=printable(message),
        hint=printable(hint),
    )


def printable(text: str) -> str:
    """Somebody's text, fit for a terminal: control characters are spelled out, and a text that
    is too long for a message is cut."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def likely(word: str, known: Iterable[str], *, alike: float = 0.6) -> str | None:
    """The known word that was probably meant, if there is one so much alike."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=alike)), None)


def expected(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """The hint for a word that is not among the known ones."""
    known = sorted(known)
    if meant := likely(word, known):
        return f"perhaps {meant}"
    if len(known) > _MANY:
        return "compare with docs/opkg-format.md"
    return f"expected {', '.join(known) or otherwise}"
