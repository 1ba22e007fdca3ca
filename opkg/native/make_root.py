# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a root file system of a target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opkg.errors import OpkgError
from opkg.native import apt_settings, guest
from opkg.native.choose import installer_of
from opkg.native.installer import Say, Wanted
from opkg.native.system import System
from opkg.run import run
from opkg.target import Family, Target

# Without it, where /usr is merged, the package usrmerge does that, and brings all of Perl along.
_MERGED_USR = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"


def make_root(system: System, packages: Sequence[str] = (), *, session: Path, say: Say) -> None:
    """Make a root of the system's target at its path, where nothing or an empty folder is: the
    distribution's essential packages, those of `base` in targets.toml, and `packages`.

    They come from the mirrors of targets.toml; for deb, where that names none, from those of this
    machine's apt. `session` is a folder for what is downloaded. Of deb targets a path that ends
    in .tar becomes a tarball. Raises CommandError, or OpkgError where there is no mirror.
    """
    session.mkdir(parents=True, exist_ok=True)
    distribution = system.target.distribution
    if system.target.family is Family.DEB:
        words = mmdebstrap(system.target, packages, system.root)
        words.append("--verbose")  # a line for each package, for a person on a slow link
        run(
            guest.alone(*words, distribution.suite, system.root, *mirrors(system.target)),
            # Its work goes with ours if we are killed.
            env={"TMPDIR": str(session)},
            on_line=say,
            hint="can this machine's apt reach its mirrors? try: apt-get update",
        )
        return
    if not distribution.mirrors:
        platform = system.target.platform
        raise OpkgError(
            f"targets.toml names no mirror for {platform}",
            hint=f'add mirrors to [distributions."{platform}"] in /etc/oscar/targets.toml',
        )
    # Something is mounted there while packages come, so that none can set its mode.
    temporary = system.root / "tmp"
    temporary.mkdir(parents=True)
    temporary.chmod(0o1777)
    installer = installer_of(system)(system=system, session=session, say=say)
    installer.refresh()
    installer.install([Wanted(name=name) for name in [*distribution.base, *packages]])


def mmdebstrap(target: Target, packages: Sequence[str], path: Path) -> list[str]:
    """mmdebstrap's options for a root. It takes over nothing of this machine's apt by itself."""
    include = ",".join(sorted({*target.distribution.base, *packages}))
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--format={'tar' if path.suffix == '.tar' else 'directory'}",
        f"--hook-dir={_MERGED_USR}",
        *([f"--include={include}"] if include else []),
        *(f"--aptopt={option}" for option in apt_settings.fetch_options()),
        *([] if target.is_native else [f"--architectures={target.native_architecture}"]),
    ]


def mirrors(target: Target) -> tuple[str, ...]:
    """Where the packages of a deb target come from, as lines of sources.list(5); none means what
    mmdebstrap knows of the suite."""
    listed = tuple(str(mirror) for mirror in target.distribution.mirrors)
    return listed or apt_settings.mirrors(target.distribution.suite, target.distribution.keyring)
