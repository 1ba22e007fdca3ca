# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a recipe's steps into a stage, and says which staged file belongs to which package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wcmatch import glob

from opkg.errors import Diagnostic, InvalidInputError, OpkgError
from opkg.recipe import NAME, Recipe, RecipePackage
from opkg.run import run
from opkg.spec import Opkg
from opkg.target import Target

_FLAGS = glob.GLOBSTAR | glob.DOTGLOB


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A package of a recipe and what goes into it: absolute paths as they will be installed.
    `config` are those of its files that an administrator may change; `folders` are those that
    belong to the package alone."""

    package: RecipePackage
    files: tuple[str, ...]
    config: tuple[str, ...]
    folders: tuple[str, ...]


def run_steps(opkg: Opkg, recipe: Recipe, directory: Path, target: Target, work: Path) -> Path:
    """Run the steps of an OPKG's recipe below the empty folder `work`; returns the stage.

    The steps see this machine's file system read-only, no network, and an environment of their
    own. Raises CommandError with the end of the log when a step fails.
    """
    stage = work / "stage"
    stage.mkdir()
    sources = work / "source"
    for name, source in recipe.source.items():
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(directory / source.path, sources / name, symlinks=True, ignore=ignore)
    cwd = sources / next(iter(recipe.source))
    environment = _environment(opkg, target, stage, sources)
    for step in recipe.step:
        argv = sandbox(work, cwd, environment)
        run(
            [*argv, "bash", "-euo", "pipefail", "-c", step.run],
            hint=f"the step “{step.name}” of {directory / NAME} failed",
        )
    _set_times(stage, int(opkg.changed.timestamp()))
    return stage


def sandbox(work: Path, cwd: Path, environment: Mapping[str, str]) -> list[str]:
    """The command line that runs what follows it where only `work` can be written to."""
    variables = [word for name, value in environment.items() for word in ("--setenv", name, value)]
    temporary = "/tmp"  # noqa: S108 (the sandbox's own)
    return [
        "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
        "--tmpfs", temporary, "--bind", str(work), str(work), "--chdir", str(cwd),
        # Each by name: “all” means a user namespace too, which root cannot have in a chroot.
        "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "build",
        "--die-with-parent", "--new-session", "--clearenv", *variables,
    ]  # fmt: skip


def _environment(opkg: Opkg, target: Target, stage: Path, sources: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(sources),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "DESTDIR": str(stage),
        "SOURCES": str(sources),
        "OPKG_NAME": opkg.name,
        "OPKG_VERSION": opkg.version.upstream,
        "TARGET": target.name,
        "FAMILY": target.family.value,
        "SOURCE_DATE_EPOCH": str(int(opkg.changed.timestamp())),
    }


def _set_times(stage: Path, stamp: int) -> None:
    for here, folders, names in os.walk(stage, topdown=False):
        for name in [*folders, *names]:
            os.utime(Path(here, name), (stamp, stamp), follow_symlinks=False)


def assign(recipe: Recipe, stage: Path, where: Path) -> tuple[Staged, ...]:
    """Which staged file goes into which package.

    Raises InvalidInputError with every file that belongs to none or to two, and every pattern
    that matches nothing; `where` is the recipe's path, for the message.
    """
    faults: list[str] = []
    owners: dict[str, list[str]] = {path: [] for path in _files(stage)}
    for package in recipe.package:
        for pattern in (*package.files, *package.config):
            matched = [path for path in owners if _matches(path, pattern)]
            if not matched:
                faults.append(f"package {package.name}: “{pattern}” matches no staged file")
            for path in matched if pattern in package.files else ():
                if package.name not in owners[path]:
                    owners[path].append(package.name)
    for path, names in owners.items():
        left_out = any(_matches(path, pattern) for pattern in recipe.build.leave_out)
        if len(names) > 1:
            faults.append(f"{path} is in {' and in '.join(names)}")
        elif not names and not left_out:
            faults.append(f"{path} is in no package; name it in `files` or in `leave_out`")
    if faults:
        found = [
            Diagnostic(severity="error", path=str(where), line=0, message=fault) for fault in faults
        ]
        raise InvalidInputError(f"{where} does not fit what its steps made", found)
    files = {
        package.name: tuple(path for path, names in owners.items() if names == [package.name])
        for package in recipe.package
    }
    return tuple(
        Staged(
            package=package,
            files=files[package.name],
            config=tuple(
                path
                for path in files[package.name]
                if any(_matches(path, pattern) for pattern in package.config)
            ),
            folders=_own_folders(stage, package),
        )
        for package in recipe.package
    )


def _files(stage: Path) -> Iterator[str]:
    for here, folders, names in os.walk(stage):
        folders.sort()
        links = [name for name in folders if Path(here, name).is_symlink()]
        for name in sorted([*names, *links]):
            yield "/" + str(Path(here, name).relative_to(stage))


def _matches(path: str, pattern: str) -> bool:
    return bool(glob.globmatch(path, pattern, flags=_FLAGS))


def _own_folders(stage: Path, package: RecipePackage) -> tuple[str, ...]:
    """`/a/b/**` says that the folder /a/b and all folders below it are the package's own."""
    tops = [pattern[:-3] for pattern in package.files if pattern.endswith("/**")]
    found = []
    for top in tops:
        if not glob.is_magic(top):
            walked = os.walk(stage / top.lstrip("/"))
            found += ["/" + str(Path(here).relative_to(stage)) for here, _, _ in walked]
    return tuple(sorted(found))


def copy_package(stage: Path, staged: Staged, tree: Path) -> None:
    """Copy a package's files and folders from the stage into the folder `tree`."""
    for path in (*staged.folders, *staged.files):
        origin, place = stage / path.lstrip("/"), tree / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir() and not origin.is_symlink():
            place.mkdir(exist_ok=True)
        else:
            shutil.copy2(origin, place, follow_symlinks=False)


def elf_files(stage: Path, staged: Staged) -> list[str]:
    """The package's compiled programs and libraries."""
    return [path for path in staged.files if _is_elf(stage / path.lstrip("/"))]


def check_architecture(staged: Staged, stage: Path, target: Target, machine: str) -> None:
    """Refuse what cannot be true: compiled files in a package that fits every architecture, or
    a compiled package for an architecture that this machine does not have."""
    compiled = elf_files(stage, staged)
    if compiled and staged.package.architecture == "all":
        raise OpkgError(
            f"the package {staged.package.name} is for all architectures, and holds compiled files",
            where=compiled[0],
            hint='write architecture = "native"',
        )
    if staged.package.architecture == "native" and target.architecture != machine:
        raise OpkgError(
            f"{staged.package.name} cannot be compiled for {target.name} on {machine}",
            hint=f"build it on a machine of {target.architecture}",
        )


def _is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
