# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a repository of our own kind: TUF vouches for the index of each channel; this names the
keys and the places of the apt and rpm-md repositories beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import Metadata
from tuf.ngclient import FetcherInterface, Updater

from opkg.document import decode
from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_bytes
from opkg.index import NAME, Index
from opkg.target import Family
from repo_server.mirrors.apt import Archive, read_archive
from repo_server.mirrors.fetch import Store, Upstream, Wanted
from repo_server.mirrors.listing import Listed, Listing, not_signed, together
from repo_server.mirrors.rpm_md import read_folder
from repo_server.openpgp import verifier
from repo_server.publish import OPENPGP_KEY, TUF_ROOT
from repo_server.repository import Progress
from repo_server.rpms import SOURCES

# A publication may come while one is read.
_TRIES = 3


def pinned_root(upstream: Upstream, fingerprint: str) -> bytes:
    """The upstream's initial root, whose SHA-256 somebody gave. Raises IntegrityError."""
    data = upstream.need(TUF_ROOT)
    if sha256_bytes(data) != fingerprint:
        raise IntegrityError(
            "has another fingerprint than the one you gave",
            where=upstream.address(TUF_ROOT),
            hint=f"it is {sha256_bytes(data)}: do not use it unless its owner confirms that",
        )
    return data


def read_channels(
    upstream: Upstream,
    store: Store,
    root: bytes,
    memory: Path,
    channels: Sequence[str],
    progress: Progress,
) -> tuple[Listing, tuple[Index, ...]]:
    """All that some channels have, in one state of the repository. `memory` is the folder in which
    TUF remembers what it saw. Raises IntegrityError where signature, date or version is wrong."""
    for _ in range(_TRIES):
        read = [_Channel(upstream, store, root, memory, name) for name in channels]
        keys = {path: upstream.need(path) for path in (OPENPGP_KEY, TUF_ROOT)}
        listings = [one.listing(progress) for one in read]
        if all(one.is_newest() for one in read):
            return together([Listing(keys, (), ()), *listings]), tuple(one.index for one in read)
    raise OpkgError(
        "it is published faster than it can be read", where=upstream.url, hint="sync again later"
    )


class _Channel:
    """A channel whose index was verified."""

    def __init__(
        self, upstream: Upstream, store: Store, root: bytes, memory: Path, name: str
    ) -> None:
        self._upstream, self._store = upstream, store
        self._base = f"opd/{name}"
        folder = memory / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            updater = Updater(
                metadata_dir=str(folder),
                metadata_base_url=f"{self._base}/metadata/",
                bootstrap=root,
                fetcher=_Fetcher(upstream),
            )
            updater.refresh()
            target = updater.get_targetinfo(NAME)
        except DownloadError as error:
            if isinstance(error.__cause__, OpkgError):
                raise error.__cause__ from error
            raise OpkgError(
                f"cannot be fetched: {error.__cause__ or error}",
                where=upstream.address(self._base),
                hint=f"is the address right, and is there a channel “{name}”?",
            ) from error
        except RepositoryError as error:
            raise IntegrityError(
                f"is not what its pinned key vouches for: {error}",
                where=upstream.address(self._base),
                hint="nothing of it is used; ask whoever runs the repository",
            ) from error
        if target is None:
            raise not_signed(upstream.address(self._base))
        self._documents = {"timestamp.json": (folder / "timestamp.json").read_bytes()}
        for role in ("snapshot", "targets"):
            data = (folder / f"{role}.json").read_bytes()
            self._documents[f"{Metadata.from_bytes(data).signed.version}.{role}.json"] = data
        self._expires = Metadata.from_bytes(self._documents["timestamp.json"]).signed.expires
        digest = target.hashes["sha256"]
        self._index = Wanted(
            paths=(f"{self._base}/targets/{digest}.{NAME}",),
            size=target.length,
            algorithm="sha256",
            digest=digest,
        )
        upstream.fetch([self._index], store, lambda _: None)
        path = store.path(self._index)
        self.index = decode(path.read_bytes(), Index, where=upstream.address(self._base))
        if self.index.channel != name:
            raise IntegrityError(
                f"this is the index of the channel “{self.index.channel}”",
                where=upstream.address(self._base),
            )

    def is_newest(self) -> bool:
        """Whether it was not published again in the meantime."""
        now = self._upstream.need(f"{self._base}/metadata/timestamp.json")
        return now == self._documents["timestamp.json"]

    def listing(self, progress: Progress) -> Listing:
        """The channel's metadata, and the native repositories that its index names."""
        documents = {**self._documents, **dict(self._roots())}
        own = Listing(
            {f"{self._base}/metadata/{name}": data for name, data in documents.items()},
            (self._index,),
            tuple(
                Listed(
                    name=artifact.name,
                    version=artifact.version,
                    architecture=artifact.architecture,
                    files=(
                        Wanted(
                            paths=(artifact.file,),
                            size=artifact.size,
                            algorithm="sha256",
                            digest=artifact.sha256,
                        ),
                    ),
                )
                for offer in self.index.offers
                for artifact in offer.artifacts
            ),
            self._expires.isoformat(),
        )
        return together([own, *self._native(progress)])

    def _roots(self) -> Iterator[tuple[str, bytes]]:
        number = 1
        while data := self._upstream.read(f"{self._base}/metadata/{number}.root.json"):
            yield f"{number}.root.json", data
            number += 1

    def _native(self, progress: Progress) -> Iterator[Listing]:
        upstream, store = self._upstream, self._store
        sources = {(one.path, one.suite): one for one in self.index.sources.values()}
        with tempfile.TemporaryDirectory(prefix="opkg-") as folder:
            keys = Path(folder) / "keys.asc"
            keys.write_text("\n".join(self.index.keys))
            with verifier(keys) as signatures:
                for source in sources.values():
                    if source.family is Family.DEB:
                        archive = Archive(suites=(source.suite,), folder=f"{source.path}/")
                        yield read_archive(archive, upstream, store, signatures, progress)
                        continue
                    yield read_folder(upstream, store, signatures, progress, source.path)
                    path = f"{source.path}/{SOURCES}"
                    if upstream.read(f"{path}/repodata/repomd.xml") is not None:
                        yield read_folder(upstream, store, signatures, progress, path)


class _Fetcher(FetcherInterface):
    """Lets the TUF client read by our own session; its addresses are paths."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def _fetch(self, url: str) -> Iterator[bytes]:
        data = self._upstream.read(url)
        if data is None:
            raise DownloadHTTPError("not there", 404)
        yield data
