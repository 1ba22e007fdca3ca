# SPDX-License-Identifier: GPL-2.0-or-later
"""A mirror of a part of a repository: what is chosen goes into a channel of ours, as if somebody
had added it, and is signed by our own key."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import rpm_rs

from opkg.document import encode
from opkg.errors import IntegrityError
from opkg.files import sha256_file, write_atomic
from opkg.index import Index, Offer
from opkg.manifest import NAME, Manifest
from opkg.spec import Kind as RelationKind
from opkg.spec import Relation
from opkg.target import Family, known_targets
from repo_server.batch import MANIFEST_FORMAT
from repo_server.intake import add
from repo_server.mirrors.choose import choose, comparison
from repo_server.mirrors.fetch import Wanted
from repo_server.mirrors.listing import Listed, Listing
from repo_server.mirrors.mirror import Kind, Mirror
from repo_server.publish import publish
from repo_server.repository import Progress, Repository

Fetch = Callable[[Sequence[Wanted]], None]

# The digests, at the upstream, of what was brought before. It is not brought again: somebody may
# have removed it.
_BROUGHT = "brought.json"


@dataclass(frozen=True, kw_only=True)
class Fed:
    """How much was chosen, and the generation that shows it; 0 where nothing was new."""

    generation: int
    files: int
    size: int


def feed(
    repository: Repository,
    mirror: Mirror,
    listing: Listing,
    indexes: Sequence[Index],
    fetch: Fetch,
    progress: Progress,
) -> Fed:
    """Choose from what was listed, fetch what is new, add it to the channel and publish. Raises
    OpkgError, as `add` and `fetch` do, with nothing added."""
    memory = mirror.folder / _BROUGHT
    brought = msgspec.json.decode(memory.read_bytes(), type=set[str]) if memory.exists() else set()
    offers = _offers(mirror, indexes)
    if mirror.settings.kind is Kind.OPKG:
        chosen = [listed for listed, _ in offers]
    else:
        chosen = _packages(mirror, listing)
    new = [one for one in chosen if any(wanted.digest not in brought for wanted in one.files)]
    wanted = [file for one in new for file in one.files]
    fetch(wanted)
    generation = 0
    if new:
        folder = mirror.folder / "work"
        shutil.rmtree(folder, ignore_errors=True)
        target = known_targets().find(mirror.settings.target) if mirror.settings.target else None
        if mirror.settings.kind is Kind.OPKG:
            files = _manifests(mirror, folder, [offer for one, offer in offers if one in new])
        else:
            files = [_file(mirror, folder / file.digest[:32], file) for file in wanted]
        add(repository, mirror.settings.into, files, target, progress)
        shutil.rmtree(folder)
        write_atomic(memory, msgspec.json.encode(brought | {one.digest for one in wanted}))
        generation = publish(repository, progress).generation
    all_files = {file.digest: file for one in chosen for file in one.files}
    return Fed(
        generation=generation,
        files=len(all_files),
        size=sum(file.size for file in all_files.values()),
    )


def _packages(mirror: Mirror, listing: Listing) -> list[Listed]:
    """The packages of a native repository that are chosen."""
    settings = mirror.settings
    target = known_targets().find(settings.target)
    return choose(
        (
            listed
            for listed in listing.packages
            if listed.architecture in (target.native_architecture, target.independent)
        ),
        patterns=settings.patterns,
        newest=settings.newest,
        compare=comparison(target.family),
    )


def _offers(mirror: Mirror, indexes: Iterable[Index]) -> list[tuple[Listed, Offer]]:
    """The offers of our own kind of repository that are chosen, target by target."""
    settings = mirror.settings
    by_target: dict[str, list[Offer]] = {}
    for index in indexes:
        for offer in index.offers:
            if settings.target in ("", offer.target):
                by_target.setdefault(offer.target, []).append(offer)
    found = []
    for offers in by_target.values():
        listed = [_listed(offer) for offer in offers]
        # OPKGs have one order of versions, whatever their target's family.
        chosen = choose(
            listed,
            patterns=settings.patterns,
            newest=settings.newest,
            compare=comparison(Family.DEB),
        )
        found += [pair for pair in zip(listed, offers, strict=True) if pair[0] in chosen]
    return found


def _listed(offer: Offer) -> Listed:
    """An OPKG as one to be chosen, with all of its packages."""
    relations = offer.opkg.relations
    return Listed(
        name=offer.opkg.name,
        version=offer.opkg.version,
        architecture="",
        files=tuple(
            Wanted(paths=(one.file,), size=one.size, algorithm="sha256", digest=one.sha256)
            for one in offer.artifacts
        ),
        requires=tuple(
            (Relation(name=one.name, rel=one.rel, version=one.version),)
            for one in relations
            if one.kind is RelationKind.REQUIRES
        ),
        provides=tuple(one.name for one in relations if one.kind is RelationKind.PROVIDES),
    )


def _manifests(mirror: Mirror, folder: Path, offers: Iterable[Offer]) -> list[Path]:
    """The manifests of offers, each beside its packages, as a build would have left them."""
    paths = []
    for number, offer in enumerate(offers):
        beside = folder / str(number)
        artifacts = []
        for one in offer.artifacts:
            wanted = Wanted(paths=(one.file,), size=one.size, algorithm="sha256", digest=one.sha256)
            path = _file(mirror, beside, wanted)
            artifacts.append(
                msgspec.structs.replace(
                    one, file=path.name, size=path.stat().st_size, sha256=sha256_file(path)
                )
            )
        manifest = Manifest(
            format=MANIFEST_FORMAT,
            target=offer.target,
            tools={},
            inputs=(),
            opkgs=(offer.opkg,),
            artifacts=tuple(artifacts),
        )
        write_atomic(beside / NAME, encode(manifest))
        paths.append(beside / NAME)
    return paths


def _file(mirror: Mirror, folder: Path, wanted: Wanted) -> Path:
    """A package by its own name, in `folder`. An RPM is without its signature: our clients do not
    have that key, and its digest was vouched for."""
    path = folder / wanted.paths[0].rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    if path.suffix == f".{Family.RPM}":
        shutil.copyfile(mirror.store.path(wanted), path)
        try:
            if rpm_rs.PackageMetadata.open(str(path)).signatures():
                rpm_rs.Package.clear_signatures_in_place(str(path))
        except (RuntimeError, ValueError, OSError) as error:
            raise IntegrityError(f"not a whole RPM package: {error}", where=path.name) from error
    else:
        os.link(mirror.store.path(wanted), path)
    return path
