# SPDX-License-Identifier: GPL-2.0-or-later
"""What lintian and rpmlint say of packages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from opkg.errors import CommandError
from opkg.run import run
from opkg.target import Family

_ARGV = {
    Family.DEB: ["lintian", "--allow-root", "--no-cfg", "--tag-display-limit", "0"],
    Family.RPM: ["rpmlint"],
}
_ERROR = {
    Family.DEB: re.compile(r"^E: (?P<package>\S+?): (?P<tag>\S+)(?P<rest>.*)", re.MULTILINE),
    Family.RPM: re.compile(r"^(?P<package>\S+): E: (?P<tag>\S+)(?P<rest>.*)", re.MULTILINE),
}
# Debug symbols look like broken libraries to them.
_DEBUG = re.compile(r"-(dbgsym|debuginfo|debugsource)[-_]")
# What they call an error and is none: packages are signed when they are published; some need
# another one's headers, or its library, which they open by name. Libraries have another table
# of names than in 2006, and depmod finds the kernel's own list of names by itself. A package with
# headers and the link to a library is not the same on all architectures.
_NOT_HERE = (
    "no-signature",
    "devel-dependency",
    "explicit-lib-dependency",
    "missing-hash-section",
    "no-binary",
    "postin-with-wrong-depmod",
    "postun-with-wrong-depmod",
)


def check(family: Family, packages: Sequence[Path]) -> None:
    """Raise CommandError with all that the family's checker calls an error. A machine that does
    not have it checks nothing."""
    looked_at = [str(path) for path in packages if not _DEBUG.search(path.name)]
    argv = [*_ARGV[family], *looked_at]
    if not shutil.which(argv[0]):
        return
    output = run(argv, check=False).stdout
    errors = [
        found[0] for found in _ERROR[family].finditer(output) if found["tag"] not in _NOT_HERE
    ]
    if errors:
        raise CommandError(
            f"{argv[0]} finds errors in the packages",
            argv=argv,
            output="\n".join(errors),
            hint="mend them, or build with --no-lint",
        )
