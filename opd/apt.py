# SPDX-License-Identifier: GPL-2.0-or-later
"""apt as the installer of a Debian-like place: its own apt, run in its root, with the
repositories' sources added for the time of the transaction."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from debian.deb822 import Deb822

from opd import guest
from opd.place import Installed, Place, Wanted, within
from opd.repository import Known
from opkg.errors import CommandError
from opkg.run import run

_ENV = {"DEBIAN_FRONTEND": "noninteractive", "OPD_RUNS_PHASES": "1"}
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
_QUERY = "${Package}\t${Version}\t${db:Status-Status}\n"


class Apt:
    """See `opd.native.Installer`."""

    def __init__(
        self, place: Place, known: Sequence[Known], session: Path, say: Callable[[str], None]
    ) -> None:
        self._place = place
        self._known = known
        self._session = session
        self._say = say

    def install(self, packages: Sequence[Wanted]) -> None:
        words = [f"{p.name}={p.version}" if p.version else p.name for p in packages]
        self._apt("update", "--error-on=any")
        self._apt("install", "--no-remove", *words)

    def check_removal(self, names: Sequence[str]) -> None:
        dry_run = ("dpkg", "--simulate", "--purge", *names)
        run(guest.inside(self._place.root, *dry_run), on_line=self._say)

    def remove(self, names: Sequence[str]) -> None:
        # What was superfluous before is not ours to remove.
        before = self._superfluous()
        self._apt("purge", *names)
        after = self._superfluous() - before
        if after:
            self._apt("purge", *sorted(after))

    def _superfluous(self) -> set[str]:
        """What is there only because something else needed it that is gone."""
        argv = guest.inside(self._place.root, "apt-get", "--simulate", "autoremove")
        return set(re.findall(r"^Remv (\S+)", run(argv).stdout, re.MULTILINE))

    def _apt(self, command: str, *words: str) -> None:
        self._write_sources()
        seen = self._session if self._place.root == guest.HOST else guest.SESSION
        argv = guest.inside(
            self._place.root,
            "apt-get",
            *options(seen),
            command,
            "--yes",
            *words,
            env=_ENV | {name: os.environ[name] for name in _PROXIES if name in os.environ},
            binds={guest.SESSION: self._session},
        )
        self._say("$ " + shlex.join(argv))
        try:
            run(argv, on_line=self._say)
        except CommandError as error:
            error.message = f"apt-get {command} failed in {self._place.name}"
            error.hint = ""
            raise

    def _write_sources(self) -> None:
        """The place's own sources, and those of the repositories."""
        folder = self._session / "sources.list.d"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("lists/partial", "cache/archives/partial"):
            (self._session / name).mkdir(parents=True, exist_ok=True)
        own = within(self._place.root, "etc/apt/sources.list.d")
        for path in own.iterdir() if own.is_dir() else ():
            end = within(self._place.root, path.relative_to(self._place.root))
            if end.is_file():
                shutil.copy(end, folder / path.name)
        for entry in self._known:
            text = source_text(entry, self._place.target.name)
            if text:
                (folder / f"opd-{entry.repository.name}.sources").write_text(text)


def packages(place: Place) -> dict[str, Installed]:
    """See `opd.native.packages`."""
    output = run(guest.inside(place.root, "dpkg-query", "-W", "-f", _QUERY)).stdout
    rows = (line.split("\t") for line in output.splitlines())
    return {name: Installed(version=version, state=state) for name, version, state in rows}


def options(session: Path) -> list[str]:
    """apt's options that keep all it downloads in `session`, as the root sees that."""
    settings = {
        "Dir::Etc::SourceParts": session / "sources.list.d",
        "Dir::State::Lists": session / "lists",
        "Dir::Cache": session / "cache",
        # The session is root's own; apt's usual user could not write there.
        "APT::Sandbox::User": "root",
        "Dpkg::Use-Pty": "0",
        # A configuration file that somebody changed stays as it is.
        "Dpkg::Options::": "--force-confold",
        "Acquire::Retries": "3",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def source_text(known: Known, target: str) -> str:
    """The deb822 source of a repository for a target, its key inside (sources.list(5)); empty
    where the repository has nothing for the target."""
    source = known.index.sources.get(target)
    if source is None:
        return ""
    lines = "\n".join(known.index.keys).strip().splitlines()
    key = "\n".join(f" {line}" if line.strip() else " ." for line in lines)
    return (
        f"Types: deb\nURIs: {known.url(source.path)}\nSuites: {source.suite}\n"
        f"Components: {source.component}\nSigned-By:\n{key}\n"
    )


def machine_sources(suite: str) -> list[Path]:
    """The files of this machine's apt sources that name a suite (sources.list(5))."""
    listed = Path("/etc/apt/sources.list")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    found = [listed] if any(suite in line.split("#")[0].split() for line in lines) else []
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        with path.open() as stream:
            stanzas = list(Deb822.iter_paragraphs(stream, use_apt_pkg=False))
        if any(suite in stanza.get("Suites", "").split() for stanza in stanzas):
            found.append(path)
    return found
