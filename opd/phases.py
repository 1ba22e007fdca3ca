# SPDX-License-Identifier: GPL-2.0-or-later
"""Phases: the moments of a cluster's installation at which API scripts run."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from opd.oda import ScriptRun, now
from opd.place import Place
from opkg.errors import CommandError
from opkg.native import guest
from opkg.native.system import within
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
    """Runs phases in a place, and hands each script's run to `record`. Where the headnode's scripts
    are to work on an image, `image` is the image's name and root, which they get as argument."""

    transaction: int
    place: Place
    say: Say
    log: Say
    record: Callable[[ScriptRun], None]
    image: tuple[str, Path] | None = None

    def run(self, phase: Phase, opkg: str, version: str) -> None:
        """Run a phase's scripts of an OPKG. Raises CommandError at the first that fails; the phase
        can be run again."""
        about = self.image[0] if self.image else self.place.name
        for script in scripts(self.place, phase, opkg):
            self.say(f"{about}: {opkg}: {script.name}")
            entry = ScriptRun(
                transaction_id=self.transaction,
                place=about,
                opkg=opkg,
                version=version,
                phase=phase.name,
                script=script.name,
                started=now(),
            )
            self._run(entry, script)

    def _run(self, entry: ScriptRun, script: PurePosixPath) -> None:
        root = self.place.root
        # A script sees the image at the path that it has on this machine.
        arguments = [self.image[1]] if self.image else []
        argv = guest.inside(
            root,
            str(script),
            *arguments,
            env=environment(script.parent),
            binds={path: path for path in arguments},
        )
        lines: list[str] = []

        def follow(line: str) -> None:
            lines.append(line)
            self.log(line)

        self.log("$ " + shlex.join(argv))
        entry.status = 1
        try:
            with guest.mount_points(root, arguments):
                run(argv, on_line=follow)
            entry.status = 0
        except CommandError as error:
            error.message = f"{entry.script} of {entry.opkg} failed in {entry.place}"
            error.hint = "mend the cause, then give the same command again: the script is repeated"
            raise
        finally:
            entry.output = "\n".join(lines)
            self.record(entry)


def scripts(place: Place, phase: Phase, opkg: str) -> list[PurePosixPath]:
    """The paths, in a place's root, of the scripts that an installed OPKG has for a phase."""
    paths = [PurePosixPath(PACKAGES_DIR, opkg, script) for script in phase.scripts]
    return [path for path in paths if within(place.root, path).is_file()]


def environment(home: PurePosixPath) -> dict[str, str]:
    """What OSCAR promises a script, beside PATH and HOME."""
    return {
        "OSCAR_HOME": "",
        "OSCAR_PACKAGE_HOME": str(home),
        "OSCAR_PACKAGE": PACKAGES_DIR,
        "OSCAR_TEST": TESTING_DIR,
        "OSCAR_VERBOSE": "1",
    }
