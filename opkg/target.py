# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets: the distributions, releases and architectures that packages are made for.

What is known of each stands in `targets.toml`; this module only reads and looks up.
"""

from __future__ import annotations

import os
import platform
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from opkg.errors import OpkgError

SITE_TABLE = Path("/etc/oscar/targets.toml")


class Family(StrEnum):
    """The two kinds of native packages."""

    DEB = "deb"
    RPM = "rpm"


class RpmMirror(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of an RPM distribution; `key` is the URL or path of its OpenPGP key."""

    name: str
    url: str
    key: str


class Distribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of `targets.toml`; its head says what each field means."""

    family: Family
    installer: str
    compat: str
    compat_release: str
    tag: str
    suite: str
    package_compression: str
    index_compression: tuple[str, ...]
    base: tuple[str, ...] = ()
    build_base: tuple[str, ...] = ()
    kernel: str = ""
    keyring: str = ""
    rpmdb: str = "/var/lib/rpm"
    mirrors: tuple[str | RpmMirror, ...] = ()


class Architecture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each family calls one architecture, and where it keeps that one's libraries."""

    deb: str
    rpm: str
    libraries: dict[Family, str]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution's release on an architecture; `name` is its full name,
    e.g. `debian-12-x86_64`, `platform` the name without the architecture, `libraries` the folder
    of its libraries."""

    platform: str
    architecture: str
    native_architecture: str
    libraries: str
    distribution: Distribution

    @property
    def name(self) -> str:
        return f"{self.platform}-{self.architecture}"

    @property
    def family(self) -> Family:
        return self.distribution.family

    @property
    def is_native(self) -> bool:
        """Whether this machine has the target's architecture."""
        return self.architecture == platform.machine()

    @property
    def independent(self) -> str:
        """What the family calls packages that fit every architecture."""
        return "all" if self.family is Family.DEB else "noarch"

    @property
    def ordered_words(self) -> tuple[str, ...]:
        """The words that mean this target in recipes and tables of names, the most particular
        first: full name, release, distribution, its name in filters, family."""
        system = self.platform.rpartition("-")[0]
        compat = self.distribution.compat
        return (self.name, self.platform, system, compat, self.family.value)


class TargetTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of `targets.toml`."""

    architectures: dict[str, Architecture]
    distributions: dict[str, Distribution]

    def find(self, text: str) -> Target:
        """The target that `text` names: `debian-12-x86_64`; without its architecture, the
        machine's own is meant; without its release, the only one there is.
        Raises OpkgError for a name that is not in the table."""
        releases = [name for name in self.distributions if name.rpartition("-")[0] == text]
        text = releases[0] if len(releases) == 1 else text
        for name in sorted(self.distributions, key=len, reverse=True):
            if text == name or text.startswith(f"{name}-"):
                architecture = platform.machine() if text == name else text[len(name) + 1 :]
                break
        else:
            raise OpkgError(
                f"there is no target “{text}”",
                hint="known are " + ", ".join(sorted(self.distributions)),
            )
        if architecture not in self.architectures:
            raise OpkgError(
                f"the target “{text}” has an unknown architecture “{architecture}”",
                hint="known are " + ", ".join(sorted(self.architectures)),
            )
        distribution = self.distributions[name]
        spelled = self.architectures[architecture]
        return Target(
            platform=name,
            architecture=architecture,
            native_architecture=getattr(spelled, distribution.family.value),
            libraries=spelled.libraries[distribution.family],
            distribution=distribution,
        )

    def canonical_architecture(self, word: str) -> str:
        """The table's name for an architecture that may be spelled a family's way (amd64)."""
        for name, spelled in self.architectures.items():
            if word in (name, spelled.deb, spelled.rpm):
                return name
        return word


def read_table(*paths: Path) -> TargetTable:
    """The shipped table with those of `paths` laid over it. Raises OpkgError."""
    merged: dict[str, Any] = tomllib.loads(files("opkg").joinpath("targets.toml").read_text())
    where = "targets.toml"
    try:
        for path in paths:
            where = str(path)
            _lay_over(merged, tomllib.loads(path.read_text()))
        return msgspec.convert(merged, TargetTable)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise OpkgError(str(error), where=where, hint="compare with opkg/targets.toml") from error


@cache
def known_targets() -> TargetTable:
    """The table in force here: the shipped one, the site's, and the one OPKG_TARGETS names."""
    named = os.environ.get("OPKG_TARGETS")
    paths = [SITE_TABLE] if SITE_TABLE.exists() else []
    return read_table(*paths, *([Path(named)] if named else []))


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        else:
            below[key] = value
