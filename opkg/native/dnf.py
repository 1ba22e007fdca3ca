# SPDX-License-Identifier: GPL-2.0-or-later
"""dnf as the installer of a Red Hat-like root: this machine's dnf, working on the root, with
further sources added for the time of the transaction."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from opkg.errors import CommandError
from opkg.native import guest, rpmdb
from opkg.native.installer import Installed, Installer, PackageSource, Step, Wanted
from opkg.native.system import HOST, System
from opkg.run import TAIL, run
from opkg.target import RpmMirror

# dnf's exit status is 0 when a package's script failed; it only says so.
_SCRIPT_FAILED = re.compile(r"%\w+\(.*\) scriptlet failed")


_STOPPED = "Operation aborted."
# A row of the table of steps: name, architecture, version, repository, size; then perhaps a unit.
_FIELDS = 5


class Dnf(Installer):
    """See `Installer`."""

    def refresh(self) -> None:
        # Now, since it takes a new key for its own only where it may say yes for us.
        self._dnf("--refresh", "makecache")

    def install(self, packages: Sequence[Wanted]) -> None:
        words = [f"{p.name}-{p.version}" if p.version else p.name for p in packages]
        self._dnf("install", *words)

    def plan(self, packages: Sequence[Wanted]) -> list[Step]:
        words = [f"{p.name}-{p.version}" if p.version else p.name for p in packages]
        return self._simulate("install", *words)

    def plan_removal(self, names: Sequence[str]) -> list[Step]:
        return self._simulate("remove", *names)

    def fetch_installed(self, names: Sequence[str]) -> None:
        self._dnf("--downloadonly", "reinstall", *names)

    def files(self) -> dict[tuple[str, str], Path]:
        return rpmdb.files(self.session.glob("cache/*/packages/*.rpm"))

    def restore(self, files: Sequence[Path], names: Sequence[str]) -> None:
        there = rpmdb.packages(self.system)
        known = {path: name for (name, _), path in rpmdb.files(files).items()}
        back = [str(path) for path in files if known[path] in there]
        again = [str(path) for path in files if known[path] not in there]
        if back:
            self._dnf("downgrade", *back)
        if again:
            self._dnf("install", *again)
        if names:
            self._dnf("remove", "--noautoremove", *names)

    def _simulate(self, *words: str) -> list[Step]:
        """What dnf would do, out of the table that it prints before it would ask."""
        self._write_sources()
        argv = self._argv("--assumeno", *words)
        done = run(argv, on_line=self.say, check=False)
        # Its exit status does not tell that it was told not to go on from that it could not.
        if done.status != 0 and _STOPPED not in done.stdout:
            raise CommandError(
                f"dnf failed in {self.system.name}",
                argv=argv,
                output="\n".join(done.stdout.splitlines()[-TAIL:]),
            )
        return steps(done.stdout, rpmdb.packages(self.system))

    def check_removal(self, names: Sequence[str]) -> None:
        run(rpmdb.looking(self.system, "--erase", "--test", *names), on_line=self.say)

    def remove(self, names: Sequence[str]) -> None:
        self._dnf("remove", *names)

    def _argv(self, *words: str) -> list[str]:
        return guest.beside(
            self.system.root,
            "dnf",
            *options(self.system, self.session),
            *words,
            env={"HOME": str(self.session), "LC_ALL": "C.UTF-8", **self.env},
            binds={guest.SESSION: self.session},
        )

    def _dnf(self, *words: str) -> None:
        self._write_sources()
        argv = self._argv("--assumeyes", *words)
        self.say("$ " + shlex.join(argv))
        try:
            output = run(argv, on_line=self.say).stdout
        except CommandError as error:
            error.message = f"dnf failed in {self.system.name}"
            error.hint = ""
            raise
        failed = _SCRIPT_FAILED.search(output)
        if failed:
            raise CommandError(
                f"a package's own script failed in {self.system.name}: {failed.group()}",
                argv=argv,
                output="\n".join(output.splitlines()[-TAIL:]),
            )

    def _write_sources(self) -> None:
        for folder in ("keys", "log"):
            (self.session / folder).mkdir(parents=True, exist_ok=True)
        for source in self.sources:
            if not source.local:
                _key_file(self.session, source).write_text("\n".join(source.keys))
        text = config_text(self.system, self.sources, self.session)
        (self.session / "dnf.conf").write_text(text)
        # Debian's rpm would keep the database in the home folder.
        macros = f"%_dbpath {self.system.target.distribution.rpmdb}\n"
        (self.session / ".rpmmacros").write_text(macros)


def steps(output: str, there: Mapping[str, Installed]) -> list[Step]:
    """The steps in the table that dnf prints; long names have a line of their own in it."""
    _, _, table = output.partition("Dependencies resolved.")
    found, words, removing = [], list[str](), False
    for line in table.partition("Transaction Summary")[0].splitlines():
        if line.endswith(":") and not line.startswith(" "):
            removing = line.startswith("Removing")
        elif line.startswith(" ") and "replacing" not in line and " Package " not in line:
            words += line.split()
            if len(words) >= _FIELDS:
                name, _, version, *_ = words
                before = there[name].version if name in there else ""
                found.append(Step(name=name, before=before, after="" if removing else version))
                words = []
    return found


def options(system: System, session: Path) -> list[str]:
    """dnf's options for a root."""
    words = [
        "--config",
        str(session / "dnf.conf"),
        f"--releasever={system.target.distribution.suite}",
    ]
    if system.root != HOST:
        arch = system.target.native_architecture
        words += ["--installroot", str(system.root), "--forcearch", arch]
    return words


def config_text(system: System, sources: Sequence[PackageSource], session: Path) -> str:
    """dnf's configuration for a root (dnf.conf(5)): all it downloads is kept in `session`; beside
    `sources` it knows the mirrors of targets.toml, or the root's own where that names none."""
    own = "" if system.target.distribution.mirrors else system.root / "etc/yum.repos.d"
    # dnf puts the root's path before the next two, but only when they come from a file.
    seen = session if system.root == HOST else guest.SESSION
    # What was downloaded may be wanted again (`files`).
    folders = f"cachedir={seen / 'cache'}\nkeepcache=1\nlogdir={seen / 'log'}\n"
    head = f"[main]\nreposdir={own}\n{folders}"
    mirrors = [
        _repo_text(mirror.name, mirror.url, mirror.key, priority=99)
        for mirror in system.target.distribution.mirrors
        if isinstance(mirror, RpmMirror)
    ]
    added = [
        _repo_text(
            source.name,
            source.url,
            None if source.local else _key_file(session, source).as_uri(),
            priority=50,
        )
        for source in sources
    ]
    return "\n".join([head, *mirrors, *added])


def _key_file(session: Path, source: PackageSource) -> Path:
    return session / "keys" / f"{source.name}.asc"


def _repo_text(name: str, url: str, key: str | None, *, priority: int) -> str:
    """The section of a repository, with signatures of packages and of metadata checked; `key` is
    None of one without."""
    signed = f"gpgcheck=1\nrepo_gpgcheck=1\ngpgkey={key}\n"
    checks = "gpgcheck=0\nrepo_gpgcheck=0\n" if key is None else signed
    return f"[{name}]\nname={name}\nbaseurl={url}\nenabled=1\n{checks}priority={priority}\n"
