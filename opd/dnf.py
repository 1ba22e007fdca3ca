# SPDX-License-Identifier: GPL-2.0-or-later
"""dnf as the installer of a Red Hat-like place: this machine's dnf, working on the place's root,
with the repositories' sources added for the time of the transaction."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from opd import guest
from opd.place import Installed, Place, Wanted
from opd.repository import Known
from opkg.errors import CommandError
from opkg.run import run
from opkg.target import RpmMirror

# dnf's exit status is 0 when a package's script failed; it only says so.
_SCRIPT_FAILED = re.compile(r"%\w+\(.*\) scriptlet failed")
_QUERY = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\n"


class Dnf:
    """See `opd.native.Installer`."""

    def __init__(
        self, place: Place, known: Sequence[Known], session: Path, say: Callable[[str], None]
    ) -> None:
        self._place = place
        self._known = known
        self._session = session
        self._say = say

    def refresh(self) -> None:
        self._write_sources()
        self._dnf("--refresh", "makecache")

    def install(self, packages: Sequence[Wanted]) -> None:
        words = [f"{p.name}-{p.version}" if p.version else p.name for p in packages]
        self._dnf("install", *words)

    def remove(self, names: Sequence[str]) -> None:
        self._dnf("remove", *names)

    def packages(self) -> dict[str, Installed]:
        root = self._place.root
        database = f"_dbpath {self._place.target.distribution.rpmdb}"
        argv = guest.looking(
            root, "rpm", "--root", root, "--define", database, "-qa", "--qf", _QUERY
        )
        rows = (line.split("\t") for line in run(argv).stdout.splitlines())
        return {name: Installed(version=version, state="installed") for name, version in rows}

    def _dnf(self, *words: str) -> None:
        root = self._place.root
        argv = guest.beside(
            root,
            "dnf",
            *options(self._place, self._session),
            *words,
            env={"HOME": str(self._session), "LC_ALL": "C.UTF-8", "OPD_RUNS_PHASES": "1"},
            binds={guest.SESSION: self._session},
        )
        finished = run(argv, on_line=self._say)
        failed = _SCRIPT_FAILED.search(finished.stdout)
        if failed:
            raise CommandError(
                f"a package's script failed: {failed.group()}",
                argv=argv,
                output="\n".join(finished.stdout.splitlines()[-20:]),
                hint="its output stands above",
            )

    def _write_sources(self) -> None:
        folder = self._session / "repos"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (self._session / "log").mkdir(exist_ok=True)
        (self._session / "dnf.conf").write_text(config_text(self._place, self._session))
        # Debian's rpm would keep the database in the home folder.
        macros = f"%_dbpath {self._place.target.distribution.rpmdb}\n"
        (self._session / ".rpmmacros").write_text(macros)
        distribution = self._place.target.distribution
        for mirror in distribution.mirrors:
            if isinstance(mirror, RpmMirror):
                text = repo_text(mirror.name, mirror.url, mirror.key, priority=99)
                (folder / f"{mirror.name}.repo").write_text(text)
        for entry in self._known:
            source = entry.index.sources.get(self._place.target.name)
            if source is None:
                continue
            name = f"opd-{entry.repository.name}"
            key = folder / f"{name}.asc"
            key.write_text("\n".join(entry.index.keys))
            text = repo_text(name, entry.url(source.path), key.as_uri(), priority=50)
            (folder / f"{name}.repo").write_text(text)


def options(place: Place, session: Path) -> list[str]:
    """dnf's options for a place."""
    words = [
        "--assumeyes",
        "--config",
        str(session / "dnf.conf"),
        f"--releasever={place.target.distribution.suite}",
    ]
    if place.root != guest.HOST:
        arch = place.target.native_architecture
        words += ["--installroot", str(place.root), "--forcearch", arch]
    return words


def config_text(place: Place, session: Path) -> str:
    """dnf's configuration for a place (dnf.conf(5)): all it downloads is kept in `session`; the
    sources are those in `session`, and the root's own where targets.toml names no mirror."""
    own = [] if place.target.distribution.mirrors else [place.root / "etc/yum.repos.d"]
    folders = ",".join(str(folder) for folder in [session / "repos", *own])
    # dnf puts the root's path before these two, but only when they come from a file.
    seen = session if place.root == guest.HOST else guest.SESSION
    return f"[main]\nreposdir={folders}\ncachedir={seen / 'cache'}\nlogdir={seen / 'log'}\n"


def repo_text(name: str, url: str, key: str, *, priority: int) -> str:
    """A .repo file, with signatures of packages and of metadata checked (dnf.conf(5))."""
    return (
        f"[{name}]\nname={name}\nbaseurl={url}\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n"
        f"gpgkey={key}\npriority={priority}\n"
    )
