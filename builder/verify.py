# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds again what a manifest says was built, and compares."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from builder.build import build
from builder.compare import differences
from builder.job import Job, Place
from builder.openpgp import PublicKeys
from builder.plan import plan
from builder.provenance import check
from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_file
from opkg.manifest import NAME, Artifact, Input, Manifest, Record, SourceFile, read_manifest
from opkg.target import known_targets

if TYPE_CHECKING:
    from builder.published import Published

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What is not as the manifest says; `file` is empty where it is about the OPKG as a whole."""

    file: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of building one OPKG again; `notes` may explain it. `files` were compared."""

    opkg: str
    target: str
    files: int
    differs: tuple[Difference, ...]
    notes: tuple[str, ...]


def verify(
    path: Path,
    directories: Sequence[Path],
    replaced: Mapping[str, Path],
    *,
    keys: PublicKeys | None,
    repository: Published | None,
    workers: int,
    say: Say,
) -> list[Verdict]:
    """Build the OPKGs in `directories` again, for the target of the manifest at `path`, in a
    temporary folder; `replaced` are paths of sources, as for a build; what
    recipes require may come from the `repository`. Returns a verdict for each.
    With `keys`, RPMs and provenance must be signed by one of them.
    Raises OpkgError where an OPKG is not in the manifest, or cannot be read."""
    manifest = read_manifest(path)
    jobs = _jobs(path, manifest, directories, replaced, repository)
    with tempfile.TemporaryDirectory(prefix="opkg-verify-") as folder:
        out = Path(folder)
        results = build(
            jobs, out, workers=workers, lint=False, store=None, tell=lambda _: None, say=say
        )
        failed = {
            result.job.opkg.name: str(result.error or "what it needs could not be")
            for result in results
            if not result.status.is_good
        }
        place = out / manifest.target
        again = read_manifest(place / NAME) if (place / NAME).exists() else None
        verdicts = [
            _verdict(job, manifest, path.parent, again, place, failed.get(job.opkg.name, ""))
            for job in jobs
        ]
    if keys is None:
        return verdicts
    return [
        replace(each, differs=(*each.differs, *_unsigned(manifest, each.opkg, path.parent, keys)))
        for each in verdicts
    ]


def _jobs(
    path: Path,
    manifest: Manifest,
    directories: Sequence[Path],
    replaced: Mapping[str, Path],
    repository: Published | None,
) -> list[Job]:
    """A job for each directory, to be done where the manifest says it was done."""
    target = known_targets().find(manifest.target)
    inputs = {entry.opkg: entry for entry in manifest.inputs}
    jobs = plan(directories, [target], replaced, Place.HOST, repository)
    for job in jobs:
        if job.opkg.name not in inputs:
            raise OpkgError(
                f"the manifest does not know the OPKG {job.opkg.name}",
                where=str(path),
                hint="it knows " + (", ".join(inputs) or "none"),
            )
    if not any(inputs[job.opkg.name].root for job in jobs):
        return jobs
    rooted = plan(directories, [target], replaced, Place.CHROOT, repository)
    pairs = zip(jobs, rooted, strict=True)
    return [there if inputs[there.opkg.name].root else here for here, there in pairs]


def _verdict(
    job: Job,
    manifest: Manifest,
    folder: Path,
    again: Manifest | None,
    place: Path,
    error: str,
) -> Verdict:
    name = job.opkg.name
    made_from = next(entry for entry in manifest.inputs if entry.opkg == name)
    old = [entry for entry in manifest.files if entry.opkg == name]
    new = [entry.file for entry in again.made if entry.opkg == name] if again else []
    differs = [Difference(file="", what=what) for what in _inputs_differ(made_from, job)]
    if error:
        differs.append(Difference(file="", what=f"cannot be built again: {error}"))
    for entry in old:
        found = [*_damage(entry, folder)]
        if entry.file in new:
            found += _compared(folder / entry.file, place / entry.file)
        elif not error and not isinstance(entry, Record):
            found.append("is not made any more")
        differs += [Difference(file=entry.file, what=what) for what in found]
    for file in sorted({*new} - {entry.file for entry in old}):
        differs.append(Difference(file=file, what="was not made before"))
    return Verdict(
        opkg=name,
        target=manifest.target,
        files=len(new),
        differs=tuple(differs),
        notes=(*_notes(made_from, job.input), *_installed(name, folder, manifest, place, again)),
    )


