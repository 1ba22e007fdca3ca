# SPDX-License-Identifier: GPL-2.0-or-later
"""dnf as the installer of a Red Hat-like place: this machine's dnf, working on the place's root,
with the repositories' sources added for the time of the transaction."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from opd import guest
from opd.place import Installed, Place, Wanted
from opd.repository import Known
from opkg.errors import CommandError
from opkg.run import TAIL, run
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

    def install(self, packages: Sequence[Wanted]) -> None:
        words = [f"{p.name}-{p.version}" if p.version else p.name for p in packages]
        self._dnf("--refresh", "install", *words)

    def check_removal(self, names: Sequence[str]) -> None:
        run(_rpm(self._place, "--erase", "--test", *names), on_line=self._say)

    def remove(self, names: Sequence[str]) -> None:
        self._dnf("remove", *names)

    def _dnf(self, *words: str) -> None:
        self._write_sources()
        argv = guest.beside(
            self._place.root,
            "dnf",
            *options(self._place, self._session),
            *words,
            env={"HOME": str(self._session), "LC_ALL": "C.UTF-8", "OPD_RUNS_PHASES": "1"},
            binds={guest.SESSION: self._session},
        )
        self._say("$ " + shlex.join(argv))
        try:
            output = run(argv, on_line=self._say).stdout
        except CommandError as error:
            error.message = f"dnf failed in {self._place.name}"
            error.hint = ""
            raise
        failed = _SCRIPT_FAILED.search(output)
        if failed:
            raise CommandError(
                f"a package's own script failed in {self._place.name}: {failed.group()}",
                argv=argv,
                output="\n".join(output.splitlines()[-TAIL:]),
            )

    def _write_sources(self) -> None:
        for folder in ("keys", "log"):
            (self._session / folder).mkdir(parents=True, exist_ok=True)
        for entry in self._known:
            _key_file(self._session, entry).write_text("\n".join(entry.index.keys))
        text = config_text(self._place, self._known, self._session)
        (self._session / "dnf.conf").write_text(text)
        # Debian's rpm would keep the database in the home folder.
        macros = f"%_dbpath {self._place.target.distribution.rpmdb}\n"
        (self._session / ".rpmmacros").write_text(macros)


def packages(place: Place) -> dict[str, Installed]:
    """See `opd.native.packages`. The keys that rpm keeps among the packages are left out."""
    lines = run(_rpm(place, "-qa", "--qf", _QUERY)).stdout.splitlines()
    rows = (line.split("\t") for line in lines)
    return {
        name: Installed(version=version, state="installed")
        for name, version in rows
        if name != "gpg-pubkey"
    }


def _rpm(place: Place, *words: str) -> list[str]:
    """rpm, only reading a place's database."""
    database = f"_dbpath {place.target.distribution.rpmdb}"
    return guest.looking(place.root, "rpm", "--root", place.root, "--define", database, *words)


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


def config_text(place: Place, known: Sequence[Known], session: Path) -> str:
    """dnf's configuration for a place (dnf.conf(5)): all it downloads is kept in `session`; the
    sources are the repositories', the mirrors of targets.toml, and the root's own where that
    names none."""
    own = "" if place.target.distribution.mirrors else place.root / "etc/yum.repos.d"
    # dnf puts the root's path before the next two, but only when they come from a file.
    seen = session if place.root == guest.HOST else guest.SESSION
    head = f"[main]\nreposdir={own}\ncachedir={seen / 'cache'}\nlogdir={seen / 'log'}\n"
    mirrors = [
        _repo_text(mirror.name, mirror.url, mirror.key, priority=99)
        for mirror in place.target.distribution.mirrors
        if isinstance(mirror, RpmMirror)
    ]
    ours = [
        _repo_text(
            f"opd-{entry.repository.name}",
            entry.url(source.path),
            _key_file(session, entry).as_uri(),
            priority=50,
        )
        for entry in known
        if (source := entry.index.sources.get(place.target.name))
    ]
    return "\n".join([head, *mirrors, *ours])


def _key_file(session: Path, known: Known) -> Path:
    return session / "keys" / f"{known.repository.name}.asc"


def _repo_text(name: str, url: str, key: str, *, priority: int) -> str:
    """The section of a repository, with signatures of packages and of metadata checked."""
    return (
        f"[{name}]\nname={name}\nbaseurl={url}\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n"
        f"gpgkey={key}\npriority={priority}\n"
    )
