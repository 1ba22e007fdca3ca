# SPDX-License-Identifier: GPL-2.0-or-later
"""How a build tells of itself: lines, a live table, events, and a page."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from builder import durations
from tests.builder.conftest import Write, opkgc
from tests.programs import on_terminal, seen

pytestmark = pytest.mark.slow

BOTH = ("-t", "debian-12", "-t", "rocky-9")
OPKGC = Path(__file__).parents[2] / ".venv/bin/opkgc"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPKG_CACHE", str(tmp_path / "cache"))


def broken(opkg: Write, name: str, step: str) -> Path:
    """An OPKG with a recipe that runs `step` first."""
    source = opkg(name, recipe=True)
    recipe = source / "build.toml"
    recipe.write_text(recipe.read_text().replace("run = '''", f"run = '''\n{step}"))
    return source


def test_events_say_what_begins_and_ends(opkg: Write, tmp_path: Path) -> None:
    fine, bad = opkg("fine"), broken(opkg, "bad", "echo oh no; false")
    done = opkgc("build", fine, bad, *BOTH, "-o", tmp_path / "out", "--json", check=False)
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    planned, *between, finished = events
    assert [event["event"] for event in (planned, finished)] == ["planned", "finished"]
    assert [(job["opkg"], job["target"]) for job in planned["jobs"]] == [
        ("fine", "debian-12-x86_64"),
        ("fine", "rocky-9-x86_64"),
        ("bad", "debian-12-x86_64"),
        ("bad", "rocky-9-x86_64"),
    ]
    for opkg_name in ("fine", "bad"):
        for target in ("debian-12-x86_64", "rocky-9-x86_64"):
            mine = [e for e in between if (e["opkg"], e["target"]) == (opkg_name, target)]
            assert [event["event"] for event in mine] == ["started", "ended"]
            assert mine[0]["worker"] == mine[1]["worker"]
            assert planned["at"] <= mine[0]["at"] <= mine[1]["at"] <= finished["at"]
    ended = {(e["opkg"], e["target"][0]): e for e in between if e["event"] == "ended"}
    assert len(ended["fine", "d"]["packages"]) == 3
    assert ended["fine", "d"]["error"] is None
    assert ended["bad", "r"]["status"] == "failed"
    assert "exit status 1" in ended["bad", "r"]["error"]["message"]
    assert [row["status"] for row in finished["results"]] == ["built", "built", "failed", "failed"]


def test_off_a_terminal_there_are_lines(opkg: Write, tmp_path: Path) -> None:
    done = opkgc("build", opkg(), "-t", "debian-12", "-o", tmp_path / "out")
    assert done.stderr == "built      sample 1.0-1  debian-12-x86_64  3 packages\n1 built\n"
    assert done.stdout == ""


def test_on_a_terminal_there_is_a_table(opkg: Write, tmp_path: Path) -> None:
    """With what is known of the last run; no line of it is too long for the terminal."""
    source = broken(opkg, "a-rather-long-name-for-an-opkg-that-does-not-fit-into-a-row", "sleep 2")
    shown = []
    for number in range(2):
        words = ["build", source, "-t", "rocky-9", "--no-lint", "--store", "none"]
        child = on_terminal([OPKGC, *words, "-o", tmp_path / f"out{number}"])
        shown.append(seen(child))
        assert child.exitstatus == 0
    for text in shown:
        rows = [line for line in text.splitlines() if "worker_0" in line]
        assert rows
        assert max(map(len, rows)) <= 80
        assert "0 of 1 done, 0:01 so far" in text
        assert "1 built" in text
    assert "left" not in shown[0]
    assert "about 0:0" in shown[1]


class _Page(HTMLParser):
    """Ids and links of a page, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.ids += filter(None, [found.get("id")])
        self.links += filter(None, [found.get("href")])

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_what_was_built_and_links_to_logs(opkg: Write, tmp_path: Path) -> None:
    out, page = tmp_path / "out", tmp_path / "elsewhere/my page.html"
    sources = (opkg("fine"), broken(opkg, "bad", "echo '<script>alert(1)</script>'; false"))
    opkgc("build", *sources, *BOTH, "-o", out, check=False)
    opkgc("build", *sources, *BOTH, "-o", out, "--report", page, check=False)
    for path in (out / "report.html", page):
        found = _Page(path)
        assert "script" not in found.tags
        assert "<script>alert(1)</script>" in found.text
        assert {f"{t}-x86_64.{o}" for t in ("debian-12", "rocky-9") for o in ("fine", "bad")} == {
            *found.ids
        }
        files = [link for link in found.links if not link.startswith("#")]
        assert len(files) == 2
        for link in files:
            assert (path.parent / link).read_text().startswith("$ bash")
        for link in set(found.links) - set(files):
            assert link.removeprefix("#") in found.ids
    assert "2 built, 2 failed" in _Page(out / "report.html").text
    assert "2 unchanged, 2 failed" in _Page(page).text


def test_a_run_with_nothing_to_do_leaves_the_page(opkg: Write, tmp_path: Path) -> None:
    words = ("build", opkg(), *BOTH, "-o", tmp_path / "out")
    opkgc(*words)
    page = tmp_path / "out/report.html"
    before = page.stat().st_mtime_ns
    opkgc(*words)
    assert page.stat().st_mtime_ns == before


def test_a_page_that_cannot_be_written_is_an_error(opkg: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    page = tmp_path / "file/page.html"
    words = ("build", opkg(), "-t", "rocky-9", "-o", tmp_path / "out", "--report", page)
    done = opkgc(*words, check=False)
    assert done.returncode == 1
    assert f"error: {page}: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("out/*/manifest.json"))


def test_an_interrupted_run_leaves_a_page_too(opkg: Write, tmp_path: Path) -> None:
    source = broken(opkg, "endless", "sleep 1000")
    words = [OPKGC, "build", source, "-t", "rocky-9", "-o", tmp_path / "out", "--json"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    log = tmp_path / "out/rocky-9-x86_64/logs/endless/1-install.log"
    # The step may be just about to start.
    while not log.exists():
        assert child.poll() is None
        time.sleep(0.001)
    child.send_signal(signal.SIGINT)
    try:
        child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode != 0
    assert "1 not finished" in _Page(tmp_path / "out/report.html").text


@pytest.mark.parametrize("damage", ["", "[1]", '{"a": "b"}', "{"])
def test_damaged_durations_are_none(opkg: Write, tmp_path: Path, damage: str) -> None:
    source = opkg(recipe=True)
    file = tmp_path / "cache/builder/durations/seconds.json"
    file.parent.mkdir(parents=True)
    file.write_text(damage)
    assert durations.known() == {}
    opkgc("build", source, "-t", "rocky-9", "-o", tmp_path / "out")
    assert durations.known().keys() == {"rocky-9-x86_64/sample"}