def _damage(entry: Artifact | SourceFile, folder: Path) -> Iterator[str]:
    path = folder / entry.file
    if not path.is_file():
        yield "is missing"
    elif sha256_file(path) != entry.sha256:
        yield "is not the file that the manifest means"


def _compared(old: Path, new: Path) -> list[str]:
    try:
        return differences(old, new) if old.is_file() else []
    except OpkgError as error:
        return [error.message]


def _unsigned(
    manifest: Manifest, name: str, folder: Path, keys: PublicKeys
) -> Iterator[Difference]:
    """What is not signed by the keys: RPMs, and the provenance of all."""
    files = [entry for entry in manifest.files if entry.opkg == name]
    rpms = [
        folder / e.file for e in files if e.file.endswith(".rpm") and (folder / e.file).exists()
    ]
    for path in keys.refused_rpms(rpms):
        file = str(path.relative_to(folder))
        yield Difference(file=file, what=f"rpm does not take it as signed by {keys.path}")
    statements = [e for e in files if isinstance(e, Record) and e.kind == "provenance"]
    subjects = [entry for entry in files if entry not in statements]
    if not statements:
        yield Difference(file="", what="there is no signed provenance; opkgc build --sign makes it")
    for record in statements:
        try:
            check(folder / record.file, subjects, keys)
        except IntegrityError as error:
            yield Difference(file=record.file, what=error.message)


def _inputs_differ(old: Input, job: Job) -> Iterator[str]:
    """What the directory has otherwise than the manifest says."""
    new = job.input
    if not old.directory:
        if old.sha256 != new.sha256:
            yield "the inputs are not those of the manifest, which does not say which they were"
        return
    if old.directory != new.directory:
        yield "the directory does not hold what the packages were made from"
    if old.packages and not job.uses:
        files = ", ".join(package.file for package in old.packages)
        yield f"it was made with packages of other OPKGs ({files}): name their directories too"
    before = {source.name: source for source in old.sources}
    for source in new.sources:
        was = before.pop(source.name, None)
        if was is None or (was.sha256, was.commit) != (source.sha256, source.commit):
            named = "; name it with --source" if was and was.replaced else ""
            yield f"the source “{source.name}” is not what the packages were made from{named}"
    for name in before:
        yield f"the source “{name}” is not there any more"


def _notes(old: Input, new: Input) -> Iterator[str]:
    """What else is not as it was, and need not make a difference."""
    for tool in sorted(old.tools.keys() | new.tools.keys()) if old.directory else ():
        was, now = old.tools.get(tool, "none"), new.tools.get(tool, "none")
        if was != now:
            yield f"{tool} was {was}, is {now}"
    if old.directory and old.settings != new.settings:
        yield "what targets.toml or names.toml say is not what it was"
    if old.root and old.root != new.root:
        yield "the build root is not the same: its mirrors have moved since"


def _installed(
    name: str, folder: Path, old: Manifest, place: Path, new: Manifest | None
) -> Iterator[str]:
    """Which of the packages that were installed for the build are not the same now."""
    before, after = (
        dict(
            line.split(" ", 1)
            for record in (manifest.records if manifest else ())
            if (record.opkg, record.kind) == (name, "packages") and (at / record.file).is_file()
            for line in (at / record.file).read_text().splitlines()
        )
        for manifest, at in ((old, folder), (new, place))
    )
    if not after:
        return  # it could not be built again
    for package in sorted(before.keys() | after.keys()):
        was, now = before.get(package, "not there"), after.get(package, "not there")
        if was != now:
            yield f"installed where it was built: {package} was {was}, is {now}"
