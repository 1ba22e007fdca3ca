# SPDX-License-Identifier: GPL-2.0-or-later
"""The command itself: where its commands are, and what it loads for them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from opkg.run import run
from repo_server import cli


@pytest.mark.slow
def test_every_command_of_every_module_can_be_called():
    written = {
        command.name
        for path in Path(cli.__file__).parent.glob("cli_*.py")
        for command in getattr(import_module(f"repo_server.{path.stem}"), "COMMANDS", ())
    }
    shown = run([sys.executable, "-m", "repo_server", "--help"]).stdout
    listed = {line.split()[0] for line in shown.partition("Commands:")[2].splitlines() if line}
    assert written < listed


@pytest.mark.slow
def test_add_and_publish_load_no_library_that_they_do_not_need():
    """Some take longer to load than a package to publish."""
    code = "import sys, repo_server.cli; print(*sys.modules)"
    loaded = set(run([sys.executable, "-c", code]).stdout.split())
    assert "sqlalchemy" in loaded
    assert not loaded & {"alembic", "argon2", "boto3", "flask", "psycopg", "requests", "tuf"}
