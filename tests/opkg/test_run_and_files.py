# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from opkg.errors import CommandError, OpkgError
from opkg.files import locked, point, write_atomic
from opkg.run import run


def test_a_failed_command_shows_its_words_and_its_last_lines() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "seq 100; echo 'to the point' >&2; exit 7"])
    assert "exit status 7" in caught.value.message
    assert caught.value.output.endswith("100\nto the point")
    assert len(caught.value.output.splitlines()) == 20
    assert caught.value.hint.startswith("the command was: sh -c ")


def test_a_missing_program_is_named() -> None:
    with pytest.raises(OpkgError, match="no-such-program is not installed"):
        run(["no-such-program"])


def test_lines_are_handed_over_as_they_come() -> None:
    lines: list[str] = []
    done = run(
        ["sh", "-c", "read x; echo got $x; echo err >&2"], stdin="it\n", on_line=lines.append
    )
    assert lines == ["got it", "err"]
    assert done.stdout == "got it\nerr\n"


def test_an_interrupted_command_leaves_no_child(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from opkg.run import run
tell = Path("{tmp_path}/pid").write_text
run(["sh", "-c", "sleep 300 & echo $!; wait"], on_line=tell)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    process.send_signal(2)
    assert process.wait() != 0
    child = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{child}/stat")
    for _ in range(200):
        if not state.exists() or ") Z " in state.read_text():
            return
        time.sleep(0.01)
    pytest.fail("the child lives on")


def test_a_file_that_cannot_be_finished_does_not_replace_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    with pytest.raises(TypeError):
        write_atomic(path, 3)  # type: ignore[arg-type]  # what a bug would do
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pointer_can_be_turned_at_any_time(tmp_path: Path) -> None:
    link = tmp_path / "live"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point(link, name)
        assert link.resolve() == tmp_path / name


def test_the_second_to_take_a_lock_waits_and_says_so(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with locked(tmp_path / "lock", waiting=waiting.set):
            order.append("second")

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
