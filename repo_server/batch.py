# SPDX-License-Identifier: GPL-2.0-or-later
"""What one `add` is given: single packages, and manifests and .changes that stand for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from opkg.errors import OpkgError
from opkg.manifest import Artifact, Manifest, SourceFile, read_manifest
from opkg.target import Family, Target, known_targets
from opkg.version import Version
from repo_server import deb_changes
from repo_server.package import Companion
from repo_server.sources import SUFFIX

MANIFEST_FORMAT = 1

# Files of these names are packages. What a .dsc names comes with it.
_FAMILIES = {".deb": Family.DEB, SUFFIX: Family.DEB, ".rpm": Family.RPM}


@dataclass(frozen=True, kw_only=True)
class Item:
    """A package's file; `target` is the manifest's or the one chosen, `artifact` what the
    manifest or the .changes says of it: less of a source package, and in a .changes."""

    path: Path
    family: Family
    target: Target | None
    artifact: Artifact | SourceFile | Companion | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """All that is taken in together; `changes` are the .changes."""

    items: tuple[Item, ...]
    manifests: tuple[tuple[Path, Manifest], ...]
    changes: tuple[Path, ...]


def read_batch(files: Sequence[Path], chosen: Target | None) -> Batch:
    """Read the manifests and the .changes among `files`; `chosen` is the target of the packages
    that no manifest names. Raises OpkgError for what is neither a package nor one of them, and for
    a manifest that does not fit together."""
    items: list[Item] = []
    manifests, changes = [], []
    for path in files:
        if path.suffix == ".json":
            manifest = _manifest(path)
            manifests.append((path, manifest))
            items += _items(path, manifest)
        elif path.suffix == deb_changes.SUFFIX:
            changes.append(path)
        else:
            items.append(_single(path, chosen))
    # A .changes comes beside a manifest too: that says more.
    there = {item.path for item in items}
    for path in changes:
        items += [item for item in _delivered(path, chosen) if item.path not in there]
    return Batch(items=tuple(items), manifests=tuple(manifests), changes=tuple(changes))


def _single(path: Path, chosen: Target | None) -> Item:
    family = _FAMILIES.get(path.suffix)
    if family is None:
        raise OpkgError(
            "neither a package nor a manifest or .changes",
            where=str(path),
            hint=f"name files that end in {', '.join(_FAMILIES)}, .changes or .json",
        )
    return Item(path=path, family=family, target=chosen)


def _delivered(path: Path, chosen: Target | None) -> list[Item]:
    """The packages that a .changes names."""
    delivery = deb_changes.read(path)
    found = chosen or (known_targets().find(delivery.target) if delivery.target else None)
    return [
        Item(path=path.parent / name, family=_FAMILIES[suffix], target=found, artifact=file)
        for name, file in delivery.files.items()
        if (suffix := Path(name).suffix) in _FAMILIES
    ]


def _manifest(path: Path) -> Manifest:
    """Read a manifest and check that its parts fit together."""
    try:
        manifest = read_manifest(path)
    except OSError as error:
        raise OpkgError(f"cannot be read: {error.strerror}", where=str(path)) from error
    names = {info.name for info in manifest.opkgs}
    folder = path.parent.resolve()
    problems = []
    if manifest.format != MANIFEST_FORMAT:
        problems.append(f"its format is {manifest.format}, not {MANIFEST_FORMAT}")
    for info in manifest.opkgs:
        try:
            Version.parse(info.version)
            datetime.fromisoformat(info.changed)
        except (OpkgError, ValueError) as error:
            problems.append(f"{info.name}: {error}")
    for artifact in manifest.files:
        if artifact.opkg not in names:
            problems.append(f"{artifact.file} belongs to an OPKG that it does not list")
        if not (folder / artifact.file).resolve().is_relative_to(folder):
            problems.append(f"{artifact.file} is not in its folder")
    if problems:
        raise OpkgError(
            "; ".join(problems), where=str(path), hint="build it again with this version of opkgc"
        )
    return manifest


def _items(path: Path, manifest: Manifest) -> list[Item]:
    target = known_targets().find(manifest.target)
    return [
        Item(
            path=path.parent / artifact.file,
            family=target.family,
            target=target,
            artifact=artifact,
        )
        for artifact in manifest.files
        if path.joinpath(artifact.file).suffix in _FAMILIES
    ]
