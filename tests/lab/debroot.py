# SPDX-License-Identifier: GPL-2.0-or-later
"""Read a Debian root: its packages, its files, and whose each file is."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath

from debian.deb822 import Packages

# Links that lead to links, as /etc/alternatives does; the kernel's bound is larger.
_HOPS = 8


@dataclass(frozen=True, kw_only=True)
class DebianPackage:
    """An installed package. `depends` is a conjunction of alternatives, by names alone; `listed`
    are its paths as dpkg lists them, `provides` names with versions ("" for none)."""

    name: str
    version: str
    architecture: str
    summary: str
    depends: tuple[tuple[str, ...], ...]
    provides: tuple[tuple[str, str], ...]
    listed: tuple[str, ...]
    conffiles: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path of a root as lstat sees it; `target` is where a link leads, owners are names."""

    mode: int
    user: str
    group: str
    target: str = ""

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)


def merge_usr(path: str) -> str:
    """Where a path lies in a root with /usr merged: /bin/sh is /usr/bin/sh."""
    return re.sub(r"^/(bin|sbin|lib(?:32|64|x32)?)(?=/|$)", r"/usr/\1", path)


def read_packages(root: Path) -> dict[str, DebianPackage]:
    """The installed packages by name. Source: dpkg-query(1), deb-control(5)."""
    database = root / "var/lib/dpkg"
    with (database / "status").open() as stream:
        stanzas = list(Packages.iter_paragraphs(stream, use_apt_pkg=False))
    return {stanza["Package"]: _read_package(stanza, database / "info") for stanza in stanzas}


def _read_package(stanza: Packages, info: Path) -> DebianPackage:
    name, architecture, relations = stanza["Package"], stanza["Architecture"], stanza.relations
    files = info / f"{name}.list"  # that of a package of several architectures says which
    files = files if files.exists() else info / f"{name}:{architecture}.list"
    groups = [*(relations["pre-depends"] or ()), *(relations["depends"] or ())]
    virtual = [group[0] for group in relations["provides"] or ()]
    conffiles = [line.split()[0] for line in stanza.get("Conffiles", "").splitlines() if line]
    return DebianPackage(
        name=name,
        version=stanza["Version"],
        architecture=architecture,
        summary=stanza["Description"].partition("\n")[0],
        depends=tuple(tuple(choice["name"] for choice in group) for group in groups),
        provides=tuple((each["name"], (each["version"] or ("=", ""))[1]) for each in virtual),
        listed=tuple(path for path in files.read_text().split("\n") if path not in ("", "/.")),
        conffiles=frozenset(map(merge_usr, conffiles)),
    )


def read_tree(root: Path) -> dict[str, Entry]:
    """Every path of a root, its own way of writing it, with the owners' names of that root."""
    users, groups = _names(root / "etc/passwd"), _names(root / "etc/group")
    tree = {}
    for path in _walk(root):
        state = path.lstat()
        tree[f"/{path.relative_to(root)}"] = Entry(
            mode=state.st_mode,
            user=users[state.st_uid],
            group=groups[state.st_gid],
            target=str(path.readlink()) if stat.S_ISLNK(state.st_mode) else "",
        )
    return tree


def share_out(
    tree: Mapping[str, Entry], listed: Mapping[str, frozenset[str]], rest: str
) -> dict[str, str]:
    """Whose each path of a root is, by the packages that list it.

    A directory of several packages is `rest`'s. What nobody lists was made by a maintainer script:
    a link belongs with what it leads to, another path with the directory it lies in.
    """

    def owner(path: str, hops: int = _HOPS) -> str:
        names = listed.get(path, frozenset())
        if names:
            return rest if len(names) > 1 and tree[path].is_directory else min(names)
        if tree[path].target and hops:
            end = merge_usr(normpath(join(dirname(path), tree[path].target)))
            if end in tree:
                return owner(end, hops - 1)
        parent = dirname(path)
        return rest if parent == "/" else owner(parent, hops)

    return {path: owner(path) for path in tree}


def _walk(root: Path) -> Iterator[Path]:
    for folder, directories, files in os.walk(root):
        yield from (Path(folder, name) for name in directories + files)


def _names(table: Path) -> dict[int, str]:
    """The names in a passwd(5) or group(5) file by number; the first of two with one number."""
    rows = [line.split(":") for line in table.read_text().splitlines()]
    return {int(row[2]): row[0] for row in reversed(rows)}
