# SPDX-License-Identifier: GPL-2.0-or-later
"""RPM packages and their repositories: signing and reading an .rpm, writing what dnf and zypper
read (repodata/, as createrepo_c makes it)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import createrepo_c
import rpm_rs
from sqlalchemy.orm import Session

from opkg.errors import IntegrityError, OpkgError
from opkg.run import run
from opkg.target import Family, Target
from repo_server import advisories, chunks
from repo_server.draft import Digest, Draft, measure
from repo_server.forms import PLAIN, joined, member
from repo_server.openpgp import Keyring
from repo_server.package import SOURCE, Package, check_words
from repo_server.rpm_file import damaged, refuse_bomb

# The three lists of a repository: root element and namespaces.
LISTS = {
    "primary": "metadata xmlns='http://linux.duke.edu/metadata/common' "
    "xmlns:rpm='http://linux.duke.edu/metadata/rpm'",
    "filelists": "filelists xmlns='http://linux.duke.edu/metadata/filelists'",
    "other": "otherdata xmlns='http://linux.duke.edu/metadata/other'",
}
# A fourth, where there are advisories.
UPDATES = "updateinfo"
CHANGELOG_ENTRIES = 10
# The folder of the repository of source packages, in that of the built ones.
SOURCES = "source"

Parts = Iterator[bytes]

# Files that one call of rpmkeys takes: well below the limit for a command line.
_BATCH = 1000


def check_digests(paths: Mapping[Path, str], folder: Path) -> None:
    """Check the digests of packages, signed or not, with rpm's own eyes, before anybody else opens
    them: whoever signs makes digests anew, right ones of wrong bytes too. `folder` is where rpm may
    keep a database. Raises IntegrityError for the first that fails."""
    for path, where in paths.items():
        refuse_bomb(path, where)
    rpmkeys = ["rpmkeys", "--dbpath", str(folder.absolute()), "--nosignature"]
    files = list(paths)
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        done = run([*rpmkeys, "--define", "_pkgverify_level digest", "-K", *batch], check=False)
        for path in batch if done.status else ():
            if f"{path}: digests OK" not in done.stdout:
                raise damaged(paths[path], "its digests do not fit")


def sign(paths: Mapping[Path, str], keys: Keyring, *, anew: bool = False) -> None:
    """Sign the packages that carry no signature, or `anew` all of them, in place; the values of
    `paths` are how the operator calls them. Raises IntegrityError for a file whose headers cannot
    be read."""
    signer = None
    for path, where in paths.items():
        try:
            if anew or not rpm_rs.PackageMetadata.open(str(path)).signatures():
                # rpm_rs, not rpmsign: 7 ms a package instead of 23, and no process.
                signer = signer or rpm_rs.Signer(keys.secret.encode())
                rpm_rs.Package.resign_in_place(str(path), signer)
        except (RuntimeError, ValueError, OSError) as error:
            raise damaged(where, str(error)) from error


def verify(paths: Mapping[Path, str], keys: Sequence[Path], folder: Path) -> None:
    """Check the digests and the signature of packages by the armored public `keys`, with rpm's own
    eyes; `folder` keeps rpm's database of them. Raises IntegrityError for the first that fails."""
    rpmkeys = ["rpmkeys", "--dbpath", str(folder.absolute())]
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
            run(["rpmkeys", "--dbpath", fresh, "--import", *keys])
            Path(fresh).rename(folder)
            # For the end of the block.
            Path(fresh).mkdir()
    files = list(paths)
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        done = run([*rpmkeys, "--define", "_pkgverify_level all", "-K", *batch], check=False)
        if done.status == 0:
            continue
        for path in batch:
            if f"{path}: digests signatures OK" in done.stdout:
                continue
            if f"{path}: digests SIGNATURES NOT OK" in done.stdout:
                raise IntegrityError(
                    "signed with a key that is not this repository's: its clients would refuse it",
                    where=paths[path],
                    hint="add the unsigned package, or take the signature off: rpmsign --delsign",
                )
            raise damaged(paths[path], "its digests do not fit")


