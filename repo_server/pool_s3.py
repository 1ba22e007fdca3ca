# SPDX-License-Identifier: GPL-2.0-or-later
"""A pool in an S3 bucket. The tree keeps its metadata; where a package would be, it has a link to
the object's URL, which no file system can follow, and clients are sent to the bucket.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from opkg.bucket import Bucket
from opkg.files import point
from repo_server.pool import Pool

# How long an address that a client was sent to holds: a slow one may resume.
_SECONDS = 3600
# Files that are sent to the service at once.
_AT_A_TIME = 8


class BucketPool(Pool):
    """Objects are `<ab>/<sha256>` at a `url`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def is_used(self) -> bool:
        """Whether there is any object. Raises OpkgError where the bucket cannot be used."""
        return bool(_bucket(self.url).sizes())

    def put(self, files: Mapping[str, Path]) -> None:
        bucket = _bucket(self.url)

        def send(sha256: str) -> None:
            bucket.put(_name(sha256), files[sha256])
            files[sha256].unlink()

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            list(pool.map(send, files))

    def show(self, sha256: str, place: Path) -> None:
        point(place, f"{self.url}/{_name(sha256)}")

    def mend(self, sha256: str, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        self.show(sha256, place)

    def sweep(self, known: Collection[str]) -> tuple[int, int]:
        bucket = _bucket(self.url)
        lost = {
            name: size
            for name, size in bucket.sizes().items()
            if name.rpartition("/")[2] not in known
        }
        for name in lost:
            bucket.drop(name)
        return len(lost), sum(lost.values())


def parts(url: str) -> Iterator[bytes]:
    """The bytes of an object. Raises AbsentError, and OpkgError where the service fails."""
    bucket, name = _divided(url)
    return bucket.parts(name)


def address(url: str, method: str, *, name: str, kind: str) -> str:
    """The address that a client is sent to for an object, for a request by `method`: it holds for
    an hour. `name` and `kind`, a media type, say what it is. Raises OpkgError."""
    bucket, object_name = _divided(url)
    answer = {
        "ResponseContentType": kind,
        "ResponseContentDisposition": f'attachment; filename="{name}"',
    }
    return bucket.signed_url(object_name, method=method, seconds=_SECONDS, answer=answer)


def _name(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _divided(url: str) -> tuple[Bucket, str]:
    pool, folder, sha256 = url.rsplit("/", 2)
    return _bucket(pool), f"{folder}/{sha256}"


@cache
def _bucket(url: str) -> Bucket:
    return Bucket(url, what="the pool")


# A child must not speak on its parent's connections.
os.register_at_fork(after_in_child=_bucket.cache_clear)
