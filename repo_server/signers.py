# SPDX-License-Identifier: GPL-2.0-or-later
"""Maintainers' keys: a channel that has a list of them takes only what one of them signed.

An RPM carries the signature itself. A deb or a .dsc has none: a signed .changes names it with its
digest. The catalog keeps which key vouched for which package, so that a package can go on to
another channel whose list has that key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from opkg.errors import OpkgError
from opkg.target import Family
from repo_server import deb_changes, openpgp, rpm_file
from repo_server.batch import Batch
from repo_server.openpgp import PublicKey, Signature, check_signature
from repo_server.package import Package
from repo_server.repository import Repository, check_channel
from repo_server.tables import Vouch


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A key on the list of a channel."""

    channel: str
    key: PublicKey


def add(repository: Repository, channel: str, file: Path) -> list[Signer]:
    """Put the keys in a file on a channel's list. Raises OpkgError where there are none."""
    check_channel(channel)
    found = openpgp.take_keys(file, repository.signers / channel)
    return [Signer(channel=channel, key=key) for key in found]


def remove(repository: Repository, channel: str, fingerprint: str) -> bool:
    """Take the key with a fingerprint off a channel's list; whether others are left: without any,
    the channel takes packages of everybody again. Raises OpkgError where it is not on it."""
    wanted = fingerprint.replace(" ", "").upper()
    paths = keys(repository, channel)
    gone = [path for path in paths if path.stem == wanted]
    if not gone:
        raise OpkgError(
            f"{fingerprint} is not on the list of the channel {channel}",
            hint=f"see opkg-repo signer list {repository.directory}",
        )
    gone[0].unlink()
    return len(paths) > 1


def listed(repository: Repository) -> list[Signer]:
    """All keys of all lists."""
    return [
        Signer(channel=folder.name, key=key)
        for folder in sorted(repository.signers.glob("*/"))
        if (files := keys(repository, folder.name))
        for key in openpgp.describe_keys(files)
    ]


def keys(repository: Repository, channel: str) -> list[Path]:
    """The files of a channel's list; none where it takes packages of everybody."""
    return sorted((repository.signers / channel).glob("*.gpg"))


def vouchers(
    repository: Repository, channel: str, batch: Batch, digests: Mapping[Path, str], folder: Path
) -> dict[Path, str]:
    """The fingerprints of the keys that signed the packages of a batch, by the packages' paths;
    there are copies of them in `folder` by their `digests`. None where the channel takes packages
    of everybody. Raises OpkgError for the first that no key of the list signed."""
    files = keys(repository, channel)
    if not files:
        return {}
    named: dict[str, str] = {}
    for path in batch.changes:
        fingerprint, delivery = _of_changes(files, channel, path)
        named |= {file.sha256: fingerprint for file in delivery.files.values()}
    found: dict[Path, str] = {}
    for item in batch.items:
        digest, where = digests[item.path], str(item.path)
        if item.family is Family.RPM:
            found[item.path] = _of_rpm(files, channel, folder / digest, where)
        elif digest in named:
            found[item.path] = named[digest]
        else:
            raise OpkgError(
                f"the channel {channel} takes only what a signed .changes names",
                where=where,
                hint="give it with its .changes, which debsign signs",
            )
    return found


def admit(repository: Repository, session: Session, channel: str, package: Package) -> None:
    """Raise OpkgError where a channel has a list, and no key on it vouched for a package."""
    listed = {path.stem for path in keys(repository, channel)}
    if not listed:
        return
    query = select(Vouch.fingerprint).where(Vouch.sha256 == package.sha256)
    if listed.isdisjoint(session.scalars(query)):
        raise OpkgError(
            f"no key on the list of the channel {channel} signed {package}",
            hint="add it there as its maintainer signed it",
        )


def note(session: Session, package: Package, fingerprint: str) -> None:
    """Remember that a key vouched for a package of the catalog."""
    if session.get(Vouch, (package.sha256, fingerprint)) is None:
        session.add(Vouch(sha256=package.sha256, fingerprint=fingerprint))
        session.flush()


def _of_rpm(files: Sequence[Path], channel: str, path: Path, where: str) -> str:
    """The key that signed an RPM: its main header, which holds the digests of all else."""
    signatures, header = rpm_file.signed_header(path, where)
    found = Signature.NONE
    for signature in signatures:
        found, fingerprint, _ = check_signature(files, header, signature)
        if found is Signature.GOOD:
            return fingerprint
    raise _refusal(channel, found, "rpmsign --addsign", where)


def _of_changes(
    files: Sequence[Path], channel: str, path: Path
) -> tuple[str, deb_changes.Delivery]:
    """The key that signed a .changes, and what that says within the signature."""
    found, fingerprint, text = check_signature(files, path.read_bytes())
    if found is not Signature.GOOD:
        raise _refusal(channel, found, "debsign", str(path))
    return fingerprint, deb_changes.parse(text, where=str(path))


def _refusal(channel: str, found: Signature, tool: str, where: str) -> OpkgError:
    return OpkgError(
        f"the channel {channel} takes only what a key on its list signed: {found.value}",
        where=where,
        hint=f"sign it with such a key: {tool}",
    )
