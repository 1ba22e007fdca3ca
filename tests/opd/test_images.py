# SPDX-License-Identifier: GPL-2.0-or-later
"""Images change as a whole or not at all: whatever is killed, full, waiting or in the way."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.opd.conftest import Opd, copy_tree, finish
from tests.trees import changes, picture

pytestmark = pytest.mark.slow


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until something is so that will be; fails when the process ends before."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def mounts(folder: Path) -> list[str]:
    """What the machine's own namespace has mounted below a folder."""
    lines = Path("/proc/1/mountinfo").read_text().splitlines()
    return [line for line in lines if str(folder) in line]


@pytest.fixture
def gated(cluster: Opd) -> Opd:
    """The gate is closed: the script of the OPKG gate on the headnode will not end."""
    cluster.run("install", "gate", "--headnode")
    (cluster.headnode / "gate-closed").touch()
    return cluster


def at_gate(opd: Opd) -> Callable[[], bool]:
    return (opd.headnode / "gate-reached").exists


@pytest.mark.parametrize("plain", [False, True], ids=["managed", "plain"])
def test_a_killed_install_leaves_the_old_tree_and_the_next_one_works(
    gated: Opd, tmp_path: Path, plain: bool
) -> None:
    root = gated.image("rpm")
    name = "rpm"
    if plain:
        copy_tree(root, tmp_path / "plain")
        root = tmp_path / "plain"
        name = str(root)
    before = picture(root)
    process = gated.start("install", "gate", "--image", name)
    wait_for(at_gate(gated), process)
    process.kill()
    process.wait()
    assert changes(before, picture(root)) == []
    assert mounts(tmp_path) == []

    (gated.headnode / "gate-closed").unlink()
    gated.run("install", "gate", "--image", name)
    rows = gated.json("status", "--image", name)["gate"]
    assert [row["state"] for row in rows] == ["installed"]
    assert [row["outcome"] for row in gated.json("history")[:2]] == ["done", "interrupted"]
    assert not list(tmp_path.glob(".*scratch"))
    assert not (gated.state / "images/rpm/scratch").exists()


def test_an_install_killed_in_the_middle_of_apt_leaves_the_old_tree(
    alone: Opd, deb_image: Path, tmp_path: Path
) -> None:
    before = picture(deb_image)
    process = alone.start("--verbose", "install", "alpha", "--image", deb_image)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Unpacking"):
            break
    process.kill()
    process.wait()
    assert changes(before, picture(deb_image)) == []
    assert mounts(tmp_path) == []
    alone.run("install", "alpha", "--image", deb_image)


