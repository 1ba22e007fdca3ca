# SPDX-License-Identifier: GPL-2.0-or-later
"""What the archive of a Debian-like target holds, by apt: lists of its own, nothing installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from opkg.errors import OpkgError
from opkg.native import apt_settings
from opkg.native.make_root import mirrors
from opkg.run import run
from opkg.target import Target, known_targets
from opkg.version import holds

__all__ = ["holds", "offered"]

# "name version (= provided version)", of a package that provides another one.
_PROVIDED = re.compile(r"\S+ \S+ \(= ?([^)]*)\)")


def offered(target: Target, names: Sequence[str], cache: Path) -> dict[str, tuple[str, ...]]:
    """The versions of each name that can be installed on a target; "" for a package that another
    one provides without a version. Lists are kept in `cache`, and brought up to date.

    Raises OpkgError where no mirror is known, and CommandError where none can be reached.
    """
    sources = cache / "sources.list"
    sources.write_text("\n".join(_sources(target)) + "\n")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    (cache / "status").touch()
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": cache / "state",
        "Dir::State::Status": cache / "status",
        "Dir::Cache": cache / "cache",
        "APT::Architecture": target.native_architecture,
        "APT::Architectures": target.native_architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
    }
    options = [f"--option={key}={value}" for key, value in settings.items()]
    run(["apt-get", *options, "update", "--error-on=any"], hint="is the mirror within reach?")
    return _read(run(["apt-cache", *options, "showpkg", "--", *names]).stdout)


def _sources(target: Target) -> tuple[str, ...]:
    """Lines of sources.list(5): the mirrors of the target; or this machine's own of another
    release, which the distribution's archive holds side by side."""
    if lines := mirrors(target):
        return lines
    suite, keyring = target.distribution.suite, target.distribution.keyring
    for other in known_targets().distributions.values():
        if keyring and other.keyring == keyring:
            lines = apt_settings.mirrors(other.suite, keyring)
            if lines:
                return tuple(re.sub(rf"\b{other.suite}\b", suite, line) for line in lines)
    raise OpkgError(
        "no mirror is named, and this machine's apt has none of the distribution",
        hint=f'add mirrors to [distributions."{target.platform}"] in /etc/oscar/targets.toml',
    )


def _read(shown: str) -> dict[str, tuple[str, ...]]:
    """What `apt-cache showpkg` says."""
    result: dict[str, tuple[str, ...]] = {}
    for block in re.split(r"^Package: ", shown, flags=re.MULTILINE)[1:]:
        name, _, rest = block.partition("\n")
        own, _, rest = rest.partition("Reverse Depends:")
        provided = _PROVIDED.findall(rest.partition("Reverse Provides:")[2])
        versions = [line.split(" (")[0] for line in own.splitlines()[1:] if line[:1].isdigit()]
        result[name.strip()] = tuple(dict.fromkeys([*versions, *provided]))
    return result
