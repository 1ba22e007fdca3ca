# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m builder` is `opkgc`."""

from opkg.console import run_program


def main() -> None:
    """Run opkgc and exit."""
    run_program("builder.cli", name="opkgc", extra="builder")


if __name__ == "__main__":
    main()
