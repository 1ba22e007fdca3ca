# SPDX-License-Identifier: GPL-2.0-or-later
"""What a change of the cluster works on and with, and the record of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from opd.image import Root, changing
from opd.keep import TRANSACTIONS, forget
from opd.oda import Change, ImageState, ScriptRun
from opd.place import Place
from opd.repository import Known
from opd.state import State
from opkg.native import guest
from opkg.native.choose import installer_of, packages
from opkg.native.installer import Installed, Installer

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The places that a command is about: the headnode, if `on_headnode`, and images, each with
    what changes it as a whole. The headnode's scripts for images run in any case, if there is a
    headnode."""

    headnode: Place | None
    on_headnode: bool
    images: tuple[tuple[Place, Root], ...]

    def each(self) -> list[Cluster]:
        """Its places one by one, with the same headnode."""
        own = replace(self, images=())
        images = [replace(self, on_headnode=False, images=(image,)) for image in self.images]
        return [*([own] if self.headnode and self.on_headnode else []), *images]

    @property
    def places(self) -> list[Place]:
        own = [self.headnode] if self.headnode and self.on_headnode else []
        return [*own, *(place for place, _ in self.images)]


@dataclass(frozen=True, kw_only=True)
class Work:
    """One transaction: what it may use, and where it is recorded. `say` gets a line for each
    thing done, `log` all that the tools print."""

    state: State
    known: Sequence[Known]
    transaction: int
    say: Say
    log: Say

    def record(self, rows: Sequence[Change | ScriptRun | ImageState]) -> None:
        """Enter rows into the cluster database."""
        self.state.oda.add(*rows)

    def kept(self, place: Place) -> Path:
        """Where the package files of a place are kept."""
        return self.state.packages / _folder_name(place)

    def forget(self) -> None:
        """Remove package files that are kept for changes of long ago."""
        needed = self.state.oda.recent_packages(TRANSACTIONS)
        for folder in self.state.packages.glob("*"):
            forget(folder, needed)

    def installer(self, place: Place) -> Installer:
        """The package manager of a place."""
        session = self.state.sessions / _folder_name(place)
        session.mkdir(parents=True, exist_ok=True)
        sources = [entry.package_source(place.target.name) for entry in self.known]
        return installer_of(place)(
            system=place,
            session=session,
            say=self.log,
            sources=[source for source in sources if source],
            env={"OPD_RUNS_PHASES": "1"},
        )


def _folder_name(place: Place) -> str:
    """A folder's name for a place: the headnode's root, or an image's name, may be any path."""
    name = str(place.root) if place.is_headnode else place.name
    return name if "/" not in name else sha256(name.encode()).hexdigest()[:16]


@contextmanager
def transaction(
    state: State,
    known: Sequence[Known],
    command: str,
    *,
    say: Say,
    echo: Say,
    undoes: int | None = None,
) -> Iterator[Work]:
    """A change of the cluster: one at a time, recorded with how it ended, and which earlier one it
    takes back, if it does. What the tools print
    goes to a log file in the state folder, and to `echo`."""
    with state.changing(say):
        number = state.oda.begin(command, undoes)
        state.logs.mkdir(exist_ok=True)
        path = state.logs / f"{number}.log"
        with path.open("w", buffering=1) as stream:

            def log(line: str) -> None:
                stream.write(line + "\n")
                echo(line)

            try:
                work = Work(state=state, known=known, transaction=number, say=say, log=log)
                yield work
                work.forget()
            except KeyboardInterrupt:
                state.oda.end(number, outcome="interrupted")
                raise
            except BaseException as error:
                state.oda.end(number, outcome="failed", message=str(error))
                say(f"everything the tools said: {path}")
                raise
        state.oda.end(number, outcome="done")


@contextmanager
def changing_image(work: Work, root: Root, place: Place) -> Iterator[Place]:
    """Change an image, as `opd.image.changing` does, with its packages' services kept from
    starting. The place to work on is the tree's own path, with the writable layer over it. What
    changed is on record when it lasts."""
    before = root.generation
    changes: list[Change] = []
    with changing(root, work.say):
        opened = replace(place, root=root.live)
        with guest.opened(opened.root), noting(work, opened, changes.extend):
            yield opened
    state = ImageState(
        transaction_id=work.transaction, image=place.name, before=before, after=root.generation
    )
    work.record([*changes, *([state] if root.generation != before else [])])


@contextmanager
def noting(work: Work, place: Place, note: Callable[[Sequence[Change]], None]) -> Iterator[None]:
    """Note which packages of a place are others at the end, however that is reached."""
    before = packages(place)
    try:
        yield
    finally:
        after = packages(place)
        absent = Installed(version="", state="")
        changed = [
            name for name in sorted({*before, *after}) if before.get(name) != after.get(name)
        ]
        note(
            [
                Change(
                    transaction_id=work.transaction,
                    place=place.name,
                    package=name,
                    before=before.get(name, absent).version,
                    after=after.get(name, absent).version,
                )
                for name in changed
            ]
        )
