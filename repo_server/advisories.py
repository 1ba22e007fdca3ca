# SPDX-License-Identifier: GPL-2.0-or-later
"""Advisories: what a release mends, for clients that ask before they upgrade.

An advisory belongs to no channel: every rpm-md repository that shows what it names lists it, in
updateinfo.xml (createrepo_c's, which dnf and zypper read). Debian's archives have nothing of the
kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import createrepo_c
import msgspec
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from opkg.errors import OpkgError
from opkg.findings import Findings
from opkg.target import Family
from opkg.toml_file import read_toml
from repo_server import catalog
from repo_server.package import SOURCE
from repo_server.repository import Progress, Repository, changing
from repo_server.tables import AdvisoryRow, Content, OfferedPackage, Placement

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]*")
_CVE = re.compile(r"CVE-\d{4}-\d+")
# What XML 1.0 cannot hold.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Advisory(msgspec.Struct, frozen=True, kw_only=True):
    """What a maintainer writes of a release. `fixes` name OPKGs or packages as NAME=VERSION;
    `references` are numbers of CVEs, and addresses."""

    id: str
    type: Literal["security", "bugfix", "enhancement"]
    title: str
    issued: date
    fixes: tuple[str, ...]
    severity: Literal["critical", "important", "moderate", "low", ""] = ""
    description: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An advisory in the catalog; `state` is published, waiting or leaving."""

    advisory: Advisory
    state: str


def read_advisory(path: Path) -> Advisory:
    """Read an advisory's TOML file. Raises InvalidInputError with every fault in it."""
    findings = Findings(path)
    document = read_toml(findings)
    if document is None:
        if not findings.failed:
            findings.error(0, "is not there", "name a file that holds an advisory")
        raise findings.refusal()
    document.check(document.values, Advisory)
    if findings.failed:
        raise findings.refusal()
    advisory = msgspec.convert(document.values, Advisory)
    if not _ID.fullmatch(advisory.id):
        document.error(("id",), f"“{advisory.id}” cannot be an id", "for example OSCAR-2026-1")
    for name in ("title", "description", "references"):
        if _CONTROL.search("".join(getattr(advisory, name))):
            document.error((name,), f"{name} holds control characters", "take them out")
    for number, fix in enumerate(advisory.fixes):
        if not all(fix.partition("=")):
            document.error(("fixes", number), f"“{fix}” names no version", "write NAME=VERSION")
    if not advisory.fixes:
        document.error(("fixes",), "fixes is empty", "name what mends it as NAME=VERSION")
    if findings.failed:
        raise findings.refusal()
    return advisory


def add(repository: Repository, files: Sequence[Path], progress: Progress) -> list[Advisory]:
    """Let the next publication show the advisories in some files, in place of those with their
    ids; return those that are new or changed. Raises OpkgError, with nothing done, for one that
    names no RPM package which is here."""
    read = {path: read_advisory(path) for path in files}
    with changing(repository, progress) as session:
        changed = [
            advisory for path, advisory in read.items() if _add(session, advisory, where=str(path))
        ]
        session.commit()
    return changed


def remove(repository: Repository, ids: Sequence[str], progress: Progress) -> None:
    """Let the next publication show some advisories no longer. Raises OpkgError, with nothing
    done, for one that is not there."""
    with changing(repository, progress) as session:
        for id_ in ids:
            row = _staying(session, id_)
            if row is None:
                raise OpkgError(
                    f"there is no advisory “{id_}”",
                    hint=f"see opkg-repo advisory list {repository.directory}",
                )
            _take_away(session, row)
        session.commit()


def listed(repository: Repository) -> list[Listed]:
    """All advisories, by id."""
    with catalog.opened(repository.directory) as session:
        rows = session.scalars(
            select(AdvisoryRow)
            .where(AdvisoryRow.until.is_(None))
            .order_by(AdvisoryRow.name, AdvisoryRow.id)
        )
        return [Listed(advisory=_decoded(row), state=_state(row)) for row in rows]


