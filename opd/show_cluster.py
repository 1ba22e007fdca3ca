# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPD tells of the cluster, its images and its history, as rows, records and text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from opd.image_tools import Facts
from opd.kernel import Kernel
from opd.oda import Transaction
from opd.place import Place, opkg_of
from opd.plan import Plan
from opd.show import titled
from opkg.native.installer import Installed


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
    return "\n".join([facts.name, *titled(shown)])


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
