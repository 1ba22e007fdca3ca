# SPDX-License-Identifier: GPL-2.0-or-later
"""Taking packages in: all that one command names, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from opkg.errors import IntegrityError, OpkgError
from opkg.manifest import Artifact, SourceFile
from opkg.target import Family, Target, known_targets
from repo_server import catalog, debs, rpms, signers, sources
from repo_server.batch import Batch, Item, read_batch
from repo_server.package import Companion, Package, target_of
from repo_server.repository import (
    Progress,
    Repository,
    changing,
    check_channel,
    is_full,
)

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of one file; `new` is false where the channel had it already."""

    channel: str
    target: str
    name: str
    version: str
    architecture: str
    sha256: str
    new: bool


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A batch whose packages are in a `folder`, by the digests that they came with, and read;
    `vouchers` are the fingerprints of the keys that signed them, if the channel asks for that."""

    batch: Batch
    folder: Path
    packages: Mapping[Path, Package]
    vouchers: Mapping[Path, str]


def add(
    repository: Repository,
    channel: str,
    files: Sequence[Path],
    chosen: Target | None,
    progress: Progress,
) -> list[Added]:
    """Take manifests with all their artifacts, and single packages, into a channel. `chosen` is
    the target of the single packages; without it, the tag that ends their release says it.

    Raises OpkgError, with nothing taken in, when one of them is damaged, is not what its manifest
    says, fits no target, or has other content than what the repository has by the same name.
    """
    check_channel(channel)
    batch = read_batch(files, chosen)
    with changing(repository, progress) as session:
        progress(f"reading {len(batch.items)} packages …")
        staged = stage(repository, channel, batch, repository.staging, session)
        added = take_in(repository, session, channel, staged)
        session.commit()
    return added


def stage(
    repository: Repository,
    channel: str,
    batch: Batch,
    folder: Path,
    session: Session | None = None,
) -> Staged:
    """Copy the packages of a batch into `folder`, check that maintainers of the channel signed
    them, if it asks for that, sign those that need it, and read them; with a `session`, only those
    that the catalog does not have. Raises OpkgError."""
    folder.mkdir(mode=0o700)
    digests = {
        item.path: _copy(item.path, folder, item.artifact, _namer(item)) for item in batch.items
    }
    vouchers = signers.vouchers(repository, channel, batch, digests, folder)
    packages: dict[str, Package] = {}
    fresh: dict[str, Item] = {}
    for item in batch.items:
        digest = digests[item.path]
        if session and (known := catalog.find_package(session, digest)):
            packages[digest] = known
            # What is left in the folder goes into the pool.
            (folder / digest).unlink(missing_ok=True)
        else:
            fresh[digest] = item
    packages |= _read(repository, folder, fresh, anew=bool(vouchers))
    return Staged(
        batch=batch,
        folder=folder,
        packages={path: packages[digest] for path, digest in digests.items()},
        vouchers=vouchers,
    )


def take_in(repository: Repository, session: Session, channel: str, staged: Staged) -> list[Added]:
    """Take what is staged into a channel, within a change that was begun. Raises OpkgError."""
    known: dict[str, Package] = {}
    for package in {one.source_sha256: one for one in staged.packages.values()}.values():
        digest = package.source_sha256
        if there := catalog.find_package(session, digest):
            # Somebody may have brought it meanwhile, and it was signed then.
            known[digest] = there
            (staged.folder / digest).unlink(missing_ok=True)
        else:
            catalog.store(session, package)
    packages = {
        path: known.get(package.source_sha256, package) for path, package in staged.packages.items()
    }
    items = staged.batch.items
    for path, fingerprint in staged.vouchers.items():
        signers.note(session, packages[path], fingerprint)
    for package in packages.values():
        signers.admit(repository, session, channel, package)
    added = [_place(session, channel, item, packages[item.path]) for item in items]
    _offer(session, channel, staged.batch, packages)
    _fill_pool(repository, staged.folder, packages.values())
    return added


def _namer(item: Item) -> str:
    return "its .changes" if isinstance(item.artifact, Companion) else "its manifest"


def _copy(
    path: Path, folder: Path, meant: Artifact | SourceFile | Companion | None, of: str
) -> str:
    """Copy a file into `folder` under its digest and return that. Raises IntegrityError where it
    is not the file that is `meant`, in the words of whom it is a file `of`."""
    digest = hashlib.sha256()
    copy = folder / "incoming"
    try:
        with path.open("rb") as source, copy.open("wb") as sink:
            while data := source.read(_CHUNK):
                digest.update(data)
                sink.write(data)
    except OSError as error:
        if is_full(error):
            raise
        raise OpkgError(f"cannot be copied: {error.strerror}", where=str(path)) from error
    found, size = digest.hexdigest(), copy.stat().st_size
    if meant and (meant.sha256, meant.size) != (found, size):
        raise IntegrityError(
            f"not what {of} says: it has SHA-256 {found} and {size} bytes, "
            f"meant are {meant.sha256} and {meant.size}",
            where=str(path),
            hint=f"copy or build it again, together with {of}",
        )
    copy.rename(folder / found)
    return found


def _read(
    repository: Repository, folder: Path, fresh: Mapping[str, Item], *, anew: bool
) -> dict[str, Package]:
    """Read the staged copies of packages that are new, by their digests as they came. RPMs are
    signed first, or `anew`."""
    names = {
        folder / digest: str(item.path)
        for digest, item in fresh.items()
        if item.family is Family.RPM
    }
    if names:
        keys = repository.keys
        rpms.check_digests(names, folder / "rpm")
        rpms.sign(names, keys, anew=anew)
        rpms.verify(names, keys.files, repository.private / f"rpm-{keys.fingerprints[-1]}")
    packages = {}
    for digest, item in fresh.items():
        copy, where = folder / digest, str(item.path)
        if item.path.suffix == sources.SUFFIX:
            package = packages[digest] = sources.read_dsc(copy, digest, where=where)
            for file in package.companions:
                beside = item.path.with_name(Path(file.path).name)
                _copy(beside, folder, file, "its .dsc")
        elif item.family is Family.DEB:
            packages[digest] = debs.read_deb(copy, digest, where=where)
        else:
            packages[digest] = rpms.read_rpm(copy, digest, where=where)
    return packages


def _place(session: Session, channel: str, item: Item, package: Package) -> Added:
    """Put a package into the channel for its target, if nothing stands against that."""
    where = str(item.path)
    if isinstance(item.artifact, Artifact):
        _compare(package, item.artifact, where)
    target = target_of(package, item.target, known_targets(), where)
    catalog.refuse_rival(session, package, channel, target, where=where)
    return Added(
        channel=channel,
        target=target.name,
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        sha256=package.sha256,
        new=catalog.place(session, package, channel, target),
    )


def _compare(package: Package, meant: Artifact, where: str) -> None:
    if (package.name, package.version, package.architecture) != (
        meant.name,
        meant.version,
        meant.architecture,
    ):
        raise OpkgError(
            f"it is {package}, its manifest calls it {meant.name} {meant.version} "
            f"{meant.architecture}",
            where=where,
            hint="build it again: the manifest must be the one written with it",
        )


def _offer(session: Session, channel: str, batch: Batch, packages: Mapping[Path, Package]) -> None:
    """Note what the manifests of a batch offer, each OPKG for its target."""
    for path, manifest in batch.manifests:
        target = known_targets().find(manifest.target).name
        for info in manifest.opkgs:
            here = [
                (packages[path.parent / file.file].sha256, file)
                for file in manifest.files
                if file.opkg == info.name and path.parent / file.file in packages
            ]
            parts = {sha256: file.part for sha256, file in here if isinstance(file, Artifact)}
            source = [sha256 for sha256, file in here if isinstance(file, SourceFile)]
            if not catalog.offer(session, channel, target, info, parts, source):
                raise OpkgError(
                    f"the OPKG {info.name} {info.version} for {target} is in the "
                    "repository with other content",
                    where=str(path),
                    hint="what changed needs a new release in its version",
                )


def _fill_pool(repository: Repository, folder: Path, packages: Iterable[Package]) -> None:
    """Move the staged packages into the pool, to stay, before the catalog names them."""
    files: dict[str, Path] = {}
    for package in packages:
        files |= {file.sha256: folder / file.sha256 for file in package.companions}
        files[package.sha256] = folder / package.source_sha256
    repository.pool.put({sha256: path for sha256, path in files.items() if path.exists()})
