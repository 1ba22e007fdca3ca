# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m repo_server` is `opkg-repo`."""

from opkg.console import run_program


def main() -> None:
    """Run opkg-repo and exit."""
    run_program("repo_server.cli", name="opkg-repo", extra="server")


if __name__ == "__main__":
    main()