def updateinfo(
    session: Session, channel: str, target: str, origin: str
) -> createrepo_c.UpdateInfo | None:
    """The live advisories that name live packages of a channel for a target; None where there are
    none."""
    live = (AdvisoryRow.since.is_not(None), AdvisoryRow.until.is_(None))
    rows = session.scalars(select(AdvisoryRow).where(*live).order_by(AdvisoryRow.name)).all()
    here = (
        Placement.channel == channel,
        Placement.target == target,
        Placement.since.is_not(None),
        Placement.until.is_(None),
    )
    info, found = createrepo_c.UpdateInfo(), False
    for advisory in map(_decoded, rows):
        if packages := session.scalars(_named(advisory).where(*here)).all():
            name = f"{channel}-{target}"
            info.append(_record(advisory, origin, name, packages))
            found = True
    return info if found else None


def _add(session: Session, advisory: Advisory, *, where: str) -> bool:
    here = (Placement.until.is_(None), Placement.leaving.is_(False))
    if session.scalar(_named(advisory).where(*here).limit(1)) is None:
        raise OpkgError(
            f"no RPM package of {' and '.join(advisory.fixes)} is in the repository",
            where=where,
            hint="add the packages first; clients of Debian's archives know no advisories",
        )
    text = msgspec.json.encode(advisory).decode()
    row = _staying(session, advisory.id)
    if row is not None:
        if row.text == text:
            return False
        _take_away(session, row)
    session.add(AdvisoryRow(name=advisory.id, text=text))
    session.flush()
    return True


def _staying(session: Session, id_: str) -> AdvisoryRow | None:
    query = select(AdvisoryRow).where(
        AdvisoryRow.name == id_, AdvisoryRow.until.is_(None), AdvisoryRow.leaving.is_(False)
    )
    return session.scalar(query)


def _take_away(session: Session, row: AdvisoryRow) -> None:
    if row.since is None:
        session.delete(row)
    else:
        row.leaving = True
    session.flush()


def _named(advisory: Advisory) -> Select[Content]:
    """Asks for the built RPM packages that an advisory names, wherever they are placed."""
    conditions = []
    for fix in advisory.fixes:
        name, _, version = fix.partition("=")
        of_opkg = (
            (OfferedPackage.sha256 == Placement.sha256)
            & (OfferedPackage.target == Placement.target)
            & (OfferedPackage.opkg == name)
            & (OfferedPackage.opkg_version == version)
        )
        conditions += [
            (Content.name == name) & (Content.version == version),
            select(OfferedPackage).where(of_opkg).exists(),
        ]
    return (
        select(Content)
        .join(Placement)
        .where(
            Content.family == Family.RPM,
            Content.architecture != SOURCE[Family.RPM],
            or_(*conditions),
        )
        .order_by(Content.name, Content.architecture)
    )


def _record(
    advisory: Advisory, origin: str, collection: str, packages: Iterable[Content]
) -> createrepo_c.UpdateRecord:
    record = createrepo_c.UpdateRecord()
    record.fromstr = record.release = origin
    record.id, record.type, record.title = advisory.id, advisory.type, advisory.title
    record.status, record.version = "final", "1"
    record.severity = advisory.severity.capitalize() or None
    record.issued_date = datetime.combine(advisory.issued, datetime.min.time())
    record.description = advisory.description
    for text in advisory.references:
        reference = createrepo_c.UpdateReference()
        reference.type = "cve" if _CVE.fullmatch(text) else "other"
        reference.id = reference.title = text
        reference.href = "" if reference.type == "cve" else text
        record.append_reference(reference)
    of_repository = createrepo_c.UpdateCollection()
    of_repository.shortname = of_repository.name = collection
    for package in packages:
        of_repository.append(_package(package))
    record.append_collection(of_repository)
    return record


def _package(package: Content) -> createrepo_c.UpdateCollectionPackage:
    entry = createrepo_c.UpdateCollectionPackage()
    epoch, colon, rest = package.version.rpartition(":")
    entry.name, entry.arch = package.name, package.architecture
    entry.epoch = epoch if colon else "0"
    entry.version, _, entry.release = rest.rpartition("-")
    entry.filename = Path(package.path).name
    entry.sum, entry.sum_type = package.sha256, createrepo_c.SHA256
    return entry


def _decoded(row: AdvisoryRow) -> Advisory:
    return msgspec.json.decode(row.text, type=Advisory)


def _state(row: AdvisoryRow) -> str:
    if row.since is None:
        return "waiting"
    return "leaving" if row.leaving else "published"
