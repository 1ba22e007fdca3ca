# SPDX-License-Identifier: GPL-2.0-or-later
"""Phases: the moments of a cluster's installation at which API scripts run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

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

# Around the questions that an OPKG asks.
PRE_CONFIGURE = Phase(name="pre_configure", scripts=("api-pre-configure", "pre_configure"))
POST_CONFIGURE = Phase(name="post_configure", scripts=("api-post-configure", "post_configure"))
# When the nodes are defined, and when they run.
POST_CLIENTS = Phase(name="post_clients", scripts=("api-post-clientdef", "post_clients"))
POST_INSTALL = Phase(name="post_install", scripts=("api-post-deploy", "post_install"))

_AGAIN = "mend the cause, then give the same command again: the script is repeated"


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs phases in a place, and hands each script's run to `record`. Where the headnode's scripts
    are to work on an image, `image` is the image's name and root, which they get as argument.
    `inputs` is the digest of what the scripts read, where they are to run again when that is
    another. They see the folders `binds` at their own paths, and have `env` beside what every
    script gets."""

    transaction: int
    place: Place
    say: Say
    log: Say
    record: Callable[[ScriptRun], None]
    image: tuple[str, Path] | None = None
    inputs: str = ""
    binds: Sequence[Path] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, phase: Phase, opkg: str, version: str) -> None:
        """Run a phase's scripts of an OPKG. Raises CommandError at the first that fails; the phase
        can be run again."""
        # A script sees the image at the path that it has on this machine.
        arguments = [self.image[1]] if self.image else []
        for script in scripts(self.place, phase, opkg):
            entry = self.entry(phase.name, opkg, version, script.name)
            self.execute(entry, [script, *arguments], binds=arguments)

    def entry(self, phase: str, opkg: str, version: str, script: str) -> ScriptRun:
        """The record of a run that begins now."""
        return ScriptRun(
            transaction_id=self.transaction,
            place=self.image[0] if self.image else self.place.name,
            opkg=opkg,
            version=version,
            phase=phase,
            script=script,
            started=now(),
            inputs=self.inputs,
        )

    def execute(
        self,
        entry: ScriptRun,
        argv: Sequence[str | PurePath],
        *,
        env: Mapping[str, str] | None = None,
        binds: Sequence[Path] = (),
        hint: str = _AGAIN,
    ) -> None:
        """Run a script of an OPKG, or a program with it, and record it. `env` and `binds` come
        beside those of the runner. Raises CommandError."""
        root, seen = self.place.root, [*binds, *self.binds]
        command = guest.inside(
            root,
            *map(str, argv),
            env={**environment(self.place, entry.opkg), **self.env, **(env or {})},
            binds={path: path for path in seen},
        )
        lines: list[str] = []

        def follow(line: str) -> None:
            lines.append(line)
            self.log(line)

        self.say(f"{entry.place}: {entry.opkg}: {entry.script}")
        self.log("$ " + shlex.join(command))
        entry.status = 1
        try:
            with guest.mount_points(root, seen):
                run(command, on_line=follow)
            entry.status = 0
        except CommandError as error:
            error.message = f"{entry.script} of {entry.opkg} failed in {entry.place}"
            error.hint = hint
            raise
        finally:
            entry.output = "\n".join(lines)
            self.record(entry)


def scripts(place: Place, phase: Phase, opkg: str) -> list[PurePosixPath]:
    """The paths, in a place's root, of the scripts that an installed OPKG has for a phase."""
    paths = [PurePosixPath(PACKAGES_DIR, opkg, script) for script in phase.scripts]
    return [path for path in paths if within(place.root, path).is_file()]


def environment(place: Place, opkg: str) -> dict[str, str]:
    """What OSCAR promises a script, beside PATH and HOME."""
    interface = internal_interface(place)
    return {
        "OSCAR_HOME": "",
        "OSCAR_PACKAGE_HOME": f"{PACKAGES_DIR}/{opkg}",
        "OSCAR_PACKAGE": PACKAGES_DIR,
        "OSCAR_TEST": TESTING_DIR,
        "OSCAR_VERBOSE": "1",
        **({"OSCAR_HEAD_INTERNAL_INTERFACE": interface} if interface else {}),
    }


def internal_interface(place: Place) -> str:
    """The network interface through which a headnode reaches its nodes, as its
    /etc/oscar/oscar.conf has it (`OSCAR_NETWORK_INTERFACE = eth1`); “” where it does not."""
    path = within(place.root, "/etc/oscar/oscar.conf")
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    pairs = [line.partition("=") for line in lines]
    values = {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
    return values.get("OSCAR_NETWORK_INTERFACE", "")
