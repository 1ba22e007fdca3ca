# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPD tells of OPKGs and of the cluster, as rows and records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opd.oda import Transaction
from opd.place import Installed, Place
from opd.repository import Known
from opkg.index import Offer
from opkg.spec import Part
from opkg.version import Version


def newest(known: Sequence[Known]) -> dict[str, tuple[Known, list[Offer]]]:
    """For each OPKG the repository that has its newest version, and the offers of that version,
    a target each."""
    found: dict[str, tuple[Known, list[Offer]]] = {}
    for entry in known:
        for offer in entry.index.offers:
            name = offer.opkg.name
            if name not in found or _version(offer).rank > _version(found[name][1][0]).rank:
                found[name] = (entry, [offer])
            elif entry is found[name][0] and _version(offer) == _version(found[name][1][0]):
                found[name][1].append(offer)
    return dict(sorted(found.items()))


def _version(offer: Offer) -> Version:
    return Version.parse(offer.opkg.version)


def matches(offer: Offer, words: Iterable[str]) -> bool:
    """Whether every word stands in the OPKG's name, summary or description."""
    text = f"{offer.opkg.name} {offer.opkg.summary} {offer.opkg.description}".lower()
    return all(word.lower() in text for word in words)


def parts_by_opkg(
    places: Sequence[tuple[Place, dict[str, Installed]]],
) -> dict[str, list[dict[str, str]]]:
    """The parts of OPKGs that package managers' databases hold: by OPKG, a record for each part
    in each place."""
    found: dict[str, list[dict[str, str]]] = {}
    for place, packages in places:
        for name, installed in sorted(packages.items()):
            part, opkg = _part_of(name)
            if opkg and part in place.parts:
                record = {
                    "place": place.name,
                    "part": part.value,
                    "package": name,
                    "version": installed.version,
                    "state": installed.state,
                }
                found.setdefault(opkg, []).append(record)
    return dict(sorted(found.items()))


def cell(records: Sequence[dict[str, str]], place: str) -> str:
    """What a place has of an OPKG, in a word or two: a line for each version and state that its
    parts are in, with the parts where they differ."""
    lines: dict[str, list[str]] = {}
    for record in records:
        if record["place"] == place:
            lines.setdefault(f"{record['version']} {record['state']}", []).append(record["part"])
    if len(lines) == 1:
        return next(iter(lines))
    return "\n".join(f"{text} ({', '.join(parts)})" for text, parts in lines.items()) or "–"


def _part_of(package: str) -> tuple[Part, str]:
    """Which part of which OPKG a native package is; "" where it is none."""
    name = package.removeprefix("opkg-")
    if name == package:
        return Part.API, ""
    for part in (Part.SERVER, Part.CLIENT):
        if name.endswith(f"-{part.value}"):
            return part, name.removesuffix(f"-{part.value}")
    return Part.API, name


def transaction_record(row: Transaction) -> dict[str, object]:
    """A transaction with its changes and script runs, for --json."""
    return {
        "id": row.id,
        "command": row.command,
        "started": row.started,
        "ended": row.ended,
        "outcome": row.outcome,
        "message": row.message,
        "changes": [
            {"place": c.place, "package": c.package, "before": c.before, "after": c.after}
            for c in row.changes
        ],
        "scripts": [
            {
                "place": r.place,
                "opkg": r.opkg,
                "version": r.version,
                "phase": r.phase,
                "script": r.script,
                "status": r.status,
                "undone": r.undone,
                "started": r.started,
                "output": r.output,
            }
            for r in row.runs
        ],
    }
