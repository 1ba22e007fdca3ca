# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m repo_server` is `opkg-repo`."""

from repo_server.cli import main

main()
