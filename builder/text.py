# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts as both families have them."""

from __future__ import annotations

import textwrap


def wrapped(text: str) -> str:
    """Paragraphs in lines of at most 78 characters, an empty line between two."""
    return "\n\n".join(textwrap.fill(paragraph, 78) for paragraph in text.split("\n\n"))
