# SPDX-License-Identifier: GPL-2.0-or-later
"""What the archive of an RPM target holds, by dnf: nothing is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rpm

from opkg.errors import OpkgError
from opkg.run import run
from opkg.target import RpmMirror, Target


def offered(target: Target, names: Sequence[str], cache: Path) -> dict[str, tuple[str, ...]]:
    """The versions of each name that can be installed on a target; "" for what is provided
    without a version. What is downloaded is kept in `cache`, and brought up to date.

    Raises OpkgError where no mirror is named, and CommandError where none can be reached.
    """
    mirrors = [each for each in target.distribution.mirrors if isinstance(each, RpmMirror)]
    if not mirrors:
        raise OpkgError(
            "no mirror is named",
            hint=f'add mirrors to [distributions."{target.platform}"] in /etc/oscar/targets.toml',
        )
    sections = [f"[main]\nreposdir=\ncachedir={cache / 'cache'}\nlogdir={cache / 'log'}\n"]
    sections += [
        f"[{mirror.name}]\nname={mirror.name}\nbaseurl={mirror.url}\n"
        "enabled=1\nskip_if_unavailable=0\nmetadata_expire=1\n"
        for mirror in mirrors
    ]
    config = cache / "dnf.conf"
    config.write_text("\n".join(sections))
    options = [f"--config={config}", f"--releasever={target.distribution.suite}"]
    options += [f"--forcearch={target.native_architecture}", "--queryformat=%{provides}"]
    options += [f"--whatprovides={name}" for name in names]
    shown = run(
        ["dnf", "--quiet", "repoquery", *options], hint="is the mirror within reach?"
    ).stdout
    result: dict[str, dict[str, None]] = {}
    for line in shown.splitlines():
        name, _, version = line.strip().partition(" = ")
        result.setdefault(name, {})[version] = None
    return {name: tuple(result[name]) for name in names if name in result}


def holds(version: str, relation: str, bound: str) -> bool:
    """Whether a version keeps to a bound, by RPM's order; a bound without a release speaks of the
    version alone."""
    ours, theirs = _label(version), _label(bound)
    if not theirs[2]:
        ours = (*ours[:2], "")
    order = rpm.labelCompare(ours, theirs)
    return order in {"=": (0,), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[relation]


def _label(text: str) -> tuple[str, str, str]:
    epoch, colon, rest = text.rpartition(":")
    version, _, release = rest.partition("-")
    return epoch if colon else "0", version, release
