# SPDX-License-Identifier: GPL-2.0-or-later
"""zypper as the installer of a SUSE-like root: this machine's zypper, working on the root, with
further sources added for the time of the transaction."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from opkg.errors import CommandError, OpkgError
from opkg.native import guest, rpmdb
from opkg.native.installer import Installer, Step, Wanted
from opkg.native.system import HOST, within
from opkg.run import Completed, run
from opkg.target import RpmMirror

# Of its exit statuses (zypper(8), EXIT CODES) those that mean that all was done: nothing to say,
# and that a reboot, or a restart of zypper, is advised. 107, a failed script, is none of them.
_DONE = (0, 102, 103)
# Nothing is installed before all is there; an older version is taken where it is named.
_SAFELY = ("--download-in-advance", "--allow-downgrade")


class Zypper(Installer):
    """See `Installer`."""

    def refresh(self) -> None:
        self._write_sources()
        self._run("refresh", "--force")

    def install(self, packages: Sequence[Wanted]) -> None:
        self._run("install", *_SAFELY, *_words(packages))

    def plan(self, packages: Sequence[Wanted]) -> list[Step]:
        return self._simulate("install", "--allow-downgrade", *_words(packages))

    def plan_removal(self, names: Sequence[str]) -> list[Step]:
        return self._simulate("remove", "--clean-deps", *names)

    def fetch_installed(self, names: Sequence[str]) -> None:
        self._run("install", "--force", "--download-only", *names)

    def files(self) -> dict[tuple[str, str], Path]:
        return rpmdb.files(self.session.glob("packages/**/*.rpm"))

    def restore(self, files: Sequence[Path], names: Sequence[str]) -> None:
        if files:
            self._run("install", *_SAFELY, "--oldpackage", *map(str, files))
        if names:
            self._run("remove", "--no-clean-deps", *names)

    def check_removal(self, names: Sequence[str]) -> None:
        run(rpmdb.looking(self.system, "--erase", "--test", *names), on_line=self.say)

    def remove(self, names: Sequence[str]) -> None:
        self._run("remove", "--clean-deps", *names)

    def _simulate(self, *words: str) -> list[Step]:
        """What zypper would do, as it tells it in XML."""
        command, *more = words
        output = self._run(command, "--dry-run", *more, xml=True).stdout
        return list(steps(output))

    def _run(self, *words: str, xml: bool = False) -> Completed:
        self._write_sources()
        argv = guest.beside(
            self.system.root,
            *options(self.system.root, self.session),
            *(["--xmlout"] if xml else []),
            *words,
            env={"HOME": str(self.session), "LC_ALL": "C.UTF-8", **self.env},
            binds={guest.SESSION: self.session},
        )
        self.say("$ " + shlex.join(argv))
        done = run(argv, on_line=self.say, check=False)
        if done.status not in _DONE:
            raise CommandError(
                f"zypper failed in {self.system.name} with exit status {done.status}",
                argv=argv,
                output=done.stdout,
            )
        return done

    def _write_sources(self) -> None:
        """The root's own sources where targets.toml names no mirrors, else those; and the added
        ones. zypper would take any key that a repository offers, if it were told not to ask: so
        the keys come into rpm's database beforehand, and others are refused."""
        macros = f"%_dbpath {self.system.target.distribution.rpmdb}\n"
        folder, keys = self.session / "repos.d", self.session / "keys"
        shutil.rmtree(folder, ignore_errors=True)
        for each in (folder, keys):
            each.mkdir(parents=True, exist_ok=True)
        (self.session / ".rpmmacros").write_text(macros)
        mirrors = self.system.target.distribution.mirrors
        own = within(self.system.root, "etc/zypp/repos.d")
        for path in own.glob("*.repo") if own.is_dir() and not mirrors else ():
            shutil.copy(path, folder / path.name)
        for mirror in mirrors:
            if isinstance(mirror, RpmMirror):
                text = repo_text(mirror.name, mirror.url, priority=99)
                (folder / f"{mirror.name}.repo").write_text(text)
                self._import(_key_path(mirror))
        for source in self.sources:
            text = repo_text(source.name, source.url, priority=50, signed=not source.local)
            (folder / f"{source.name}.repo").write_text(text)
            if source.local:
                continue
            key = keys / f"{source.name}.asc"
            key.write_text("\n".join(source.keys))
            self._import(key)

    def _import(self, key: Path) -> None:
        database = f"_dbpath {self.system.target.distribution.rpmdb}"
        within(self.system.root, database.split()[1]).mkdir(parents=True, exist_ok=True)
        run(["rpm", "--root", self.system.root, "--define", database, "--import", key])


def _words(packages: Sequence[Wanted]) -> list[str]:
    return [f"{p.name}={p.version}" if p.version else p.name for p in packages]


def _key_path(mirror: RpmMirror) -> Path:
    """The key of a mirror, a file of this machine. Raises OpkgError where it is none."""
    path = Path(unquote(urlsplit(mirror.key).path))
    if mirror.key.startswith(("http:", "https:")) or not path.is_file():
        raise OpkgError(
            f"the key of the mirror {mirror.name} is no file here: {mirror.key}",
            hint="for zypper, fetch the key, check it, and name its path in targets.toml",
        )
    return path


def options(root: Path, session: Path) -> list[str]:
    """zypper and its options for a root: it asks nothing, takes no key by itself, and keeps all it
    downloads in `session`."""
    return [
        "zypper",
        "--non-interactive",
        *([] if root == HOST else ["--root", str(root)]),
        f"--reposd-dir={session / 'repos.d'}",
        f"--cache-dir={session / 'cache'}",
        f"--pkg-cache-dir={session / 'packages'}",
    ]


def repo_text(name: str, url: str, *, priority: int, signed: bool = True) -> str:
    """The file of a repository, with signatures of packages and of metadata checked where it is
    `signed`."""
    check = int(signed)
    return (
        f"[{name}]\nname={name}\nbaseurl={url}\nenabled=1\nautorefresh=0\ntype=rpm-md\n"
        f"gpgcheck={check}\nrepo_gpgcheck={check}\npkg_gpgcheck={check}\n"
        f"keeppackages=1\npriority={priority}\n"
    )


def steps(output: str) -> Iterator[Step]:
    """The steps of zypper's summary in XML; further text may stand around it."""
    start = output.find("<install-summary")
    if start < 0:
        return
    end = output.index("</install-summary>") + len("</install-summary>")
    for group in ET.fromstring(output[start:end]):  # noqa: S314 (zypper's own words)
        for each in group.iter("solvable"):
            name, edition = each.get("name", ""), each.get("edition", "")
            if group.tag == "to-remove":
                yield Step(name=name, before=edition, after="")
            else:
                yield Step(name=name, before=each.get("edition-old", ""), after=edition)
