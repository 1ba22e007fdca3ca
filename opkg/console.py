# SPDX-License-Identifier: GPL-2.0-or-later
"""What the three commands have in common at their edge: settings, errors, output."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from opkg.errors import CommandError, InvalidInputError, OpkgError

CONFIG_DIR = Path("/etc/oscar")

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """A line of progress, on stderr."""
    stderr.print(message, markup=False)


def print_json(value: object) -> None:
    """A result for programs, on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def print_table(columns: list[str], rows: list[list[str]], *, title: str = "") -> None:
    """A result for people, on stdout: as wide as the terminal, or as needed on a pipe."""
    table = Table(*columns, title=title or None, box=None, pad_edge=False, title_justify="left")
    for row in rows:
        table.add_row(*row)
    (stdout if sys.stdout.isatty() else Console(highlight=False, width=200)).print(table)


class LazyGroup(click.Group):
    """Commands of which some are in `modules`, by their names: those are imported when they are
    asked for, since some need libraries that take longer to import than other commands take to
    run. Such a module has its commands in COMMANDS."""

    def __init__(self, *arguments: Any, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.modules])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        commands: Sequence[click.Command] = importlib.import_module(self.modules[cmd_name]).COMMANDS
        return next(command for command in commands if command.name == cmd_name)


def run_program(module: str, *, name: str, extra: str) -> None:
    """Import the module of one of the programs and run its `main`. Where a library that only this
    program needs is not there, say so in one sentence and exit with 1."""
    try:
        program = importlib.import_module(module)
    except ModuleNotFoundError as error:
        message = f"{name} needs the Python module {error.name}, which is not installed"
        hint = f"install what {name} needs: pip install 'oscar-opkg[{extra}]'"
        show_error(OpkgError(message, hint=hint), name)
        sys.exit(1)
    program.main()


def run_command(command: click.Command, *, name: str, settings: str, env_prefix: str) -> None:
    """Run one of the programs and exit: 0 done, 1 refused or failed, 2 wrong usage.

    Options come from the file `settings` in /etc/oscar (a table for each subcommand), from the
    environment (`env_prefix`_SUBCOMMAND_OPTION), and from the command line, the later the stronger.
    """
    options = {
        "prog_name": name,
        "auto_envvar_prefix": env_prefix,
        "default_map": _read_settings(CONFIG_DIR / settings),
    }
    status = _run(command, name, options)
    # Else Python would look through all that the libraries have made before it lets go of it, which
    # takes as long as a short command.
    gc.freeze()
    sys.exit(status)


def _run(command: click.Command, name: str, options: dict[str, Any]) -> int:
    """Run a program; the exit status."""
    try:
        # Without standalone mode click hands back the status of an Exit, and other results.
        result = command.main(**options, standalone_mode=False)
    except click.Abort:  # what click makes of Ctrl-C, and of a question that nobody answers
        show_error(OpkgError("interrupted"), name)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # The reader has seen enough; keep the interpreter from flushing into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OpkgError as error:
        show_error(error, name)
        return 1
    return result if isinstance(result, int) else 0


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        show_error(OpkgError(str(error), where=str(path), hint="mend the file"), "settings")
        sys.exit(1)


def show_error(error: OpkgError, name: str) -> None:
    """An expected error, on stderr: its findings, the end of a command's output, the hint."""
    if isinstance(error, InvalidInputError):
        for diagnostic in error.diagnostics:
            say(str(diagnostic))
    if isinstance(error, CommandError) and error.output:
        say("\n".join(f"  | {line}" for line in error.output.splitlines()))
    say(f"{name}: error: {error}")
    if error.hint:
        say(f"  {error.hint}")
