# SPDX-License-Identifier: GPL-2.0-or-later
"""What decides the bytes of an OPKG's packages, written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version as distribution_version
from importlib.resources import files
from pathlib import Path

import git
import msgspec

from builder.sources import digest_of
from opkg.directory import digest
from opkg.document import encode
from opkg.errors import OpkgError
from opkg.files import sha256_bytes, sha256_file
from opkg.manifest import Input, InputPatch, InputSource, PublishedPackage
from opkg.names import Native
from opkg.native import choose
from opkg.native.system import HOST, System, target_of
from opkg.recipe import Recipe, RecipeSource
from opkg.run import run
from opkg.spec import Opkg
from opkg.target import Target

# What package managers write whenever they change what a machine has.
_CODE = (".py", ".toml", "")
_TABLES = ("targets.toml", "names.toml")  # an input of their own
_DATABASES = ("/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite")


class Directory:
    """An OPKG's directory and what is known of it, whatever the target."""

    def __init__(self, path: Path, opkg: Opkg) -> None:
        self.path = path
        self.opkg = opkg
        self.digest = digest(path)
        self.commit = _commit(path)

    def input_for(
        self,
        target: Target,
        recipe: Recipe | None,
        replaced: Mapping[str, Path],
        root: str,
        needs: Mapping[str, str],
        published: tuple[PublishedPackage, ...] = (),
    ) -> Input:
        """All that decides the bytes of the packages: `recipe` is resolved for the target,
        `replaced` are the paths that stand in for its sources, `root` is the key of the build
        root, "" where there is none, `needs` are the keys of the jobs that it needs,
        `published` the packages of a repository that are in its root."""
        settings = _Settings(target=target, names=self.opkg.names.table)
        entry = Input(
            opkg=self.opkg.name,
            sha256="",
            commit="",
            directory=self.digest,
            settings=sha256_bytes(encode(settings)),
            tools=tool_versions(),
            root=root,
            machine=_machine() if recipe and recipe.is_compiled and not root else "",
            needs=dict(needs),
            published=published,
            sources=tuple(self._sources(recipe, replaced)) if recipe else (),
        )
        # Where a checkout stands decides nothing.
        return msgspec.structs.replace(
            entry, sha256=sha256_bytes(encode(entry)), commit=self.commit
        )

    def _sources(self, recipe: Recipe, replaced: Mapping[str, Path]) -> Iterator[InputSource]:
        for name, source in recipe.source.items():
            patches = tuple(
                InputPatch(file=file, sha256=sha256_file(self.path / file))
                for file in source.patches
            )
            found = self._source(name, source)
            if name in replaced:
                found = InputSource(
                    name=name,
                    kind=found.kind,
                    place=found.place,
                    sha256=digest_of(replaced[name]),
                    replaced=True,
                )
            yield msgspec.structs.replace(found, patches=patches)

    def _source(self, name: str, source: RecipeSource) -> InputSource:
        if source.path:
            content = digest_of(self.path / source.path)
            return InputSource(name=name, kind="path", place=source.path, sha256=content)
        if source.git:
            return InputSource(name=name, kind="git", place=source.git, commit=source.commit)
        if source.debian:
            place = f"{source.debian} {source.version}"
            return InputSource(name=name, kind="debian", place=place, sha256=source.sha256)
        return InputSource(name=name, kind="url", place=source.url, sha256=source.sha256)


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What tables say, as far as it decides the bytes of packages."""

    target: Target
    names: Mapping[str, Mapping[str, Native]]


@cache
def _machine() -> str:
    """A digest over what is installed on this machine."""
    there = [path for path in map(Path, _DATABASES) if path.is_file()]
    return sha256_bytes("".join(sha256_file(path) for path in there).encode())


@cache
def tool_versions() -> dict[str, str]:
    """The versions of what writes packages."""
    dpkg = run(["dpkg-deb", "--version"]).stdout.splitlines()[0]
    return {
        "opkgc": f"{distribution_version('oscar-opkg')} ({_own_code()[:12]})",
        "dpkg-deb": dpkg.partition("version ")[2].split()[0],
        # Not from the bindings: importing them takes a fifth of a build with nothing to do.
        "rpm": run(["rpm", "--version"]).stdout.split()[-1],
        "rpm-rs": distribution_version("rpm-rs"),
    }


def _own_code() -> str:
    """A digest over opkgc itself: in a checkout, its version does not tell what it does."""
    tops = [Path(str(files(name))) for name in ("builder", "opkg")]
    found = (path for top in tops for path in sorted(top.rglob("*")) if path.name not in _TABLES)
    texts = [path.read_bytes() for path in found if path.suffix in _CODE and path.is_file()]
    return sha256_bytes(b"\0".join(texts))


@cache
def installed_in(root: Path, target: Target) -> str:
    """The native packages in a root of a target, or on this machine: a line each, with name and
    version; "" on a machine whose distribution is not in the table of targets."""
    try:
        of = target_of(HOST) if root == HOST else target
    except OpkgError:
        return ""
    found = choose.packages(System(name=str(root), root=root, target=of))
    return "".join(f"{name} {found[name].version}\n" for name in sorted(found))


def _commit(directory: Path) -> str:
    """The git commit that a directory is at, with + where it differs; "" outside a checkout."""
    try:
        repository = git.Repo(directory, search_parent_directories=True)
        changed = repository.is_dirty(path=str(directory.resolve()), untracked_files=True)
        return repository.head.commit.hexsha + ("+" if changed else "")
    except (git.InvalidGitRepositoryError, ValueError):
        return ""
