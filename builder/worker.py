# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker of a farm: does a job of somebody else's run. Inputs come, and results go, through the
artifact store that both reach; Dask carries the orders."""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder import linters
from builder.build import make
from builder.cache import cache_folder
from builder.inputs import Directory
from builder.job import Job
from builder.made import Files
from builder.plan import read_all
from builder.roots import believe, root_key
from builder.scratch import scratch
from builder.shipment import directory_from, receive_sources, replaced_from
from builder.store import Store, open_store, put, take
from builder.using_dask import distributed
from opkg.console import say
from opkg.errors import CommandError, OpkgError
from opkg.manifest import Input
from opkg.native.installer import PackageSource
from opkg.run import end_all
from opkg.target import Target
from opkg.variables import for_target


@dataclass(frozen=True, kw_only=True)
class Order:
    """A job for a worker. `inputs` is the key under which the store has the OPKG's directory,
    called `name`, and the paths that stand in for its sources, by the sources' names. `uses` are
    the keys of what was made by other jobs; `mirrors` is what the target's mirrors offer;
    `source` is the repository of what is published."""

    store: str
    inputs: str
    name: str
    replaced: Mapping[str, str]
    target: Target
    in_root: bool
    mirrors: Mapping[str, str]
    input: Input
    uses: Mapping[str, str]
    source: PackageSource | None
    lint: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of an order: who did it, its logs, compressed, and the error where it failed, as
    the arguments of CommandError."""

    worker: str
    logs: Mapping[str, bytes]
    error: Mapping[str, str] | None = None


@dataclass(kw_only=True)
class Build:
    """What a thread is doing for an order. It may be ended from other threads."""

    thread: threading.Thread = field(default_factory=threading.current_thread)
    is_ended: bool = False

    def end(self) -> None:
        """Kill what it runs. Called again until it has gone, for it may go on otherwise."""
        self.is_ended = True
        end_all(self.thread)


builds: dict[object, Build] = {}  # by the keys of Dask's tasks


def obey(order: Order) -> Answer:
    """Do what is ordered; what it gives is in the store then. Raises Reschedule where it was
    ended: if anybody still waits for it, another worker does it."""
    task = distributed.get_worker().get_current_task()
    what = f"{order.input.opkg}  {order.target.name}"
    say(f"building  {what}")
    build = builds[task] = Build()
    try:
        answer = _answer(order)
    finally:
        del builds[task]
    word = "ended" if build.is_ended else "failed" if answer.error else "built"
    say(f"{word:<8}  {what}")
    if build.is_ended:
        raise distributed.Reschedule
    return answer


def _answer(order: Order) -> Answer:
    with scratch(cache_folder("worker")) as work:
        logs = work / "logs"
        try:
            _obey(order, work, logs)
            error = None
        except OpkgError as fault:
            output = fault.output if isinstance(fault, CommandError) else ""
            hint, where = fault.hint, fault.where
            error = {"message": fault.message, "hint": hint, "where": where, "output": output}
        except OSError as fault:
            where = str(fault.filename or "")
            error = {"message": fault.strerror or str(fault), "hint": "", "where": where,
                     "output": ""}  # fmt: skip
        texts = {path.name: zlib.compress(path.read_bytes()) for path in logs.glob("*.log")}
    return Answer(worker=socket.gethostname(), logs=texts, error=error)


def _obey(order: Order, work: Path, logs: Path) -> None:
    store = open_store(order.store, float("inf"))
    if store is None or not store.fetch(order.inputs, work / "inputs"):
        raise OpkgError(
            f"the worker on {socket.gethostname()} does not find the inputs in the artifact store",
            where=order.store,
            hint="name a store by --store that the workers reach as well: a folder that all "
            "share, or s3://BUCKET/PREFIX",
        )
    key = order.input.sha256
    if store.has(key):
        return
    job = _job(order, work, store)
    used = _used(order.uses, work / "used", store)
    (work / "made").mkdir()
    made = make(job, used, work / "made", logs, say)
    if order.lint:
        linters.check(job.target.family, [path for _, path in made.artifacts])
    put(store, key, made, linted=order.lint)


def _job(order: Order, work: Path, store: Store) -> Job:
    """The job that was meant, on this machine, with its sources. Raises OpkgError where it would
    have other inputs here."""
    directory = directory_from(work / "inputs", work / "opkg" / order.name)
    replaced = replaced_from(work / "inputs", order.replaced, work / "replaced")
    ((_, opkg, recipe),) = read_all([directory])
    resolved = for_target(recipe, opkg, order.target) if recipe else None
    if order.in_root:
        believe(order.target, order.mirrors)
    root = root_key(order.target) if order.in_root else ""
    known = Directory(directory, opkg)
    mine = known.input_for(
        order.target, resolved, replaced, root, order.input.needs, order.input.published
    )
    if mine.sha256 != order.input.sha256:
        if mine.directory != order.input.directory:
            store.drop(order.inputs)
        raise OpkgError(
            f"the worker on {socket.gethostname()} would make something else: "
            + "; ".join(_differences(order.input, mine)),
            hint="let it have the same software and the same mirrors as this machine",
        )
    if resolved:
        receive_sources(resolved, replaced, work / "sources", store)
    return Job(
        directory=directory,
        opkg=opkg,
        recipe=resolved,
        target=order.target,
        replaced=replaced,
        input=order.input,
        in_root=order.in_root,
        uses=order.uses,
        source=order.source,
    )


def _differences(theirs: Input, mine: Input) -> list[str]:
    found = [
        f"{tool} is {mine.tools.get(tool)}, not {version}"
        for tool, version in theirs.tools.items()
        if mine.tools.get(tool) != version
    ]
    words = {
        "directory": "the OPKG came damaged",
        "settings": "its tables of names are others",
        "root": "its mirrors are others",
        "machine": "it has other packages installed, and builds without a build root",
        "sources": "the sources came damaged",
    }
    return found + [
        word for field, word in words.items() if getattr(theirs, field) != getattr(mine, field)
    ]


def _used(uses: Mapping[str, str], place: Path, store: Store) -> Files:
    """What other jobs of the run have made for this one."""
    place.mkdir()
    found: Files = ()
    for number, (name, key) in enumerate(uses.items()):
        taken = take(store, key, place / str(number), say)
        if taken is None:
            raise OpkgError(
                f"what {name} made is not in the artifact store any more", hint="build again"
            )
        found += tuple(each for each in taken[0].artifacts if each[0].part is None)
    return found
