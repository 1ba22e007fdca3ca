# SPDX-License-Identifier: GPL-2.0-or-later
"""The mirrors of a repository: what each copies, and how it fares.

mirrors/NAME/    settings, keys, the state, and the files by their digests: nothing is served
live/mirror/NAME the copy that clients see, a link to a whole one in live/mirror/.NAME/
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from opkg.document import decode, encode
from opkg.errors import OpkgError
from opkg.files import write_atomic
from opkg.target import Family, known_targets
from repo_server.mirrors.fetch import Store, check_address
from repo_server.repository import Repository, check_channel

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,63}")


class Kind(StrEnum):
    """What is mirrored."""

    OPKG = "opkg"
    APT = "apt"
    RPM = "rpm-md"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a mirror copies. With `into`, packages go into that channel of ours, for `target`;
    else all of it becomes a copy, byte for byte. `suites`, `components`, `architectures` and
    `sources` are an apt repository's, `channels` those of one of our own kind."""

    url: str
    kind: Kind
    suites: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    newest: int = 0
    into: str = ""
    target: str = ""
    sources: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How the last synchronisation went. `complete` is false from its beginning until all that the
    upstream named is there; `lacking` files were not when it broke off. Dates are ISO 8601, and
    empty for never: when it `began`, when one was last `synced` whole, and until when the
    upstream's metadata are valid. `generation` counts what clients were shown, and `revisions`
    say how new the signed metadata of the last whole one were."""

    complete: bool = False
    began: str = ""
    synced: str = ""
    valid_until: str = ""
    error: str = ""
    lacking: int = 0
    files: int = 0
    size: int = 0
    generation: int = 0
    revisions: dict[str, int] = {}


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A mirror of a repository."""

    name: str
    settings: Settings
    folder: Path
    shown: Path

    @property
    def keys(self) -> Path:
        """The OpenPGP keys that vouch for the upstream, or its TUF root."""
        return self.folder / ("root.json" if self.settings.kind is Kind.OPKG else "keys.asc")

    @property
    def store(self) -> Store:
        return Store(folder=self.folder / "store")

    @property
    def generations(self) -> Path:
        """The copies that were shown last."""
        return self.shown.with_name(f".{self.name}")

    @property
    def number(self) -> int:
        """Which of them clients see; 0 before the first."""
        return int(self.shown.readlink().name) if self.shown.is_symlink() else 0

    @property
    def state(self) -> State:
        path = self.folder / "state.json"
        return decode(path.read_bytes(), State, where=str(path)) if path.exists() else State()

    def note(self, state: State) -> None:
        write_atomic(self.folder / "state.json", encode(state))


@dataclass(frozen=True, kw_only=True)
class Health:
    """A mirror as its watchers want to know it; `age` is in seconds, None before the first."""

    name: str
    url: str
    kind: Kind
    into: str
    complete: bool
    age: int | None
    synced: str
    valid_until: str
    error: str
    lacking: int
    files: int
    size: int
    generation: int


def find(repository: Repository, name: str) -> Mirror:
    """The mirror of that name. Raises OpkgError."""
    mirror = _mirror(repository, name)
    if mirror is None:
        names = ", ".join(one.name for one in mirrors(repository)) or "none"
        raise OpkgError(f"there is no mirror named “{name}”", hint=f"known: {names}")
    return mirror


def mirrors(repository: Repository) -> list[Mirror]:
    """All mirrors, by name."""
    folders = sorted((repository.directory / "mirrors").glob("*/mirror.json"))
    found = (_mirror(repository, path.parent.name) for path in folders)
    return [mirror for mirror in found if mirror is not None]


def _mirror(repository: Repository, name: str) -> Mirror | None:
    folder = repository.directory / "mirrors" / name
    path = folder / "mirror.json"
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    return Mirror(
        name=name,
        settings=decode(path.read_bytes(), Settings, where=str(path)),
        folder=folder,
        shown=repository.live / "mirror" / name,
    )


def add(repository: Repository, name: str, settings: Settings, keys: bytes) -> Mirror:
    """Note a mirror, which `keys` vouch for. Raises OpkgError where its settings do not go
    together, or the name is taken."""
    if not _NAME.fullmatch(name):
        raise OpkgError(
            f"“{name}” cannot name a mirror", hint="use small letters, digits, + . and -"
        )
    if _mirror(repository, name):
        raise OpkgError(
            f"there is a mirror named “{name}”",
            hint=f"remove it first: opkg-repo mirror remove {repository.directory} {name}",
        )
    check_address(settings.url)
    _check(settings)
    folder = repository.directory / "mirrors" / name
    fresh = folder.with_name(f".{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    write_atomic(fresh / ("root.json" if settings.kind is Kind.OPKG else "keys.asc"), keys)
    write_atomic(fresh / "mirror.json", encode(settings))
    # What a `remove` that was killed left.
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return find(repository, name)


def _check(settings: Settings) -> None:
    """Raise OpkgError where settings do not go together."""
    if (settings.patterns or settings.newest) and not settings.into:
        raise OpkgError(
            "a part of a repository cannot keep that repository's signatures",
            hint="--into CHANNEL publishes the part under this repository's own key",
        )
    if settings.sources and (settings.kind is not Kind.APT or settings.into):
        raise OpkgError(
            "source packages come with copies of apt repositories",
            hint="leave --sources out: an rpm-md repository is copied with all that it lists, and "
            "into a channel opkg-repo add brings source packages",
        )
    if settings.into:
        check_channel(settings.into)
        if settings.kind is not Kind.OPKG and not settings.target:
            raise OpkgError(
                "which target are its packages for?", hint="say --target, e.g. debian-12-x86_64"
            )
    if settings.target:
        target = known_targets().find(settings.target)
        family = {Kind.APT: Family.DEB, Kind.RPM: Family.RPM}.get(settings.kind, target.family)
        if target.family is not family or not settings.into:
            raise OpkgError(
                f"--target {settings.target} does not go with that",
                hint=f"it says, with --into, which target {family.value} packages are for",
            )


def remove(repository: Repository, name: str) -> None:
    """Forget a mirror and its copy. What it brought into a channel stays there."""
    mirror = find(repository, name)
    mirror.shown.unlink(missing_ok=True)
    (mirror.folder / "mirror.json").unlink()
    shutil.rmtree(mirror.generations, ignore_errors=True)
    shutil.rmtree(mirror.folder)


def health(repository: Repository, now: datetime | None = None) -> list[Health]:
    """How all mirrors fare."""
    return [_health(mirror, now or datetime.now(UTC)) for mirror in mirrors(repository)]


def _health(mirror: Mirror, now: datetime) -> Health:
    settings, state = mirror.settings, mirror.state
    age = (
        int((now - datetime.fromisoformat(state.synced)).total_seconds()) if state.synced else None
    )
    return Health(
        name=mirror.name,
        url=settings.url,
        kind=settings.kind,
        into=settings.into,
        complete=state.complete,
        age=age,
        synced=state.synced,
        valid_until=state.valid_until,
        error=state.error,
        lacking=state.lacking,
        files=state.files,
        size=state.size,
        generation=state.generation,
    )
