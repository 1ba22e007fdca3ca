# SPDX-License-Identifier: GPL-2.0-or-later
"""Licences: the seven names that config.xml always knew, and SPDX expressions."""

from __future__ import annotations

import re
from functools import cache

from opkg.findings import likely

NAMES = (
    "GPL",
    "LGPL",
    "PBS license (see PBS_License.txt)",
    "Freely distributable",
    "Maui license",
    "BSD",
    "SISSL",
)
_ANY_CASE = {name.lower(): name for name in NAMES}
# SPDX specification, annex D: a licence of one's own.
_OWN = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")
_SPDX = re.compile(r"[A-Za-z0-9.+:()\s-]+")
_LONGEST = 500
_CALLED_SO = re.compile(r"\s*\blicen[cs]e$", re.IGNORECASE)
_HINT = "write an SPDX expression, for example GPL-2.0-or-later"


@cache
def read_licence(text: str) -> tuple[str, str, str]:
    """What a licence is read as; and, where it is neither of the known names nor an SPDX
    expression in its usual form, a complaint and a hint."""
    if text in NAMES:
        return text, "", ""
    if usual := _ANY_CASE.get(text.lower()) or _ANY_CASE.get(_CALLED_SO.sub("", text).lower()):
        return usual, f"the licence “{text}” is read as “{usual}”", f"write {usual}"
    if len(text) > _LONGEST:
        return text, "the licence is a whole text", f"put that into doc/, and {_HINT}"
    return _spdx(text)


def _spdx(text: str) -> tuple[str, str, str]:
    # Only here: it reads a megabyte of licences, which the names above need not wait for.
    from license_expression import get_spdx_licensing

    if not _SPDX.fullmatch(text):
        # The library stumbles over some of what can never be an expression.
        return text, f"“{text}” is not a known licence", _HINT
    licensing = get_spdx_licensing()
    # The licences of one's own are none that the list could know.
    result = licensing.validate(_OWN.sub("MIT", text))
    if not result.errors:
        return text, "", ""
    unknown = [word for word in result.invalid_symbols if word]
    known = {str(key).lower(): str(key) for key in licensing.known_symbols}
    close = likely(unknown[0].lower(), known) if len(unknown) == 1 else None
    return text, f"“{text}” is not a known licence", f"perhaps {known[close]}" if close else _HINT
