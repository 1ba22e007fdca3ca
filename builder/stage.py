# SPDX-License-Identifier: GPL-2.0-or-later
"""Says which staged file belongs to which package of a recipe."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wcmatch import glob

from opkg.errors import OpkgError
from opkg.findings import Findings
from opkg.recipe import Recipe, RecipePackage
from opkg.target import Target
from opkg.toml_file import Place, read_toml

_FLAGS = glob.GLOBSTAR | glob.DOTGLOB
# Modules that no kernel comes with (depmod.d(5)); those it comes with are in `kernel`.
_MODULE = re.compile(r"(?:/usr)?/lib/modules/([^/]+)/(?:updates|extra)/.+\.ko")
_KERNEL = re.compile(r"/boot/vmlinu[xz]-([^/]+)")


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A package of a recipe and what goes into it: absolute paths as they will be installed.
    `config` are those of its files that an administrator may change: what the recipe says, and
    all below /etc. `folders` are those that belong to the package alone."""

    package: RecipePackage
    files: tuple[str, ...]
    config: tuple[str, ...]
    folders: tuple[str, ...]


def assign(recipe: Recipe, stage: Path, where: Path) -> tuple[Staged, ...]:
    """Which staged file goes into which package; `recipe` is resolved for its target.

    Raises InvalidInputError with every file that belongs to none or to two, and every pattern
    that matches nothing, with its line in `where`, the recipe's path.
    """
    faults: list[tuple[str, str, str]] = []  # package, pattern, what is wrong
    owners: dict[str, dict[str, str]] = {path: {} for path in _files(stage)}
    for package in recipe.package:
        for pattern in (*package.files, *package.config):
            matched = [path for path in owners if _matches(path, pattern)]
            if not matched and not _is_folder(stage, pattern):
                fault = f"package {package.name}: “{pattern}” matches no staged file"
                faults.append((package.name, pattern, fault))
            for path in matched if pattern in package.files else ():
                owners[path].setdefault(package.name, pattern)
    for path, names in owners.items():
        left_out = any(_matches(path, pattern) for pattern in recipe.build.leave_out)
        if not path.isprintable():
            faults.append(("", "", f"{path}: the name has characters that cannot be seen"))
        elif len(names) > 1:
            name, pattern = list(names.items())[-1]
            faults.append((name, pattern, f"{path} is in {' and in '.join(names)}"))
        elif not names and not left_out:
            fault = f"{path} is in no package; name it in `files` or in `leave_out`"
            faults.append(("", "", fault))
    if faults:
        raise _refusal(faults, where)
    return tuple(_staged(package, owners, stage) for package in recipe.package)


def kernels(entry: Staged, target: Target) -> list[str]:
    """The relations by which a package requires the kernels that it has further modules for."""
    return _releases(_MODULE, entry, target)


def own_kernels(entry: Staged, target: Target) -> list[str]:
    """What a package provides that has kernels: as others require them."""
    return _releases(_KERNEL, entry, target)


def _releases(pattern: re.Pattern[str], entry: Staged, target: Target) -> list[str]:
    found = {match[1] for path in entry.files if (match := pattern.fullmatch(path))}
    named = target.distribution.kernel
    return sorted(named.format(release) for release in found) if named else []


def _staged(package: RecipePackage, owners: dict[str, dict[str, str]], stage: Path) -> Staged:
    files = tuple(path for path, names in owners.items() if package.name in names)
    return Staged(
        package=package,
        files=files,
        config=tuple(
            path
            for path in files
            if any(_matches(path, pattern) for pattern in package.config)
            or (path.startswith("/etc/") and not (stage / path.lstrip("/")).is_symlink())
        ),
        folders=_own_folders(stage, package),
    )


def _refusal(faults: list[tuple[str, str, str]], where: Path) -> OpkgError:
    """The error that names each fault with the line of the pattern that it comes from."""
    findings = Findings(where)
    document = read_toml(Findings(where))
    listed = document.values.get("package", []) if document else []
    for name, pattern, fault in faults:
        place: Place = ()
        for number, package in enumerate(listed):
            for key in ("files", "config"):
                # A pattern with variables stands there otherwise: then the list's line will do.
                if package.get("name") == name and (
                    pattern in package.get(key, []) or (key == "files" and not place)
                ):
                    place = ("package", number, key)
        line = document.line_of(place, pattern) if document and place else 0
        findings.error(line, fault)
    error = findings.refusal()
    error.message = f"{where} does not fit what its steps made"
    return error


def _files(stage: Path) -> Iterator[str]:
    for here, folders, names in os.walk(stage):
        folders.sort()
        links = [name for name in folders if Path(here, name).is_symlink()]
        for name in sorted([*names, *links]):
            yield "/" + str(Path(here, name).relative_to(stage))


def _matches(path: str, pattern: str) -> bool:
    return bool(glob.globmatch(path, pattern, flags=_FLAGS))


def _is_folder(stage: Path, pattern: str) -> bool:
    """Whether a pattern names a staged folder: `/a/b/` or `/a/b/**`."""
    top = pattern.removesuffix("**")
    return top.endswith("/") and not glob.is_magic(top) and (stage / top.strip("/")).is_dir()


def _own_folders(stage: Path, package: RecipePackage) -> tuple[str, ...]:
    """`/a/b/` says that the folder /a/b is the package's own, `/a/b/**` that all folders below it
    are too."""
    found = set()
    for pattern in package.files:
        if _is_folder(stage, pattern):
            top = stage / pattern.removesuffix("**").strip("/")
            walked = [here for here, _, _ in os.walk(top)] if pattern.endswith("**") else [top]
            found |= {"/" + str(Path(here).relative_to(stage)) for here in walked}
    return tuple(sorted(found))


def elf_files(stage: Path, staged: Staged) -> list[str]:
    """The package's compiled programs and libraries."""
    return [path for path in staged.files if _is_elf(stage / path.lstrip("/"))]


def check_architecture(staged: Staged, stage: Path) -> None:
    """Refuse compiled files in a package that is to fit every architecture. Raises OpkgError."""
    compiled = elf_files(stage, staged)
    if compiled and staged.package.architecture == "all":
        raise OpkgError(
            f"the package {staged.package.name} is for all architectures, and holds compiled files",
            where=compiled[0],
            hint='write architecture = "native"',
        )


def _is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
