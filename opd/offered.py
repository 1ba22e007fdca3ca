# SPDX-License-Identifier: GPL-2.0-or-later
"""OPKGs that are on offer, by name, and the files that they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opd import show
from opd.download import Wish
from opd.repository import Known
from opkg.errors import OpkgError
from opkg.index import Offer


def find(known: Sequence[Known], name: str) -> tuple[Known, list[Offer]]:
    """The newest version of an OPKG. Raises OpkgError."""
    found = show.newest(known)
    if name not in found:
        raise OpkgError(f"there is no OPKG {name}", hint="opd list shows what there is")
    return found[name]


def wishes_for(known: Sequence[Known], name: str, target: str) -> list[Wish]:
    """The files of an OPKG's newest version for a target. Raises OpkgError."""
    entry, offers = find(known, name)
    for offer in offers:
        if offer.target == target:
            return [
                Wish(
                    urls=entry.urls(artifact.file),
                    size=artifact.size,
                    sha256=artifact.sha256,
                    name=Path(artifact.file).name,
                )
                for artifact in offer.artifacts
            ]
    raise OpkgError(
        f"{name} is not offered for {target}",
        hint="it is for " + ", ".join(offer.target for offer in offers),
    )
