# SPDX-License-Identifier: GPL-2.0-or-later
"""cexecs: cexec on one host after another."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from c3 import cexec


def main(argv: Sequence[str] | None = None) -> int:
    return cexec.main(argv, serial=True)


if __name__ == "__main__":
    sys.exit(main())
