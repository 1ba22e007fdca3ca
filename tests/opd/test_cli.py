# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line itself: which commands there are, and what they load."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from opd import cli
from opkg.run import run


@pytest.mark.slow
def test_every_command_is_listed() -> None:
    written = {
        command.name
        for path in Path(cli.__file__).parent.glob("cli_*.py")
        for command in import_module(f"opd.{path.stem}").COMMANDS
    }
    shown = run([sys.executable, "-m", "opd", "--help"]).stdout
    listed = {line.split()[0] for line in shown.partition("Commands:")[2].splitlines() if line}
    assert written == listed


@pytest.mark.slow
def test_commands_load_no_library_that_they_do_not_need() -> None:
    """Some take longer to load than `opd list` to run."""
    code = "import sys, opd.cli, opd.cli_cluster; print(*sys.modules)"
    loaded = set(run([sys.executable, "-c", code]).stdout.split())
    assert "sqlalchemy" in loaded
    assert not loaded & {"alembic", "ClusterShell", "requests", "securesystemslib", "tuf"}
