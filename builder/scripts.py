# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts that dpkg and rpm run, made from an OPKG's native scripts and a recipe's.

A script is called without arguments: a post-install one after an installation or an upgrade, an
uninstall one only when the package really goes. OPD runs an OPKG's post-install scripts itself,
in their phase, and says so by OPD_RUNS_PHASES in the environment (rpm would swallow a failure).

Sources: Debian Policy, chapter 6.5; RPM's scriptlet arguments (rpm-scriptlets(7)).
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from opkg.errors import OpkgError
from opkg.recipe import RecipePackage
from opkg.resolve import PACKAGES_DIR, NativePackage, PackagedFile
from opkg.target import Family, Target

# When $1 says that the moment has come.
_CONDITIONS = {
    (Family.DEB, "pre-install"): '[ "$1" = install ] || [ "$1" = upgrade ]',
    (Family.DEB, "post-install"): '[ "$1" = configure ]',
    (Family.DEB, "pre-uninstall"): '[ "$1" = remove ]',
    (Family.DEB, "post-uninstall"): '[ "$1" = remove ]',
    (Family.RPM, "pre-install"): "true",
    (Family.RPM, "post-install"): "true",
    (Family.RPM, "pre-uninstall"): '[ "$1" -eq 0 ]',
    (Family.RPM, "post-uninstall"): '[ "$1" -eq 0 ]',
}
_NOT_OPD = '[ -z "$OPD_RUNS_PHASES" ]'
# At these moments the package's files are not there: the script travels in the scriptlet.
_WITHOUT_FILES = ("pre-install", "post-uninstall")


def maintainer_scripts(package: NativePackage, opkg: str, family: Family) -> dict[str, str]:
    """The package manager's scripts of an OPKG's package by moment, for /bin/sh, without the #!
    line. Raises OpkgError for a script that cannot be carried."""
    return {moment: _script(moment, file, opkg, family) for moment, file in package.scripts}


def recipe_scripts(package: RecipePackage, directory: Path, target: Target) -> dict[str, str]:
    """The same of a recipe's package; `directory` is the OPKG's."""
    return {
        moment: f"if {_CONDITIONS[target.family, moment]}; then\n{embedded(directory / path)}fi\n"
        for moment, path in package.scripts_on(target).items()
    }


def trigger_script(origin: Path, folder: str) -> str:
    """What a deb's post-install script does when another package has changed a folder, and, as
    rpm does by itself, when the package comes and others have been there before."""
    word = shlex.quote(folder.rstrip("/"))
    asked = f'case "$1 $2 " in "configure "* | "triggered "*{word}" "*) true ;; *) false ;; esac'
    return f"if {asked}; then\n{embedded(origin)}fi\n"


def _script(moment: str, file: PackagedFile, opkg: str, family: Family) -> str:
    home = shlex.quote(f"{PACKAGES_DIR}/{opkg}")
    condition = _CONDITIONS[family, moment]
    if moment == "post-install":
        condition = _NOT_OPD if condition == "true" else f"{condition} && {_NOT_OPD}"
    within = moment in _WITHOUT_FILES
    body = embedded(file.origin) if within else f"    {shlex.quote(file.path)}\n"
    return (
        f"set -e\n"
        f"if {condition}; then\n"
        f"    OSCAR_PACKAGE_HOME={home}\n"
        f"    export OSCAR_PACKAGE_HOME\n"
        f"{body}"
        f"fi\n"
    )


def embedded(origin: Path) -> str:
    """A script within another one, for /bin/sh. Raises OpkgError."""
    try:
        text = origin.read_text()
    except UnicodeDecodeError as error:
        raise OpkgError(
            "the script is not in UTF-8, and rpm takes no other text",
            where=str(origin),
            hint=f"iconv -f latin1 -t utf8 {origin.name}",
        ) from error
    mark = "END_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    ending = "" if text.endswith("\n") else "\n"
    return (
        f"    script=$(mktemp)\n"
        f"    trap 'rm -f \"$script\"' EXIT\n"
        f"    cat > \"$script\" <<'{mark}'\n{text}{ending}{mark}\n"
        f'    chmod 700 "$script"\n'
        f'    "$script"\n'
        f'    rm -f "$script"\n'
    )
