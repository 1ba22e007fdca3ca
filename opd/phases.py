# SPDX-License-Identifier: GPL-2.0-or-later
"""Phases: the moments of a cluster's installation at which API scripts run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from opd import guest
from opd.oda import ScriptRun, now
from opd.place import Place
from opkg.errors import CommandError
from opkg.resolve import PACKAGES_DIR, TESTING_DIR
from opkg.run import run

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase and the scripts that belong to it, the current name first; every one that exists
    runs."""

    name: str
    scripts: tuple[str, ...]


SETUP = Phase(name="setup", scripts=("api-post-install", "setup"))
POST_SERVER_INSTALL = Phase(
    name="post_server_install",
    scripts=("server-post-install", "post_server_install", "post_server_rpm_install"),
)
# Runs in the image.
POST_RPM_INSTALL = Phase(
    name="post_rpm_install",
    scripts=("client-post-install", "post_client_rpm_install", "post_rpm_install"),
)
# Runs on the headnode, with the image's root as its argument.
POST_RPM_NOCHROOT = Phase(name="post_rpm_nochroot", scripts=("api-post-image", "post_rpm_nochroot"))


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs phases in a place, and hands each script's run to `record`. `subject` names the place
    that the phase is about, where a script of the headnode works on an image."""

    transaction: int
    place: Place
    say: Say
    log: Say
    record: Callable[[ScriptRun], None]
    subject: str = ""

    def run(self, phase: Phase, opkg: str, version: str, *, arguments: Sequence[Path] = ()) -> None:
        """Run a phase's scripts of an OPKG. `arguments` are folders; a script sees them at the
        same paths. Raises CommandError at the first that fails; the phase can be run again."""
        home = PurePosixPath(PACKAGES_DIR, opkg)
        for script in phase.scripts:
            if (self.place.root / str(home / script).lstrip("/")).is_file():
                about = self.subject or self.place.name
                self.say(f"{about}: {opkg}: {script}")
                entry = ScriptRun(
                    transaction_id=self.transaction,
                    place=about,
                    opkg=opkg,
                    version=version,
                    phase=phase.name,
                    script=script,
                    started=now(),
                )
                self._run(entry, home / script, arguments)

    def _run(self, entry: ScriptRun, script: PurePosixPath, arguments: Sequence[Path]) -> None:
        argv = guest.inside(
            self.place.root,
            str(script),
            *arguments,
            env=environment(script.parent),
            binds={path: path for path in arguments},
        )
        lines: list[str] = []

        def follow(line: str) -> None:
            lines.append(line)
            self.log(line)

        entry.status = 1
        try:
            with guest.no_services(self.place.root):
                run(argv, on_line=follow)
            entry.status = 0
        except CommandError as error:
            error.message = f"{entry.script} of {entry.opkg} failed in {entry.place}"
            error.hint = "mend the cause, then give the same command again: the script is repeated"
            raise
        finally:
            entry.output = "\n".join(lines)
            self.record(entry)


def environment(home: PurePosixPath) -> dict[str, str]:
    """What OSCAR promises a script, beside PATH and HOME."""
    return {
        "OSCAR_HOME": "",
        "OSCAR_PACKAGE_HOME": str(home),
        "OSCAR_PACKAGE": PACKAGES_DIR,
        "OSCAR_TEST": TESTING_DIR,
        "OSCAR_VERBOSE": "1",
    }
