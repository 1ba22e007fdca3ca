# SPDX-License-Identifier: GPL-2.0-or-later
"""An artifact store in an S3 bucket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.store import ENTRY, Store
from opkg.bucket import AbsentError, Bucket


class S3Store(Store):
    """See `Store`. ENTRY is written last and removed first: a set with it is whole. Nothing goes
    by itself; a rule of the bucket may expire what is old."""

    def __init__(self, url: str) -> None:
        hint = "--store FOLDER names another store"
        self.bucket = Bucket(url, what="the artifact store", hint=hint)
        self.bucket.check()

    def has(self, key: str) -> bool:
        return self.bucket.has(f"{key}/{ENTRY}")

    def fetch(self, key: str, place: Path) -> bool:
        if not self.has(key):
            return False
        for name in self.bucket.sizes(f"{key}/"):
            path = place / name.removeprefix(f"{key}/")
            if not path.resolve().is_relative_to(place.resolve()):
                continue  # nobody who means well writes such
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.bucket.fetch(name, path)
            except AbsentError:
                continue  # just removed by somebody; what is not whole will be seen
        return place.exists()

    def put(self, key: str, files: Mapping[str, Path]) -> None:
        if self.has(key):
            return
        for name in sorted(files, key=lambda name: name == ENTRY):
            self.bucket.put(f"{key}/{name}", files[name])

    def drop(self, key: str) -> None:
        for name in [f"{key}/{ENTRY}", *self.bucket.sizes(f"{key}/")]:
            self.bucket.drop(name)
