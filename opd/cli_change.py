# SPDX-License-Identifier: GPL-2.0-or-later
"""opd's commands that change what is installed, and take that back."""

from __future__ import annotations

from collections.abc import Sequence

import click

from opd import repository, show_cluster, undo
from opd.choose import Choice, choose, upgrades
from opd.install import install as install_into
from opd.install import remove as remove_from
from opd.place import HEADNODE, opkgs_in
from opd.plan import Plan, planning, removals, steps_and_scripts
from opd.settings import IN_HEADNODE, IN_IMAGE, JSON, NAMES, Settings, pass_settings
from opd.stages import due_for_nodes
from opd.state import State
from opd.work import Cluster
from opd.working import cluster_of, working
from opkg.console import print_json, say
from opkg.native.choose import packages

_DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Tell which packages would change and which scripts would run."
)


@click.command()
@NAMES
@IN_HEADNODE
@IN_IMAGE
@_DRY_RUN
@JSON
@pass_settings
def install(
    settings: Settings,
    names: Sequence[str],
    image_names: Sequence[str],
    *,
    on_headnode: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Install OPKGs, or upgrade to their newest version.

    The headnode gets the API and server parts, images the client part; then the scripts of the
    phases run. An image changes as a whole or not at all.
    """
    state = settings.open()
    known = repository.load_all(state)
    cluster = cluster_of(settings, state, image_names, on_headnode=on_headnode)
    present = {place.name: opkgs_in(place, packages(place)) for place in cluster.places}
    choices = choose(known, names, cluster.places, present)
    _carry_out(settings, state, known, [(cluster, choices)], dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("names", metavar="[NAME]…", nargs=-1)
@IN_HEADNODE
@IN_IMAGE
@_DRY_RUN
@JSON
@pass_settings
def upgrade(
    settings: Settings,
    names: Sequence[str],
    image_names: Sequence[str],
    *,
    on_headnode: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring what is installed to its newest version.

    All OPKGs, or those that are named. Nothing comes to a place that was not there before, but for
    what new versions require.
    """
    state = settings.open()
    known = repository.load_all(state)
    cluster = cluster_of(settings, state, image_names, on_headnode=on_headnode)
    tasks = []
    for part in cluster.each():
        (place,) = part.places
        present = opkgs_in(place, packages(place))
        newer = upgrades(known, place, present)
        chosen = [name for name in newer if not names or name in names]
        if chosen:
            tasks.append((part, choose(known, chosen, [place], {place.name: present})))
    if tasks or as_json:
        _carry_out(settings, state, known, tasks, dry_run=dry_run, as_json=as_json)
    else:
        say(f"nothing newer is on offer for {', '.join(place.name for place in cluster.places)}")


def _carry_out(
    settings: Settings,
    state: State,
    known: Sequence[repository.Known],
    tasks: Sequence[tuple[Cluster, Sequence[Choice]]],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Install OPKGs into places, or tell what that would do."""
    if dry_run:
        with planning(state, known, say) as work:
            _tell([plan for task in tasks for plan in steps_and_scripts(work, *task)], as_json)
        return
    with working(settings, state, known) as work:
        for cluster, choices in tasks:
            install_into(work, choices, cluster)
        own = [(each.headnode, choices) for each, choices in tasks if each.headnode]
        waiting = [name for place, choices in own for name in due_for_nodes(work, place, choices)]
    if as_json:
        print_json(show_cluster.transaction_record(state.oda.history()[0]))
    for cluster, choices in tasks:
        done = ", ".join(map(str, choices))
        say(f"in {', '.join(place.name for place in cluster.places)}: {done}")
    if waiting:
        say(f"nodes are defined: opd deploy runs what {', '.join(dict.fromkeys(waiting))} does "
            "about them")  # fmt: skip


@click.command()
@NAMES
@IN_HEADNODE
@IN_IMAGE
@_DRY_RUN
@JSON
@pass_settings
def remove(
    settings: Settings,
    names: Sequence[str],
    image_names: Sequence[str],
    *,
    on_headnode: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove OPKGs and what only they needed."""
    state = settings.open()
    cluster = cluster_of(settings, state, image_names, on_headnode=on_headnode)
    if dry_run:
        with planning(state, [], say) as work:
            _tell(removals(work, names, cluster), as_json)
        return
    with working(settings, state, []) as work:
        remove_from(work, names, cluster)
    if as_json:
        print_json(show_cluster.transaction_record(state.oda.history()[0]))
    say(f"removed {', '.join(names)} from {', '.join(place.name for place in cluster.places)}")


def _tell(plans: Sequence[Plan], as_json: bool) -> None:
    if as_json:
        print_json(plans)
    else:
        click.echo("\n".join(show_cluster.plan(plan) for plan in plans) or "nothing would change")


@click.command("undo")
@click.argument("number", metavar="[ID]", type=int, required=False)
@JSON
@pass_settings
def undo_(settings: Settings, number: int | None, *, as_json: bool) -> None:
    """Take a change back.

    The last one, or the one of this number in opd history. Images become what they were. In the
    headnode, and in directories named as images, packages come back in their former versions, also
    when no repository has them any more; what scripts did there beside stays.
    """
    state = settings.open()
    row = undo.find(state.oda.history(), number)
    names = {entry.image for entry in row.images} | {change.place for change in row.changes}
    images = sorted(names - {HEADNODE})
    cluster = cluster_of(settings, state, images, on_headnode=HEADNODE in names)
    with working(settings, state, [], undoes=row.id) as work:
        undo.undo(work, row, cluster)
    if as_json:
        print_json(show_cluster.transaction_record(state.oda.history()[0]))
    say(f"change {row.id} is undone: {row.command}")


COMMANDS = (install, upgrade, remove, undo_)
