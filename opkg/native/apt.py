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
from urllib.parse import unquote

from opkg.errors import CommandError
from opkg.native import guest
from opkg.native.installer import Installed, Installer, PackageSource, Step, Wanted
from opkg.native.system import HOST, System, within
from opkg.run import run

_ENV = {"DEBIAN_FRONTEND": "noninteractive"}
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
# As apt-get --simulate tells it (apt-get(8)): Inst name [before] (after …), Remv name [before].
_INST = re.compile(r"Inst (\S+)(?: \[(\S+)\])? \((\S+) ")
_REMV = re.compile(r"(?:Remv|Purg) (\S+) \[(\S+)\]")
_QUERY = "${Package}\t${Version}\t${db:Status-Status}\n"
_SIZE = re.compile(r"^Installed-Size: (\d+)", re.MULTILINE)  # in KiB


class Apt(Installer):
    """See `Installer`."""

    def refresh(self) -> None:
        self._end_what_broke_off()
        self._apt("update", "--error-on=any")

    def _end_what_broke_off(self) -> None:
        """Let dpkg finish, where it was killed or its disk was full: apt does nothing before."""
        left = within(self.system.root, "var/lib/dpkg/updates").glob("*")
        if any(path.name.isdigit() for path in left):  # as apt looks for them
            argv = ("dpkg", "--force-confold", "--configure", "--pending")
            run(guest.inside(self.system.root, *argv, env={**_ENV, **self.env}), on_line=self.say)

    def install(self, packages: Sequence[Wanted]) -> None:
        words = [f"{p.name}={p.version}" if p.version else p.name for p in packages]
        self._apt("install", "--no-remove", *words)

    def plan(self, packages: Sequence[Wanted]) -> list[Step]:
        words = [f"{p.name}={p.version}" if p.version else p.name for p in packages]
        return _steps(self._apt("install", "--simulate", "--no-remove", *words))

    def _growth(self, steps: Sequence[Step], files: Sequence[Path]) -> int:
        coming = [f"{step.name}={step.after}" for step in steps if step.after]
        going = [step.name for step in steps if step.before]
        query = ("dpkg-query", "-W", "-f", "Installed-Size: ${Installed-Size}\n")
        if files:
            told = [_sizes(["dpkg-deb", "--info", str(path), "control"]) for path in files]
            new = [size for sizes in told for size in sizes]
        else:
            new = _sizes(self._argv("apt-cache", "show", *coming)) if coming else []
        old = _sizes(guest.inside(self.system.root, *query, *going)) if going else []
        # Of the largest, too: its old files are there until all the new ones are.
        return max(0, sum(new) - sum(old) + max(new, default=0))

    def plan_removal(self, names: Sequence[str]) -> list[Step]:
        gone = _steps(self._apt("purge", "--simulate", *names))
        with_rest = _steps(self._apt("purge", "--simulate", "--autoremove", *names))
        before = self._superfluous()
        return gone + [step for step in with_rest if step not in gone and step.name not in before]

    def fetch_installed(self, names: Sequence[str]) -> None:
        self._apt("install", "--reinstall", "--download-only", *names)

    def files(self) -> dict[tuple[str, str], Path]:
        found = {}
        for path in self.session.glob("cache/archives/*.deb"):
            name, version, _ = unquote(path.stem).split("_")
            found[name, version] = path
        return found

    def restore(self, files: Sequence[Path], names: Sequence[str]) -> None:
        if files:
            # apt's own order of things; its lists are not asked, and need not be there.
            seen = [self._put(path, f"{number}.deb") for number, path in enumerate(files)]
            self._apt("install", "--no-remove", "--allow-downgrades", *seen)
        if names:
            self.check_removal(names)
            self._apt("purge", *names)

    def _put(self, path: Path, name: str) -> str:
        """Let the root see a file of this machine; where it does."""
        folder = self.session / "files"
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder / name)
        return str(self._seen / "files" / name)

    @property
    def _seen(self) -> Path:
        """The session as the root sees it."""
        return self.session if self.system.root == HOST else guest.SESSION

    def check_removal(self, names: Sequence[str]) -> None:
        # It would note a simulation in its log too.
        dry_run = ("dpkg", "--log=/dev/null", "--simulate", "--purge", *names)
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

    def _apt(self, command: str, *words: str) -> str:
        """Run apt-get; what it printed."""
        self._write_sources()
        argv = self._argv("apt-get", command, "--yes", *words)
        self.say("$ " + shlex.join(argv))
        try:
            return run(argv, on_line=self.say).stdout
        except CommandError as error:
            error.message = f"apt-get {command} failed in {self.system.name}"
            error.hint = ""
            raise

    def _argv(self, program: str, *words: str) -> list[str]:
        """The command line of one of apt's programs, which knows the session and its sources."""
        proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
        return guest.inside(
            self.system.root,
            program,
            *options(self._seen),
            *words,
            env={**_ENV, **proxies, **self.env},
            binds={guest.SESSION: self.session},
        )

    def _write_sources(self) -> None:
        """The root's own sources, and those that are added."""
        folder = self.session / "sources.list.d"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # apt would take a list that came damaged for one that it need not fetch again.
        shutil.rmtree(self.session / "lists/partial", ignore_errors=True)
        for name in ("lists/partial", "cache/archives/partial"):
            (self.session / name).mkdir(parents=True, exist_ok=True)
        own = within(self.system.root, "etc/apt/sources.list.d")
        for path in own.iterdir() if own.is_dir() else ():
            end = within(self.system.root, path.relative_to(self.system.root))
            if end.is_file():
                shutil.copy(end, folder / path.name)
        for source in self.sources:
            (folder / f"{source.name}.sources").write_text(source_text(source))


def _steps(output: str) -> list[Step]:
    """The steps of a simulation."""
    steps = {}
    for line in output.splitlines():
        if match := _INST.match(line):
            steps[match[1]] = Step(name=match[1], before=match[2] or "", after=match[3])
        elif match := _REMV.match(line):
            steps[match[1]] = Step(name=match[1], before=match[2], after="")
    return list(steps.values())


def _sizes(argv: Sequence[str]) -> list[int]:
    """The installed sizes that a program tells, in bytes."""
    return [int(size) << 10 for size in _SIZE.findall(run(argv).stdout)]


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
    if source.local:
        return f"Types: deb\nURIs: {source.url}\nSuites: {source.suite}\nTrusted: yes\n"
    lines = "\n".join(source.keys).strip().splitlines()
    keys = "\n".join(f" {line}" if line.strip() else " ." for line in lines)
    return (
        f"Types: deb\nURIs: {source.url}\nSuites: {source.suite}\n"
        # Whatever the root's own settings let pass.
        "Check-Date: yes\nCheck-Valid-Until: yes\nAllow-Insecure: no\n"
        f"Components: {source.component}\nSigned-By:\n{keys}\n"
    )
