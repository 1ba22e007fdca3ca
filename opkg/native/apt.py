# SPDX-License-Identifier: GPL-2.0-or-later
"""apt as the installer of a Debian-like root: its own apt, run in it, with further sources added
for the time of the transaction."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from opkg.errors import CommandError
from opkg.native import guest
from opkg.native.installer import Installed, Installer, PackageSource, Wanted
from opkg.native.system import HOST, System, within
from opkg.run import run

_ENV = {"DEBIAN_FRONTEND": "noninteractive"}
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
_QUERY = "${Package}\t${Version}\t${db:Status-Status}\n"


class Apt(Installer):
    """See `Installer`."""

    def install(self, packages: Sequence[Wanted]) -> None:
        words = [f"{p.name}={p.version}" if p.version else p.name for p in packages]
        self._apt("update", "--error-on=any")
        self._apt("install", "--no-remove", *words)

    def check_removal(self, names: Sequence[str]) -> None:
        dry_run = ("dpkg", "--simulate", "--purge", *names)
        run(guest.inside(self.system.root, *dry_run), on_line=self.say)

    def remove(self, names: Sequence[str]) -> None:
        # What was superfluous before is not ours to remove.
        before = self._superfluous()
        self._apt("purge", *names)
        after = self._superfluous() - before
        if after:
            self._apt("purge", *sorted(after))

    def _superfluous(self) -> set[str]:
        """What is there only because something else needed it that is gone."""
        argv = guest.inside(self.system.root, "apt-get", "--simulate", "autoremove")
        return set(re.findall(r"^Remv (\S+)", run(argv).stdout, re.MULTILINE))

    def _apt(self, command: str, *words: str) -> None:
        self._write_sources()
        seen = self.session if self.system.root == HOST else guest.SESSION
        proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
        argv = guest.inside(
            self.system.root,
            "apt-get",
            *options(seen),
            command,
            "--yes",
            *words,
            env={**_ENV, **proxies, **self.env},
            binds={guest.SESSION: self.session},
        )
        self.say("$ " + shlex.join(argv))
        try:
            run(argv, on_line=self.say)
        except CommandError as error:
            error.message = f"apt-get {command} failed in {self.system.name}"
            error.hint = ""
            raise

    def _write_sources(self) -> None:
        """The root's own sources, and those that are added."""
        folder = self.session / "sources.list.d"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("lists/partial", "cache/archives/partial"):
            (self.session / name).mkdir(parents=True, exist_ok=True)
        own = within(self.system.root, "etc/apt/sources.list.d")
        for path in own.iterdir() if own.is_dir() else ():
            end = within(self.system.root, path.relative_to(self.system.root))
            if end.is_file():
                shutil.copy(end, folder / path.name)
        for source in self.sources:
            (folder / f"{source.name}.sources").write_text(source_text(source))


def packages(system: System) -> dict[str, Installed]:
    """See `opkg.native.choose.packages`."""
    output = run(guest.inside(system.root, "dpkg-query", "-W", "-f", _QUERY)).stdout
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


def source_text(source: PackageSource) -> str:
    """The deb822 text of a source, its keys inside (sources.list(5))."""
    lines = "\n".join(source.keys).strip().splitlines()
    keys = "\n".join(f" {line}" if line.strip() else " ." for line in lines)
    return (
        f"Types: deb\nURIs: {source.url}\nSuites: {source.suite}\n"
        f"Components: {source.component}\nSigned-By:\n{keys}\n"
    )
