# SPDX-License-Identifier: GPL-2.0-or-later
"""The wizard's screen: the steps to a cluster, how far each is, and the commands that do it. It
needs Textual, so it is imported where it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, Input, Static

from opd.wizard import Progress, Step

_LOOKS = {
    Progress.DONE: ("✓ done", "green"),
    Progress.NEXT: ("▶ next", "bold yellow"),
    Progress.FAILED: ("✗ failed", "bold red"),
    Progress.LATER: ("· later", "dim"),
}


class Wizard(App[None]):
    """The screen. `look` tells the steps as they are now, `execute` runs a command of opd, given
    by its words as a person writes them, on the terminal."""

    TITLE = "opd wizard"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    DataTable { height: 11; }
    #about { height: 1fr; border-top: solid $primary; padding: 0 1; }
    Input { height: 1; border: none; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("r", "refresh_steps", "Look again"),
        ("escape", "steps", "Steps"),
        ("q", "quit", "Quit"),
    ]

    def __init__(self, look: Callable[[], Sequence[Step]], execute: Callable[[str], None]) -> None:
        super().__init__()
        self._look, self._execute = look, execute
        self._steps: Sequence[Step] = ()

    def compose(self) -> ComposeResult:
        yield DataTable(cursor_type="row")
        yield Static(id="about")
        yield Input(
            placeholder="Enter on a step puts its command here; Enter here runs it",
            select_on_focus=False,
        )
        yield Footer()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns("", "STEP", "STATE", "HOW THINGS STAND")
        self.action_refresh_steps()
        ahead = (Progress.NEXT, Progress.FAILED)
        first = next((step.number for step in self._steps if step.progress in ahead), 0)
        table.move_cursor(row=first)
        table.focus()

    def action_refresh_steps(self) -> None:
        table = self.query_one(DataTable)
        row = table.cursor_row
        self._steps = self._look()
        table.clear()
        for step in self._steps:
            word, style = _LOOKS[step.progress]
            table.add_row(
                str(step.number), step.name, Text(word, style=style), Text(step.told),
                key=str(step.number),
            )  # fmt: skip
        table.move_cursor(row=row)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        step = self._steps[int(event.row_key.value or 0)]
        lines = [step.about, "", *(f"  {command}" for command in step.commands)]
        self.query_one("#about", Static).update(Text("\n".join(lines)))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        line = self.query_one(Input)
        line.value = self._steps[int(event.row_key.value or 0)].commands[0]
        line.focus()
        line.cursor_position = len(line.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            with self.suspend():
                self._execute(event.value)
        event.input.value = ""
        self.action_refresh_steps()
        self.action_steps()

    def action_steps(self) -> None:
        self.query_one(DataTable).focus()
