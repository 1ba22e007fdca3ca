# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide what RPMs the packages of a Debian root become. Nothing here reads or writes a file."""

from __future__ import annotations

import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

import msgspec
from debian.debian_support import Version

from tests.lab.debroot import DebianPackage, Entry, merge_usr, share_out
from tests.lab.rpms import Rpm

RELEASE, SETUP, BASE = "demo-rpm-release", "setup", "demo-rpm-base"

Tree = Mapping[str, Entry]

_PERL_MODULE = re.compile(r"/usr/(?:share|lib/[^/]+)/perl(?:-base|5)?/(?:5\.[\d.]+/)?(.+)\.pm")
_PYTHON = re.compile(r"/usr/bin/python(3\.\d+)")


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tables of `standin.toml`, which says what each is for."""

    include: tuple[str, ...]
    base: tuple[str, ...]
    drop_packages: frozenset[str]
    drop: tuple[str, ...]
    links: dict[str, str]
    owners: dict[str, str]
    names: dict[str, tuple[str, ...]]
    triggers: dict[str, dict[str, str]]
    files: dict[str, str]

    def rpm_name(self, debian: str) -> str:
        return self.names.get(debian, (debian,))[0]


def rpm_version(debian: str) -> tuple[int, str, str]:
    """Epoch, version and release of a Debian version; a native one gets the release 1."""
    parsed = Version(debian)
    upstream = re.sub(r"[^A-Za-z0-9.+~^_]", "_", parsed.upstream_version or "")
    return int(parsed.epoch or 0), upstream, parsed.debian_revision or "1"


def split_tree(tree: Tree, packages: Mapping[str, DebianPackage], rules: Rules) -> dict[str, Tree]:
    """The paths that each package's RPM holds; those of nobody are RELEASE's. What belongs to a
    dropped package goes with it, but for folders in which others have something."""
    listed: defaultdict[str, set[str]] = defaultdict(set)
    for package in packages.values():
        for path in package.listed:
            listed[merge_usr(path)].add(package.name)
    dropped = rules.drop_packages
    whose = {path: frozenset(names - dropped or {min(names)}) for path, names in listed.items()}
    owners = share_out(tree, whose, RELEASE) | rules.owners
    unwanted = re.compile("|".join(rules.drop))
    wanted = {path for path in tree if owners[path] not in dropped and not unwanted.fullmatch(path)}
    wanted.update(str(folder) for path in list(wanted) for folder in PurePath(path).parents[:-1])
    shares: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
    for path in wanted:
        shares[RELEASE if owners[path] in dropped else owners[path]][path] = tree[path]
    return dict(shares)


def to_rpms(
    packages: Mapping[str, DebianPackage],
    shares: Mapping[str, Tree],
    sonames: Mapping[str, Iterable[str]],
    rules: Rules,
    architectures: Mapping[str, str],
) -> list[Rpm]:
    """The RPMs of the packages that stay, and the three that are ours.

    `shares` comes from `split_tree`, `sonames` are the library names that each package provides,
    `architectures` says how RPM spells Debian's.
    """
    kept = [package for name, package in packages.items() if name not in rules.drop_packages]
    known = {virtual: virtual for package in kept for virtual, _ in package.provides}
    known |= {package.name: rules.rpm_name(package.name) for package in kept}
    everything = (path for package in packages.values() for path in package.listed)
    moved = {merge_usr(path): path for path in everything if merge_usr(path) != path}
    rpms = []
    for package in kept:
        files = shares.get(package.name, {})
        epoch, version, release = rpm_version(package.version)
        provides = {
            *_other_names(package, rules),
            *_capabilities(files, moved),
            *((soname, "") for soname in sonames.get(package.name, ())),
        }
        rpms.append(
            Rpm(
                name=rules.rpm_name(package.name),
                epoch=epoch,
                version=version,
                release=release,
                architecture=architectures[package.architecture],
                summary=package.summary,
                description=f"Debian's {package.name} {package.version}, turned into an RPM.",
                license=f"see /usr/share/doc/{package.name}/copyright",
                requires=_requires(package, known),
                provides=tuple(sorted(provides)),
                files=files,
                config=_config(files, package),
                triggers=tuple(rules.triggers.get(package.name, {}).items()),
            )
        )
    return [*rpms, *_ours(shares, rules)]


def _ours(shares: Mapping[str, Tree], rules: Rules) -> list[Rpm]:
    """The accounts, then what nobody owns, and at last the package that pulls in a base system."""

    def package(name: str, summary: str, *requires: str, provides: tuple[str, ...] = ()) -> Rpm:
        files = shares.get(name, {})
        return Rpm(
            name=name,
            version="9",
            release="1",
            architecture="noarch",
            summary=summary,
            description="A part of demo-rpm, a stand-in for an RPM distribution.",
            license="GPL-2.0-or-later",
            requires=requires,
            provides=tuple((name, "9") for name in provides),
            files=files,
            config=_config(files, None),
        )

    system = ("system-release", "system-release(releasever)", "filesystem")
    return [
        package(SETUP, "The accounts of demo-rpm"),
        package(RELEASE, "The folders and settings of demo-rpm", SETUP, provides=system),
        package(BASE, "What the image of a node has, in demo-rpm", *rules.base),
    ]


def _requires(package: DebianPackage, known: Mapping[str, str]) -> tuple[str, ...]:
    """Of each group of alternatives the first that there is; none where only what we dropped
    would do. RELEASE comes first of all: it has the folders, and needs the accounts."""
    chosen = {RELEASE}
    for group in package.depends:
        chosen.update([known[name] for name in group if name in known][:1])
    return tuple(sorted(chosen - {known[package.name]}))


def _other_names(package: DebianPackage, rules: Rules) -> Iterator[tuple[str, str]]:
    """Debian's name, its virtual packages, and the further names that `standin.toml` gives."""
    epoch, version, release = rpm_version(package.version)
    evr = f"{epoch}:{version}-{release}" if epoch else f"{version}-{release}"
    name, *more = rules.names.get(package.name, (package.name,))
    for other in {package.name, *more} - {name}:
        yield other, "" if "(" in other else evr
    for virtual, debian in package.provides:
        yield virtual, re.sub(r"[^A-Za-z0-9.+~^_:-]", "_", debian)


def _capabilities(files: Tree, moved: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What packages built elsewhere may require of the files: programs by their path before /usr
    was merged, perl(A::B) and python(abi), as rpm's own generators name them."""
    for path in files:
        if path.startswith(("/usr/bin/", "/usr/sbin/")) and path in moved:
            yield moved[path], ""
        if match := _PERL_MODULE.fullmatch(path):
            yield f"perl({match[1].replace('/', '::')})", ""
        if match := _PYTHON.fullmatch(path):
            yield "python(abi)", match[1]


def _config(files: Tree, package: DebianPackage | None) -> frozenset[str]:
    """The configuration files: Debian's conffiles, and what its scripts made below /etc."""
    listed = frozenset(map(merge_usr, package.listed)) if package else frozenset()
    conffiles = package.conffiles if package else frozenset()
    return frozenset(
        path
        for path, entry in files.items()
        if stat.S_ISREG(entry.mode)
        and (path in conffiles or (path.startswith("/etc/") and path not in listed))
    )