def read_rpm(path: Path, source_sha256: str, *, where: str) -> Package:
    """Read an .rpm whose digest was `source_sha256` before it was signed."""
    try:
        found = createrepo_c.package_from_rpm(
            str(path), checksum_type=createrepo_c.SHA256, changelog_limit=CHANGELOG_ENTRIES
        )
    except createrepo_c.CreaterepoCError as error:
        raise damaged(where, str(error)) from error
    if found.arch == "nosrc":
        raise OpkgError(
            "a source package without all of its sources",
            where=where,
            hint="add the .src.rpm that holds them",
        )
    check_words(found.name, found.version, found.release, found.arch, where=where)
    release = f"{found.version}-{found.release}"
    place = f"packages/{found.name}-{release}.{found.arch}.rpm"
    found.location_href = place
    # A copy's own time is chance.
    found.time_file = found.time_build
    return Package(
        family=Family.RPM,
        name=found.name,
        version=release if found.epoch in (None, "", "0") else f"{found.epoch}:{release}",
        architecture=found.arch,
        path=f"{SOURCES}/{place}" if found.arch == SOURCE[Family.RPM] else place,
        size=path.stat().st_size,
        sha256=found.pkgId,
        source_sha256=source_sha256,
        fragments=dict(zip(LISTS, createrepo_c.xml_dump(found), strict=True)),
    )


def group(channel: str, target: str, architecture: str) -> str:
    """The group (see `chunks`) of a repository's packages: a target has two repositories, of
    built packages and of source packages."""
    return f"rpm/{channel}/{target}{f'/{SOURCES}' if architecture == SOURCE[Family.RPM] else ''}"


def write_repodata(
    draft: Draft, session: Session, folder: str, channel: str, target: Target
) -> None:
    """Write repodata/ into the `folder` of one of a target's repositories, which gives its group
    the name."""
    form = target.distribution.index_compression[0]
    groups = [folder]
    entries = chunks.count(session, groups)
    repomd = createrepo_c.Repomd()
    repomd.set_revision(f"{draft.date.timestamp():.0f}")
    for kind, root in LISTS.items():
        chunks.complete(session, groups, kind, [form])
        head = f"<?xml version='1.0' encoding='UTF-8'?>\n<{root} packages='{entries}'>\n".encode()
        tail = f"</{root.partition(' ')[0]}>\n".encode()

        def parts(of: str, kind: str = kind, head: bytes = head, tail: bytes = tail) -> Parts:
            yield member(of, head)
            yield from chunks.pieces(session, groups, kind, of)
            yield member(of, tail)

        text = measure(parts(PLAIN))
        written = _write_list(draft, folder, kind, form, joined(form, parts(form)))
        repomd.set_record(_record(kind, *written, text, draft.date))
    if not folder.endswith(f"/{SOURCES}"):
        info = advisories.updateinfo(session, channel, target.name, draft.repository.origin)
        if info is not None:
            told = info.xml_dump().encode()
            written = _write_list(draft, folder, UPDATES, form, [member(form, told)])
            repomd.set_record(_record(UPDATES, *written, measure([told]), draft.date))
    described = repomd.xml_dump()
    draft.write(f"{folder}/repodata/repomd.xml", described)
    draft.write(f"{folder}/repodata/repomd.xml.asc", draft.keys.detached(described))
    draft.write(f"{folder}/repodata/repomd.xml.key", draft.keys.public)


def _write_list(
    draft: Draft, folder: str, kind: str, form: str, parts: Iterable[bytes]
) -> tuple[str, Digest]:
    """Write one list, and return its path in the repository and its digest."""
    path, data = draft.write_named(f"{folder}/repodata", f"-{kind}.xml.{form}", parts)
    return path.removeprefix(f"{folder}/"), data


def _record(
    kind: str, path: str, data: Digest, text: Digest, date: datetime
) -> createrepo_c.RepomdRecord:
    record = createrepo_c.RepomdRecord(kind)
    record.location_href = path
    record.checksum_type = record.checksum_open_type = "sha256"
    record.checksum = data.sha256
    record.checksum_open = text.sha256
    record.size = data.size
    record.size_open = text.size
    record.timestamp = int(date.timestamp())
    return record
