# SPDX-License-Identifier: GPL-2.0-or-later
"""The screen of all OPKGs: driven by Textual's pilot, and in a terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pexpect
import pytest
from textual.widgets import DataTable, Input, Static

from opd import repository
from opd.browse import Browser
from opd.settings import Settings
from tests.opd.conftest import Opd

pytestmark = pytest.mark.slow


def said(app: Browser) -> str:
    return str(app.query_one("#says", Static).content)


def browser(opd: Opd, out: Path, target: str = "debian-12-x86_64") -> Browser:
    state = Settings(opd.state, opd.headnode, verbose=False).open()
    return Browser(repository.load_all(state), target, state.downloads, out)


def test_opkgs_are_found_chosen_and_downloaded(alone: Opd, tmp_path: Path) -> None:
    out = tmp_path / "files"

    async def story() -> None:
        app = browser(alone, out)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            table = app.query_one(DataTable)
            assert table.row_count == 8
            assert "aback 1.0-1" in str(app.query_one("#about", Static).content)
            await pilot.press("d")
            assert "choose OPKGs" in said(app)
            await pilot.press("slash", *"ALPHA", "enter")
            assert table.row_count == 1
            # What a repository says is no markup.
            assert "[bold]as it is[/bold]" in str(table.get_cell("alpha", "SUMMARY"))
            await pilot.press("space")
            app.query_one(Input).value = ""
            await pilot.pause()
            assert str(table.get_cell("alpha", "")) == "✓"
            assert said(app) == "chosen: alpha"
            await pilot.press("d")
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert said(app) == f"3 files are in {out}"
            app.query_one(Input).value = "no such thing"
            await pilot.pause()
            assert table.row_count == 0
            await pilot.press("space", "d", "q")
        assert app.return_code == 0

    asyncio.run(story())
    assert len(list(out.glob("opkg-alpha*.deb"))) == 3


def test_what_goes_wrong_is_said(alone: Opd, tmp_path: Path) -> None:
    async def story(target: str) -> str:
        app = browser(alone, tmp_path / "files", target)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("space", "d")
            await app.workers.wait_for_complete()
            await pilot.pause()
            return said(app)

    assert "is not offered for rocky-9-x86_64" in asyncio.run(story("rocky-9-x86_64"))
    (tmp_path / "files").write_text("in the way")
    assert "files" in asyncio.run(story("debian-12-x86_64"))


def test_it_works_in_a_terminal(alone: Opd) -> None:
    child = alone.on_terminal("browse")
    child.expect("alpha")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_without_a_repository_it_says_so(tmp_path: Path, alone: Opd) -> None:
    done = Opd(tmp_path / "other", alone.headnode, alone.env).run("browse", status=1)
    assert "no repository is known" in done.err