def running_for(folder: Path) -> list[str]:
    """The command lines of processes that are about a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words:
                found.append(words)
    return found


def test_a_killed_create_leaves_no_mount_and_nothing_running(alone: Opd, tmp_path: Path) -> None:
    process = alone.start("image", "create", "new", "-t", "debian-12")
    wait_for((alone.state / "images/new/scratch/new/etc/passwd").exists, process)
    process.kill()
    process.wait()
    for _ in range(100):
        if not running_for(tmp_path / "state"):
            break
        time.sleep(0.1)
    assert running_for(tmp_path / "state") == []
    assert mounts(tmp_path) == []
    assert alone.json("image", "list") == []


def test_each_package_of_a_new_image_is_told_of_as_it_comes(alone: Opd) -> None:
    """On a slow link that is all that moves."""
    process = alone.start("image", "create", "new", "-t", "debian-12")
    logs = alone.state / "log"
    wait_for(lambda: any("/main amd64 dpkg " in log.read_text() for log in logs.glob("*")), process)
    process.kill()
    process.wait()


def test_what_a_killed_install_left_in_the_headnode_goes(alone: Opd) -> None:
    (alone.headnode / "gate-closed").touch()
    policy = alone.headnode / "usr/sbin/policy-rc.d"
    policy.unlink(missing_ok=True)
    process = alone.start("--verbose", "install", "alpha")
    wait_for(policy.exists, process)
    process.kill()
    process.wait()
    assert policy.exists()
    alone.run("install", "alpha")
    assert not policy.exists()


def test_a_policy_of_the_administrators_stays(alone: Opd) -> None:
    policy = alone.headnode / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    alone.run("install", "alpha")
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_of_two_installs_into_one_image_the_second_waits(gated: Opd) -> None:
    first = gated.start("install", "gate", "--image", "rpm")
    wait_for(at_gate(gated), first)
    second = gated.start("install", "alpha", "--image", "rpm")
    assert second.stderr is not None
    assert "waiting for another opd" in second.stderr.readline()
    (gated.headnode / "gate-closed").unlink()
    finish(first)
    finish(second)
    found = gated.json("status", "--image", "rpm")
    assert set(found) == {"gate", "alpha"}
    assert gated.generations("rpm") == ["1", "2", "3"]


def test_two_states_wait_for_one_another_in_one_image(gated: Opd, tmp_path: Path, url: str) -> None:
    copy_tree(gated.image("rpm"), tmp_path / "plain")
    other = Opd(tmp_path / "other", gated.headnode, gated.env)
    root_key = gated.state / "repositories/test/pinned.root.json"
    other.run("repo", "add", url, "--root-key", root_key)
    first = gated.start("install", "gate", "--image", tmp_path / "plain")
    wait_for(at_gate(gated), first)
    second = other.start("install", "alpha", "--image", tmp_path / "plain")
    assert second.stderr is not None
    assert "waiting for another change" in second.stderr.readline()
    (gated.headnode / "gate-closed").unlink()
    finish(first)
    finish(second)
    assert set(gated.json("status", "--image", tmp_path / "plain")) == {"gate", "alpha"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_leaves_everything_as_it_was(cluster: Opd, small_disk: Path) -> None:
    copy_tree(cluster.state, small_disk / "state")
    opd = Opd(small_disk / "state", cluster.headnode, cluster.env)
    before = picture(opd.image("rpm"))
    filler = small_disk / "filler"
    with filler.open("wb") as stream:
        try:
            while True:
                stream.write(b"0" * (1 << 16))
                stream.flush()
        except OSError:
            pass
    for spare in (0, 300_000):
        with filler.open("r+b") as stream:
            stream.truncate(max(0, filler.stat().st_size - spare))
        done = opd.run("install", "alpha", "--image", "rpm", status=1)
        assert "error:" in done.err
        assert changes(before, picture(opd.image("rpm"))) == []
    filler.unlink()
    opd.run("install", "alpha", "--image", "rpm")
    assert opd.generations("rpm") == ["1", "2"]


def test_a_root_with_something_mounted_in_it_is_left_alone(
    alone: Opd, deb_image: Path, tmp_path: Path
) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    subprocess.run(["mount", "--bind", tmp_path / "precious", deb_image / "mnt"], check=True)
    try:
        done = alone.run("install", "alpha", "--image", deb_image, status=1)
    finally:
        subprocess.run(["umount", deb_image / "mnt"], check=True)
    assert "something is mounted in it" in done.err
    assert (tmp_path / "precious/file").exists()


def test_a_managed_image_keeps_its_last_states(cluster: Opd) -> None:
    """And no more: six further changes, the oldest two states are gone."""
    for _ in range(3):
        cluster.run("install", "blue", "--image", "rpm")
        cluster.run("remove", "blue", "--image", "rpm")
    assert cluster.generations("rpm") == ["2", "3", "4", "5", "6", "7"]


def test_an_image_that_could_not_be_made_is_not_there(
    tmp_path: Path, headnode: Path, env: dict[str, str], targets: Path
) -> None:
    broken = tmp_path / "targets.toml"
    broken.write_text(targets.read_text().replace('"coreutils"', '"there-is-no-such-package"'))
    opd = Opd(tmp_path / "state", headnode, {**env, "OPKG_TARGETS": str(broken)})
    done = opd.run("image", "create", "broken", "-t", "demo-rpm", status=1)
    assert "there-is-no-such-package" in done.err
    assert opd.json("image", "list") == []
    assert not (tmp_path / "state/images/broken").exists()


def test_a_made_image_has_the_usual_folders(cluster: Opd) -> None:
    root = cluster.image("rpm")
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert not (root / "run/oscar").exists()
    assert sorted(path.name for path in (root / "dev").iterdir()) == []


def test_what_is_done_in_a_shell_becomes_the_image_if_it_ends_well(cluster: Opd) -> None:
    before = picture(cluster.image("rpm"))
    done = cluster.run("image", "shell", "rpm", "sh", "-c", "echo x > /etc/mine; exit 3", status=1)
    assert "sh ended with status 3" in done.err
    assert changes(before, picture(cluster.image("rpm"))) == []
    assert cluster.run("image", "shell", "rpm", "id", "-u").out == "0\n"

    before = picture(cluster.image("rpm"))
    cluster.run("image", "shell", "rpm", "sh", "-c", "echo x > /etc/mine; rm /etc/issue")
    assert (cluster.image("rpm") / "etc/mine").read_text() == "x\n"
    outcomes = [row["outcome"] for row in cluster.json("history")[:3]]
    assert outcomes == ["done", "done", "failed"]
    cluster.run("undo")
    assert changes(before, picture(cluster.image("rpm"))) == []
