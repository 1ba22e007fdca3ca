# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPD tells of OPKGs and of the cluster, as rows, records and text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import click
from rich.filesize import decimal

from opd.image_tools import Facts
from opd.kernel import Kernel
from opd.oda import Repository, Transaction
from opd.place import Place, opkg_of
from opd.plan import Plan
from opd.repository import Known
from opkg.index import Offer
from opkg.manifest import OpkgRelation
from opkg.native.installer import Installed
from opkg.spec import Kind
from opkg.version import Version

# Text that a person reads is no wider, on any terminal.
_WIDTH = 79


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


def opkg_names(known: Known) -> list[str]:
    """The OPKGs that a repository offers."""
    return sorted({offer.opkg.name for offer in known.index.offers})


def repository(row: Repository) -> dict[str, object]:
    """A repository, for --json."""
    return {
        "name": row.name,
        "url": row.url,
        "channel": row.channel,
        "root_sha256": row.root_sha256,
        "mirrors": row.mirrors.split(),
    }


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
            opkg = opkg_of(name)
            if opkg and opkg[1] in place.parts:
                record = {
                    "place": place.name,
                    "part": opkg[1].value,
                    "package": name,
                    "version": installed.version,
                    "state": installed.state,
                }
                found.setdefault(opkg[0], []).append(record)
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


def details(known: Known, offers: Sequence[Offer]) -> str:
    """All about an OPKG: what holds for every target, then its packages for each."""
    opkg = offers[0].opkg
    relations = {
        kind: [_relation_text(relation) for relation in opkg.relations if relation.kind is kind]
        for kind in Kind
    }
    facts = {
        "Licence": opkg.licence,
        "Home": opkg.uri,
        "Maintainer": opkg.maintainer,
        "Changed": opkg.changed[:10],
        **{kind.value.capitalize(): ", ".join(names) for kind, names in relations.items()},
        "Scripts": ", ".join(opkg.scripts),
    }
    lines = [
        f"{opkg.name} {opkg.version} ({opkg.category}), from {known.repository.name}",
        opkg.summary,
        "",
        click.wrap_text(opkg.description, _WIDTH, preserve_paragraphs=True),
        "",
        *(
            click.wrap_text(value, _WIDTH, f"{title:<12}", " " * 12)
            for title, value in facts.items()
            if value
        ),
    ]
    for offer in offers:
        lines += ["", offer.target]
        lines += [f"  {a.name} {a.version}  {decimal(a.size)}" for a in offer.artifacts]
    return "\n".join(lines)


def _relation_text(relation: OpkgRelation) -> str:
    bound = f" ({relation.rel} {relation.version})" if relation.rel else ""
    return relation.name + bound


def local_time(stamp: str) -> str:
    """A time of the cluster database, as the clock here has it."""
    return f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M:%S}"


def image(facts: Facts) -> str:
    """All about an image."""
    shown = {
        "Target": facts.target,
        "Path": facts.path,
        "Generation": f"{facts.generation} of {', '.join(facts.kept)}" if facts.kept else "",
        "OPKGs": ", ".join(f"{name} {version}" for name, version in facts.opkgs.items()) or "none",
    }
    lines = [
        click.wrap_text(value, _WIDTH, f"{title:<12}", " " * 12)
        for title, value in shown.items()
        if value
    ]
    return "\n".join([facts.name, *lines])


def kernels(there: Sequence[Kernel]) -> str:
    """The kernels of an image."""
    lines = []
    for kernel in there:
        lines.append(f"{kernel.version}{'  (default)' if kernel.default else ''}")
        facts = {"kernel": kernel.path}
        if entry := kernel.entry:
            facts |= {"label": entry.label, "initrd": entry.initrd or "none", "told": entry.append}
        else:
            facts |= {"label": "none: not set up, opd image kernel does that"}
        lines += [f"  {title:<8}{value}" for title, value in facts.items() if value]
    return "\n".join(lines)


def plan(would: Plan) -> str:
    """What a change would do in a place."""
    lines = [f"{would.place}: {'packages' if would.packages else 'no package would change'}"]
    lines += [
        f"  {step.name} {step.before or '–'} → {step.after or '–'}" for step in would.packages
    ]
    if would.scripts:
        lines.append(f"{would.place}: scripts")
    for script in would.scripts:
        where = "" if script.where == would.place else f", on the {script.where}"
        lines.append(f"  {script.opkg}: {script.script}{where}")
    return "\n".join(lines)


def story(row: Transaction) -> str:
    """All about one transaction."""
    ended = f", ended {local_time(row.ended)}" if row.ended else ""
    lines = [row.command, f"{row.outcome}; started {local_time(row.started)}{ended}"]
    if row.message:
        lines.append(row.message)
    if row.changes:
        lines += ["", "Packages"]
    for change in row.changes:
        versions = f"{change.before or '–'} → {change.after or '–'}"
        lines.append(f"  {change.place}: {change.package} {versions}")
    if row.runs:
        lines += ["", "Scripts"]
    for run in row.runs:
        word = "done" if run.status == 0 else "failed"
        undone = ", and undone" if run.undone else ""
        lines.append(f"  {run.place}: {run.opkg}: {run.script} ({run.phase}): {word}{undone}")
        lines += [f"    | {line}" for line in run.output.splitlines()]
    return "\n".join(lines)


def transaction_record(row: Transaction) -> dict[str, object]:
    """A transaction with its changes and script runs, for --json."""
    return {
        "id": row.id,
        "command": row.command,
        "started": row.started,
        "ended": row.ended,
        "outcome": row.outcome,
        "message": row.message,
        "undoes": row.undoes,
        "changes": [
            {"place": c.place, "package": c.package, "before": c.before, "after": c.after}
            for c in row.changes
        ],
        "images": [{"image": s.image, "before": s.before, "after": s.after} for s in row.images],
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
