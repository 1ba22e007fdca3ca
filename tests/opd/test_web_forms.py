# SPDX-License-Identifier: GPL-2.0-or-later
"""`opd browse --web`: the questions of OPKGs on a page, for who was told its address."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, sync_playwright

from tests.lab.cache import cache_root
from tests.opd.conftest import Opd, publish_opkgs, serve

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>{{ 7*7 }}"
MANY = "".join(f"<option>host{number}</option>" for number in range(9))
FORM = f"""<html><body onload="alert(2)"><form action="http://elsewhere.example/">
<h1>Colours</h1><script>alert(3)</script>
<p>What the nodes look like. &lt;img src=x onerror=alert(4)&gt;</p>
<select name="colour"><option value="red">like fire</option>
<option value="blue" selected>like the sea</option></select>
<input type="text" name="size" value="10">Size</input>
<input type="checkbox" name="extras" value="bells">Bells</input>
<input type="checkbox" name="extras" value="lights" checked>Lights</input>
<select name="server">{MANY}</select>
<textarea name="note">one
two</textarea>
<input type="hidden" name="secret" value="kept">
</form></body></html>
"""
HOME = "usr/lib/oscar/packages/asker"
TOLD = """#!/bin/sh
set -eu
test ! -e /broken
cat $OSCAR_PACKAGE_HOME/.configurator.values > /told
"""


@pytest.fixture
def asking(alone: Opd, tmp_path: Path) -> Iterator[Opd]:
    """A headnode in which an OPKG is that asks."""
    files = {"configurator.html": FORM, "scripts/api-post-configure": TOLD}
    own = publish_opkgs(tmp_path, {"asker": files})
    with serve(own.root) as url:
        alone.run("repo", "add", url, "--root-key", own.root_json, "--name", "own")
        alone.run("install", "asker", "--headnode")
        yield alone


@contextmanager
def pages(opd: Opd) -> Iterator[str]:
    """The address that the command prints; it ends by Ctrl-C, and well."""
    argv = [sys.executable, "-m", "opd", "--state", opd.state, "--headnode-root", opd.headnode,
            "browse", "--web", "--listen", "127.0.0.1:0"]  # fmt: skip
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=opd.env) as process:
        assert process.stderr
        line = process.stderr.readline()
        assert line.startswith("open http://127.0.0.1:"), line + process.stderr.read()
        try:
            yield line.split()[1]
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(timeout=30) == 0, rest
            assert "Traceback" not in rest


@pytest.fixture
def page() -> Iterator[Page]:
    """A phone."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser.new_page(viewport={"width": 360, "height": 740}, color_scheme="dark")
        browser.close()


def values(opd: Opd) -> str:
    path = opd.headnode / HOME / ".configurator.values"
    return path.read_text() if path.exists() else ""


def test_a_person_answers_on_a_page(asking: Opd, page: Page) -> None:
    shots = cache_root() / "screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    spoken: list[str] = []
    page.on("dialog", lambda dialog: (spoken.append(dialog.message), dialog.dismiss()))
    with pages(asking) as address:
        page.goto(address)
        assert "enter" not in page.url
        page.get_by_role("searchbox").fill("asker")
        page.keyboard.press("Enter")
        page.get_by_text("installed").wait_for()
        page.screenshot(path=shots / "opd-home.png", full_page=True)
        page.get_by_role("link", name="asker").first.click()
        assert "<img src=x" in page.get_by_text("What the nodes look like").inner_text()
        assert page.get_by_role("radio", checked=True).get_attribute("value") == "blue"
        assert page.get_by_label("server").input_value() == "host0"
        page.get_by_label("like fire").check()
        page.get_by_label("Size").fill(HOSTILE)
        page.get_by_label("Lights").uncheck()
        page.get_by_label("server").select_option("host7")
        page.get_by_label("note").fill("one\nthree")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360
        page.screenshot(path=shots / "opd-form.png", full_page=True)
        page.get_by_role("button", name="Save").click()
        assert page.get_by_role("status").inner_text() == "Saved, and its scripts have run."
        assert page.get_by_label("Size").input_value() == HOSTILE
        assert not page.get_by_label("Lights").is_checked()
    assert spoken == []
    written = values(asking)
    assert "<colour>red</colour>" in written
    assert "<server>host7</server>" in written
    assert "<note>one\nthree</note>" in written
    assert "<secret>kept</secret>" in written
    assert "extras" not in written
    assert (asking.headnode / "told").read_text() == written


def test_nobody_else_gets_in_and_nothing_wrong_is_saved(asking: Opd) -> None:
    with pages(asking) as address:
        top = address.partition("/enter/")[0]
        for path in ("/", "/configure/asker", "/enter/guess"):
            assert requests.get(top + path, timeout=10).status_code == 401
        assert requests.post(f"{top}/configure/asker", timeout=10).status_code == 401
        own = requests.Session()
        own.get(address, timeout=10)
        form = f"{top}/configure/asker"
        good = {"colour": "red", "size": "1", "server": "host1", "note": "n"}
        foreign = {"Origin": "http://elsewhere.example"}
        assert own.post(form, data=good, headers=foreign, timeout=10).status_code == 403
        wrong = own.post(form, data={**good, "colour": "green", "size": "\x01"}, timeout=10)
        assert "“green” is none of “red”, “blue”" in wrong.text
        assert "size: has a control character in it" in wrong.text
        assert values(asking) == ""

        # What a script says when it fails is not lost, and the next time goes on with it.
        (asking.headnode / "broken").touch()
        failed = own.post(form, data=good, timeout=30)
        assert failed.status_code == 400
        assert "asker failed" in failed.text
        (asking.headnode / "broken").unlink()
        assert own.post(form, data=good, timeout=30).url.endswith("?saved=")
        assert "<colour>red</colour>" in values(asking)
        assert own.get(f"{top}/configure/alpha", timeout=10).status_code == 400
        assert "not installed in the headnode" in own.get(f"{top}/configure/alpha", timeout=10).text
        assert own.get(f"{top}/opkg/asker", timeout=10).ok
    refused = asking.run("browse", "--web", "--listen", "127.0.0.1:none", status=2)
    assert "is not ADDRESS:PORT" in refused.err
