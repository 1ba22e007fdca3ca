# SPDX-License-Identifier: GPL-2.0-or-later
"""OPDer: a screen with all OPKGs on offer, to look at, choose from and download. It needs Textual,
so it is imported where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.filesize import decimal
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Input, ProgressBar, Static

from opd import show
from opd.download import Wish, fetch_all
from opd.offered import wishes_for
from opd.repository import Known
from opkg.errors import OpkgError

_CHOSEN, _NOT = "✓", " "


class Browser(App[None]):
    """The screen. `cache` and `out` are the folders of downloads and of what the user gets,
    `target` what files are fetched for."""

    TITLE = "opd browse"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Input { height: 1; border: none; padding: 0 1; background: $surface; }
    DataTable { height: 1fr; }
    #details { height: 40%; border-top: solid $primary; padding: 0 1; }
    ProgressBar { display: none; padding: 0 1; }
    #says { height: auto; max-height: 4; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("space", "choose", "Choose"),
        ("d", "download", "Download"),
        ("slash", "search", "Search"),
        ("escape", "list", "List"),
        ("q", "leave", "Quit"),
    ]

    def __init__(self, known: Sequence[Known], target: str, cache: Path, out: Path) -> None:
        super().__init__()
        self._known = known
        self._offers = show.newest(known)
        self._target, self._cache, self._out = target, cache, out
        self._chosen: set[str] = set()
        self._leaving = False

    def compose(self) -> ComposeResult:
        yield Input(placeholder="Search: words of a name, summary or description")
        yield DataTable(cursor_type="row")
        with VerticalScroll(id="details"):
            yield Static(id="about")
        yield ProgressBar(show_eta=False)
        yield Static(id="says")
        yield Footer()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        for name in ("", "NAME", "VERSION", "SUMMARY"):
            table.add_column(name, key=name)
        self._fill("")
        table.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def on_input_submitted(self) -> None:
        self.action_list()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        name = event.row_key.value
        text = show.details(*self._offers[name]) if name in self._offers else ""
        self.query_one("#about", Static).update(Text(text))
        self.query_one("#details").scroll_home(animate=False)

    def _fill(self, words: str) -> None:
        table = self.query_one(DataTable)
        table.clear()
        for name, (_, offers) in self._offers.items():
            if show.matches(offers[0], words.split()):
                opkg = offers[0].opkg
                mark = _CHOSEN if name in self._chosen else _NOT
                row = [Text(text) for text in (mark, name, opkg.version, opkg.summary)]
                table.add_row(*row, key=name)
        if not table.row_count:
            self.query_one("#about", Static).update("nothing matches")

    def _says(self, text: str) -> None:
        self.query_one("#says", Static).update(Text(text))

    def action_search(self) -> None:
        self.query_one(Input).focus()

    def action_list(self) -> None:
        self.query_one(DataTable).focus()

    def action_choose(self) -> None:
        table = self.query_one(DataTable)
        if not table.row_count:
            return
        name = str(table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value)
        self._chosen ^= {name}
        table.update_cell(name, "", Text(_CHOSEN if name in self._chosen else _NOT))
        self._says(f"chosen: {', '.join(sorted(self._chosen)) or 'none'}")

    def action_download(self) -> None:
        if not self._chosen:
            self._says("choose OPKGs with the space bar first")
            return
        try:
            names = sorted(self._chosen)
            wishes = [w for name in names for w in wishes_for(self._known, name, self._target)]
        except OpkgError as error:
            self._says(str(error))
            return
        size = sum(wish.size for wish in wishes)
        self._says(f"downloading {len(wishes)} files, {decimal(size)} …")
        bar = self.query_one(ProgressBar)
        bar.update(total=size, progress=0)
        bar.styles.display = "block"
        self.run_worker(lambda: self._fetch(wishes), thread=True, exclusive=True)

    def _fetch(self, wishes: Sequence[Wish]) -> None:
        """Fetch files, in a thread."""
        try:
            paths = fetch_all(wishes, self._out, self._cache, self._came)
            said = f"{len(paths)} files are in {self._out}"
        except (OpkgError, OSError) as error:
            said = str(error)
        if not self._leaving:
            self.call_from_thread(self._fetched, said)

    def _came(self, _name: str, count: int) -> None:
        if self._leaving:
            raise OpkgError("left in the middle", hint="it is gone on from the next time")
        self.call_from_thread(self.query_one(ProgressBar).advance, count)

    def _fetched(self, said: str) -> None:
        self.query_one(ProgressBar).styles.display = "none"
        self._says(said)

    def action_leave(self) -> None:
        self._leaving = True
        self.exit()
