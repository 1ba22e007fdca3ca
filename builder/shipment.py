# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job is made from, on its way to a worker through the artifact store: the OPKG's directory,
the paths that stand in for sources, and the sources that were fetched."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from builder.cache import cache_folder
from builder.job import Job
from builder.sources import cache_name, fetched
from builder.store import ENTRY, Store, is_whole
from opkg.errors import IntegrityError
from opkg.files import sha256_bytes, sha256_file
from opkg.recipe import Recipe
from opkg.run import run

_DIRECTORY = "opkg.tar"


def send(job: Job, store: Store) -> str:
    """Put what a job is made from into the store, if it is not there; fetch its sources first.
    Returns the key of the directory and the replaced sources. Raises OSError or OpkgError."""
    for name, source in job.recipe.source.items() if job.recipe else ():
        kept = cache_name(source)
        if kept and name not in job.replaced and not store.has(_source_key(kept)):
            place = fetched(source)
            _put_source(_source_key(kept), place, store)
    sources = [(source.name, source.sha256) for source in job.input.sources if source.replaced]
    known = json.dumps([job.input.directory, sources])
    key = f"inputs-{sha256_bytes(known.encode())}"
    if store.has(key):
        return key
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / ENTRY).write_text(known)
        files = {ENTRY: work / ENTRY, _DIRECTORY: work / _DIRECTORY}
        _pack(job.directory, ".", work / _DIRECTORY)
        for name, path in job.replaced.items():
            files[f"{name}.tar"] = work / f"{name}.tar"
            _pack(path.absolute().parent, path.name, files[f"{name}.tar"])
        store.put(key, files)
    return key


def directory_from(inputs: Path, place: Path) -> Path:
    """The OPKG's directory, unpacked into the new folder `place` from what `send` has put."""
    return _unpack(inputs / _DIRECTORY, place)


def replaced_from(inputs: Path, names: Mapping[str, str], place: Path) -> dict[str, Path]:
    """The paths that stand in for sources; `names` are those of the paths, by the sources'."""
    return {
        source: _unpack(inputs / f"{source}.tar", place / source) / name
        for source, name in names.items()
    }


def receive_sources(recipe: Recipe, replaced: Mapping[str, Path], work: Path, store: Store) -> None:
    """Put what the store has of a recipe's fetched sources into this machine's cache of sources,
    through the folder `work`. Raises IntegrityError for one that came damaged."""
    for name, source in recipe.source.items():
        kept = cache_name(source)
        cache = cache_folder("sources")
        if not kept or name in replaced or (cache / kept).is_file():
            continue
        key, place = _source_key(kept), work / name
        if not store.fetch(key, place):
            continue  # gone from there meanwhile: it is fetched from where it comes from
        digests: dict[str, str] = json.loads((place / ENTRY).read_text())
        for file, sha256 in digests.items():
            if not is_whole(place, file, sha256):
                store.drop(key)
                raise IntegrityError(
                    f"the source “{name}” came damaged from the artifact store", hint="build again"
                )
            (cache / file).parent.mkdir(exist_ok=True)
            (place / file).replace(cache / file)


def _source_key(kept: str) -> str:
    return f"source-{kept}"


def _put_source(key: str, place: Path, store: Store) -> None:
    files = [place] if place.is_file() else sorted(place.iterdir())
    named = {str(p.relative_to(cache_folder("sources"))): p for p in files if p.suffix != ".lock"}
    with tempfile.TemporaryDirectory() as folder:
        entry = Path(folder, ENTRY)
        entry.write_text(json.dumps({name: sha256_file(path) for name, path in named.items()}))
        store.put(key, {ENTRY: entry, **named})


def _pack(folder: Path, name: str, archive: Path) -> None:
    run(["tar", "--exclude-vcs", "--create", "--file", archive, "--directory", folder, name])


def _unpack(archive: Path, place: Path) -> Path:
    place.mkdir(parents=True)
    run(["tar", "--extract", "--file", archive, "--directory", place, "--no-same-owner"])
    return place
