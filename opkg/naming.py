# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPKGs and packages can be called."""

from __future__ import annotations

import re

# Of an OPKG, and of every package on the family that is strict (Debian Policy, chapter 5.6.7).
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
# What no package manager has in a package's name.
_NEVER = re.compile(r"[\s,|<>=\"'&;\\]")


def legal_name(text: str) -> str:
    """A text made into a name for an OPKG, as far as it can be: small letters, and dashes for
    what is not allowed. A name stays as it is."""
    if NAME.fullmatch(text):
        return text
    return re.sub(r"[^a-z0-9+.-]+", "-", text.lower()).strip("+.-")


def is_possible(text: str) -> bool:
    """Whether any package manager takes this for a package's name."""
    return bool(text) and not _NEVER.search(text)
