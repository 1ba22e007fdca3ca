# SPDX-License-Identifier: GPL-2.0-or-later
"""The forms that config.xml has had, and how to tell one from another."""

from __future__ import annotations

from enum import StrEnum

from opkg.xml_file import Element


class Generation(StrEnum):
    """The forms that config.xml has had."""

    DTD = "dtd"
    RPMLIST = "rpmlist"
    BPL = "binary-package-list"
    BARE = "bare"
    CURRENT = "current"


def generation(root: Element) -> Generation:
    """Which form a document has, by its marks."""
    is_package = root.tag == "package"
    if not is_package and any(root.find(tag) is not None for tag in ("changelog", "authors")):
        return Generation.CURRENT
    if root.find("binary-package-list") is not None:
        return Generation.BPL
    if root.find("rpmlist") is not None:
        return Generation.DTD if is_package else Generation.RPMLIST
    is_older = is_package or root.find("version") is not None
    return Generation.BARE if is_older else Generation.CURRENT


# What mends it, in the hint of a warning.
CONVERT = "opkgc convert"
