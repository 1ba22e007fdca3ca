# SPDX-License-Identifier: GPL-2.0-or-later
"""Publications and intakes that end where nobody meant them to: killed, or without room."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from opkg.errors import OpkgError
from repo_server import catalog
from repo_server.check import check
from repo_server.create import create
from repo_server.intake import add
from repo_server.publish import LIFETIME, publish, renew
from repo_server.repository import open_repository
from tests.repo_server.conftest import fill

LIST = "deb/testing/dists/debian-12/main/binary-amd64"
# What Python tells before it does it: every step that changes the disk, and the catalog's opening.
STEPS = {
    "open",
    "os.chmod",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "shutil.rmtree",
    "sqlite3.connect",
    "subprocess.Popen",
}


def silent(_message: str) -> None:
    pass


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do `work` in a process of its own that is killed before its step number `step`; false where
    it had no more than that and ended."""
    child = os.fork()
    if child == 0:
        left = step

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in STEPS and not (event == "open" and "w" not in str(arguments[1])):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.slow
def test_publication_killed_at_any_step_leaves_the_old_state_or_the_new(
    make_repo, tmp_path, debs, rpms, build
):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    repo.run("publish")
    new = [build.deb(tmp_path, "beta", "1-1~deb12"), build.rpm(tmp_path, "beta", "1-1.demo9")]
    repo.run("add", "--channel", "testing", *new)
    repo.run("remove", "--channel", "testing", "--target", "debian-12", "alpha")
    start = tmp_path / "start"
    repo.directory.rename(start)
    step, states = 0, set()
    while True:
        shutil.copytree(start, repo.directory, symlinks=True)
        repository = open_repository(repo.directory)
        killed = killed_at(step, lambda repository=repository: publish(repository, silent))
        assert check(repo.live).faults == ()
        text = repo.packages(LIST)
        states.add((repo.number, "Package: beta" in text, "Package: alpha\n" in text))
        publish(repository, silent)
        assert check(repo.live).faults == ()
        text = repo.packages(LIST)
        assert "Package: beta" in text
        assert "Package: alpha\n" not in text
        names = {int(folder.name) for folder in repo.generations.iterdir()}
        assert max(names) == repo.number
        shutil.rmtree(repo.directory)
        if not killed:
            break
        step += 1
    assert step > 40
    assert states == {(2, False, True), (3, True, False)}


def placed(repo) -> int:
    """How many packages are in the repository's channels."""
    with catalog.opened(repo.directory) as session:
        return len(catalog.placements(session, None))


@pytest.mark.slow
def test_intake_killed_at_any_step_takes_all_or_nothing(make_repo, tmp_path, build):
    repo = make_repo()
    new = [build.deb(tmp_path, "beta", "1-1~deb12"), build.rpm(tmp_path, "beta", "1-1.demo9")]
    # The database of rpm keys is made before, since that is a process of its own.
    repository = open_repository(repo.directory)
    start = tmp_path / "start"
    repo.directory.rename(start)
    step, counts = 0, set()
    while True:
        shutil.copytree(start, repo.directory, symlinks=True)
        work = [repository, "testing", new, None, silent]
        killed = killed_at(step, lambda work=work: add(*work))
        counts.add(placed(repo))
        add(repository, "testing", new, None, silent)
        publish(repository, silent)
        assert check(repo.live).faults == ()
        assert placed(repo) == 2
        shutil.rmtree(repo.directory)
        if not killed:
            break
        step += 1
    assert step > 10
    assert counts == {0, 2}


@pytest.mark.slow
@pytest.mark.parametrize("leave", [0, 16 << 10, 64 << 10, 128 << 10])
def test_full_disk_refuses_and_changes_nothing(empty, small_disk, tmp_path, debs, build, leave):
    repo = type(empty)(directory=small_disk / "repo")
    shutil.copytree(empty.directory, repo.directory, symlinks=True)
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    rows = repo.json("list")
    folder = tmp_path / "big"
    big = build.deb(folder, "beta", "1-1~deb12", content=os.urandom(200 << 10).hex())
    ballast = fill(small_disk, leave=leave)
    out, err = repo.run("add", "--channel", "testing", big, status=1)
    assert "the disk is full" in err, out + err
    assert "Traceback" not in err
    ballast.unlink()
    assert repo.json("list") == rows
    assert not (repo.directory / "staging").exists()
    repo.run("add", "--channel", "testing", big)
    ballast = fill(small_disk, leave=leave // 8)
    before = repo.number
    out, err = repo.run("publish", status=1)
    assert "the disk is full" in err, out + err
    assert "Traceback" not in err
    assert repo.number == before
    assert check(repo.live).faults == ()
    ballast.unlink()
    repo.run("publish")
    assert "Package: beta" in repo.packages(LIST)
    assert check(repo.live).faults == ()


# Renewal


@pytest.mark.slow
def test_renewal_shows_nothing_else(make_repo, debs, tmp_path, build):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repository = open_repository(repo.directory)
    past = datetime.now(UTC) - timedelta(days=8)
    publish(repository, silent, now=past)
    add(repository, "testing", [build.deb(tmp_path, "beta", "1-1~deb12")], None, silent)
    assert renew(repository, silent, age=timedelta(days=9)) is None
    done = renew(repository, silent, age=timedelta(days=7))
    assert datetime.fromisoformat(done.valid_until) > past + LIFETIME + timedelta(days=7)
    assert "Package: beta" not in repo.packages(LIST)
    assert renew(repository, silent, age=timedelta(days=7)) is None
    publish(repository, silent)
    assert "Package: beta" in repo.packages(LIST)


@pytest.mark.slow
def test_old_dates_are_renewed_with_the_next_change(make_repo, debs, rpms):
    """Also those of suites that it does not touch."""
    repo = make_repo()
    repository = open_repository(repo.directory)
    past = datetime.now(UTC) - timedelta(days=2)
    add(repository, "testing", [debs.manifest], None, silent)
    publish(repository, silent, now=past)
    add(repository, "testing", [rpms.manifest], None, silent)
    publish(repository, silent)
    assert check(repo.live, now=past + LIFETIME + timedelta(hours=1)).faults == ()


@pytest.mark.slow
def test_servers_renew_once(make_repo, debs):
    """Two servers on one repository, whose dates are about to end."""
    repo = make_repo()
    repository = open_repository(repo.directory)
    add(repository, "testing", [debs.manifest], None, silent)
    publish(repository, silent, now=datetime.now(UTC) - timedelta(days=13))
    before = repo.number
    with repo.served(), repo.served():
        deadline = datetime.now(UTC) + timedelta(minutes=2)
        while repo.number == before and datetime.now(UTC) < deadline:
            time.sleep(0.1)
        # Both have asked by now, or wait for the lock: a command of ours comes after them.
        assert "not that old" in repo.run("renew", "--older-than", "7")[1]
    assert repo.number == before + 1
    assert check(repo.live).faults == ()


@pytest.mark.slow
def test_new_repository_on_a_full_disk_leaves_nothing(small_disk):
    fill(small_disk, leave=8 << 10)
    with pytest.raises((OpkgError, OSError)):
        create(small_disk / "repo", "Test", silent)
    assert list((small_disk / "repo").iterdir()) == []
