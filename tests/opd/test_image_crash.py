# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at every step of an installation into an image."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.opd.conftest import Opd
from tests.programs import forked
from tests.trees import Picture, changes, picture

pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
# What Python tells before it does it: every step that changes the disk, or starts a program.
STEPS = {
    "open", "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.removexattr",
    "os.rename", "os.rmdir", "os.setxattr", "os.symlink", "os.truncate", "os.utime",
    "shutil.rmtree", "sqlite3.connect", "subprocess.Popen",
}  # fmt: skip
# The modules that make the new state of an image.
OF_IMAGES = ("image.py", "layers.py", "files.py")


def place() -> str:
    """Which line of the project's code is about to do something."""
    frame = sys._getframe(2)
    while frame.f_back and not frame.f_code.co_filename.startswith((f"{TOP}/opd", f"{TOP}/opkg")):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def at_each_step(act: Callable[[str], None]) -> Callable[[], None]:
    """What makes a process call `act` before each step, with the line that does it."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        reads = event == "open" and not str(arguments[1] or "").strip("rbt")
        if event in STEPS and not reads:
            act(f"{event} {place()}")

    return lambda: sys.addaudithook(hook)


def states(opd: Opd) -> tuple[str, dict[str, Picture]]:
    """Which generation of the image is live, and the trees of all."""
    top = opd.state / "images/rpm"
    found = {path.name: picture(path) for path in (top / "generations").iterdir()}
    return (top / "root").readlink().name, found


def install(opd: Opd, act: Callable[[str], None]) -> int:
    words = ("--state", opd.state, "--headnode-root", opd.headnode, "install", "alpha")
    first = at_each_step(act)
    return forked("opd", *words, "--image", "rpm", env=opd.env, first=first).returncode


def install_watched(opd: Opd) -> dict[str, tuple[str, dict[str, Picture]]]:
    """Install, while each step waits until it was seen what a kill would leave there: by the
    number of the step and its line, what there was."""
    seen: dict[str, tuple[str, dict[str, Picture]]] = {}
    (from_child, to_us), (from_us, to_child) = os.pipe(), os.pipe()

    def look() -> None:
        while site := os.read(from_child, 1000).decode():
            seen[f"{len(seen)} {site}"] = states(opd)
            os.write(to_child, b".")

    def act(site: str) -> None:
        os.write(to_us, site.encode())
        os.read(from_us, 1)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        assert install(opd, act) == 0
    finally:
        os.close(to_us)
        watcher.join()
    return seen


def test_whatever_step_is_the_last_one_the_image_is_the_old_one_or_the_new_one(
    cluster: Opd,
) -> None:
    _, before = states(cluster)
    seen = install_watched(cluster)
    live, after = states(cluster)
    assert live == "2"
    assert len(seen) > 50
    assert {live for live, _ in seen.values()} == {"1", "2"}
    for step, (live, trees) in seen.items():
        assert changes(before["1"], trees["1"]) == [], step
        if live == "2":
            assert changes(after["2"], trees["2"]) == [], step

    # The same with kills, at each line that has to do with the image itself.
    cluster.run("undo")
    assert states(cluster)[0] == "1"
    sites = dict.fromkeys(step.partition(" ")[2] for step in seen)
    deadly = [site for site in sites if site.rpartition(" ")[2].startswith(OF_IMAGES)]
    assert any("image.py" in site for site in deadly)
    for site in deadly:

        def die(here: str, site: str = site) -> None:
            if here == site:
                os.kill(os.getpid(), signal.SIGKILL)

        assert install(cluster, die) == -signal.SIGKILL, site
        live, trees = states(cluster)
        assert live == "1", site
        assert changes(before["1"], trees["1"]) == [], site
    cluster.run("install", "alpha", "--image", "rpm")
    rows = cluster.json("status", "--image", "rpm")["alpha"]
    assert [row["state"] for row in rows] == ["installed"]
    assert not (cluster.state / "images/rpm/scratch").exists()
