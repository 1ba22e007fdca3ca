# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading an rpm-md repository of somebody else: repomd.xml is signed and names the lists, the
primary one of these names the packages."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import createrepo_c

from opkg.errors import IntegrityError, OpkgError
from opkg.spec import Relation
from repo_server.mirrors.fetch import Store, Upstream, Wanted
from repo_server.mirrors.listing import Alternatives, Listed, Listing, not_signed
from repo_server.openpgp import Verifier
from repo_server.repository import Progress

_REPOMD = "repodata/repomd.xml"
# rpm's words for the relations.
_RELS = {"EQ": "=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
# Two requests, between which a publication may come.
_TRIES = 3


def read_folder(
    upstream: Upstream, store: Store, signatures: Verifier, progress: Progress, folder: str = ""
) -> Listing:
    """What the repository in a folder of the upstream has. Raises IntegrityError where the
    signature or a digest is wrong."""
    prefix = f"{folder}/" if folder else ""
    documents = _signed(upstream, signatures, prefix)
    where = upstream.address(prefix + _REPOMD)
    try:
        repomd = _parsed(documents[prefix + _REPOMD])
        lists = {record.type: _wanted(prefix, record) for record in repomd.records}
        revision = _revision(repomd)
    except (createrepo_c.CreaterepoCError, TypeError, ValueError) as error:
        raise IntegrityError(f"cannot be read: {error}", where=where) from error
    if "primary" not in lists:
        raise IntegrityError("it names no list of packages", where=where)
    if gone := upstream.fetch(lists.values(), store, progress):
        raise OpkgError(
            "a list that it names is not there", where=upstream.address(gone[0].paths[0])
        )
    packages = tuple(_packages(store, lists["primary"], prefix))
    return Listing(
        documents, tuple(lists.values()), packages, revisions={prefix + _REPOMD: revision}
    )


def _signed(upstream: Upstream, signatures: Verifier, prefix: str) -> dict[str, bytes]:
    """repomd.xml with what lies beside it, of which the signature holds."""
    for _ in range(_TRIES):
        described = upstream.need(prefix + _REPOMD)
        signature = upstream.read(f"{prefix}{_REPOMD}.asc")
        if signature is not None and signatures.signed_text(described, signature) is not None:
            break
    else:
        raise not_signed(upstream.address(prefix + _REPOMD))
    documents = {prefix + _REPOMD: described, f"{prefix}{_REPOMD}.asc": signature}
    key = upstream.read(f"{prefix}{_REPOMD}.key")
    return documents if key is None else {**documents, f"{prefix}{_REPOMD}.key": key}


def _parsed(data: bytes) -> createrepo_c.Repomd:
    with tempfile.TemporaryDirectory(prefix="opkg-") as folder:
        path = Path(folder) / "repomd.xml"
        path.write_bytes(data)
        return createrepo_c.Repomd(str(path))


def _revision(repomd: createrepo_c.Repomd) -> int:
    """How new it is: its revision where that is a number, else the date of its newest list."""
    if (repomd.revision or "").isdecimal():
        return int(repomd.revision)
    return max((record.timestamp for record in repomd.records), default=0)


def _wanted(prefix: str, record: createrepo_c.RepomdRecord) -> Wanted:
    if record.location_base:
        raise ValueError("its lists are elsewhere (xml:base)")
    return Wanted(
        paths=(prefix + record.location_href,),
        size=record.size,
        algorithm=record.checksum_type,
        digest=record.checksum,
    )


def _packages(store: Store, primary: Wanted, prefix: str) -> Iterator[Listed]:
    with tempfile.TemporaryDirectory(prefix="opkg-") as folder:
        # createrepo_c goes by the name.
        path = Path(folder) / primary.paths[0].rpartition("/")[2]
        path.symlink_to(store.path(primary).absolute())
        found: list[Listed] = []

        def take(package: createrepo_c.Package) -> None:
            found.append(_listed(package, prefix, primary.paths[0]))

        try:
            createrepo_c.xml_parse_primary(str(path), pkgcb=take, do_files=True)
        except createrepo_c.CreaterepoCError as error:
            raise IntegrityError(f"cannot be read: {error}", where=primary.paths[0]) from error
        yield from found


def _listed(package: createrepo_c.Package, prefix: str, where: str) -> Listed:
    if package.location_base:
        raise IntegrityError("its packages are elsewhere (xml:base)", where=where)
    return Listed(
        name=package.name,
        version=_version(package.epoch, package.version, package.release),
        architecture=package.arch,
        files=(
            Wanted(
                paths=(prefix + package.location_href,),
                size=package.size_package,
                algorithm=package.checksum_type,
                digest=package.pkgId,
            ),
        ),
        requires=tuple(_relation(row) for row in package.requires),
        provides=(
            *(row[0] for row in package.provides),
            *(folder + name for _, folder, name, *_ in package.files),
        ),
    )


def _relation(
    row: tuple[str, str | None, str | None, str | None, str | None, bool],
) -> Alternatives:
    name, flags, epoch, version, release, _ = row
    if not flags or not version:
        return (Relation(name=name),)
    return (Relation(name=name, rel=_RELS[flags], version=_version(epoch, version, release)),)


def _version(epoch: str | None, version: str, release: str | None) -> str:
    text = f"{version}-{release}" if release else version
    return text if epoch in (None, "", "0") else f"{epoch}:{text}"
