# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts that dpkg and rpm run, made from an OPKG's native scripts.

An OPKG's script is called without arguments: a post-install one after an installation or an
upgrade, an uninstall one only when the package really goes. OPD runs post-install scripts itself,
in their phase, and says so by OPD_RUNS_PHASES in the environment (rpm would swallow a failure).

Sources: Debian Policy, chapter 6.5; RPM's scriptlet arguments (rpm-scriptlets(7)).
"""

from __future__ import annotations

import hashlib
import shlex

from opkg.errors import OpkgError
from opkg.resolve import PACKAGES_DIR, NativePackage, PackagedFile
from opkg.target import Family

# When $1 says that the moment has come.
_CONDITIONS = {
    (Family.DEB, "pre-install"): '[ "$1" = install ] || [ "$1" = upgrade ]',
    (Family.DEB, "post-install"): '[ "$1" = configure ] && [ -z "$OPD_RUNS_PHASES" ]',
    (Family.DEB, "pre-uninstall"): '[ "$1" = remove ]',
    (Family.DEB, "post-uninstall"): '[ "$1" = remove ]',
    (Family.RPM, "pre-install"): "true",
    (Family.RPM, "post-install"): '[ -z "$OPD_RUNS_PHASES" ]',
    (Family.RPM, "pre-uninstall"): '[ "$1" -eq 0 ]',
    (Family.RPM, "post-uninstall"): '[ "$1" -eq 0 ]',
}
# At these moments the package's files are not there: the script travels in the scriptlet.
_WITHOUT_FILES = ("pre-install", "post-uninstall")


def maintainer_scripts(package: NativePackage, opkg: str, family: Family) -> dict[str, str]:
    """The package manager's scripts by moment, for /bin/sh, without the #! line."""
    return {moment: _script(moment, file, opkg, family) for moment, file in package.scripts}


def _script(moment: str, file: PackagedFile, opkg: str, family: Family) -> str:
    home = shlex.quote(f"{PACKAGES_DIR}/{opkg}")
    body = _embedded(file) if moment in _WITHOUT_FILES else f"    {shlex.quote(file.path)}\n"
    return (
        f"set -e\n"
        f"if {_CONDITIONS[family, moment]}; then\n"
        f"    OSCAR_PACKAGE_HOME={home}\n"
        f"    export OSCAR_PACKAGE_HOME\n"
        f"{body}"
        f"fi\n"
    )


def _embedded(file: PackagedFile) -> str:
    try:
        text = file.origin.read_text()
    except UnicodeDecodeError as error:
        raise OpkgError(
            "the script is not in UTF-8, and rpm takes no other text",
            where=str(file.origin),
            hint=f"iconv -f latin1 -t utf8 {file.origin.name}",
        ) from error
    mark = "END_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    ending = "" if text.endswith("\n") else "\n"
    return (
        f"    script=$(mktemp)\n"
        f"    trap 'rm -f \"$script\"' EXIT\n"
        f"    cat > \"$script\" <<'{mark}'\n{text}{ending}{mark}\n"
        f'    chmod 700 "$script"\n'
        f'    "$script"\n'
    )
