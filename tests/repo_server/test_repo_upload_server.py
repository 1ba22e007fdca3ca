# SPDX-License-Identifier: GPL-2.0-or-later
"""Uploads to the real server: by many at once, by the command, seen by apt and dnf."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from opkg.files import sha256_file
from opkg.run import run
from repo_server.check import check
from tests.programs import forked
from tests.repo_server.clients import apt_client, dnf_client, installed_rpms
from tests.repo_server.conftest import fill
from tests.repo_server.test_repo_crash import killed_at
from tests.repo_server.test_repo_uploads import Uploader, refused

pytestmark = pytest.mark.slow

# Of the steps of a completion, one in so many is tried: intake and publication by themselves are
# killed at each of theirs elsewhere.
STRIDE = 23


@pytest.fixture
def repo(make_repo):
    return make_repo()


@pytest.fixture
def token(repo, tmp_path) -> Path:
    """The file with a token for the channel testing."""
    words = ("create", "anna", "--channel", "testing", "--action", "upload")
    path = tmp_path / "token"
    path.write_text(repo.json("token", *words)["token"] + "\n")
    return path


def bearer(token):
    return {"Authorization": f"Bearer {token.read_text().strip()}"}


def send(url, token, path):
    """Begin, send and complete one upload; every answer must be a good one."""
    order = {
        "channel": "testing",
        "name": path.name,
        "size": path.stat().st_size,
        "sha256": sha256_file(path),
    }
    with requests.Session() as session:
        session.headers.update(bearer(token))
        uploads = f"{url}api/v1/uploads"
        begun = session.post(uploads, json=order, timeout=60)
        assert begun.status_code == 201, begun.text
        number = begun.json()["id"]
        sent = session.put(f"{uploads}/{number}", data=path.read_bytes(), timeout=60)
        assert sent.status_code == 200, sent.text
        done = session.post(f"{uploads}/complete", json={"uploads": [number]}, timeout=120)
        assert done.status_code == 200, done.text
        # Not later: at the time of the answer.
        listed = session.get(f"{url}deb/testing/dists/debian-12/main/binary-amd64/Packages.gz",
                             timeout=60)  # fmt: skip
        assert path.name.encode() in gzip.decompress(listed.content)
        return done.json()["generation"]


def test_fifty_uploads_at_once_are_all_listed_when_they_return(repo, token, build, tmp_path):
    files = [build.deb(tmp_path, f"many{number}", "1-1~deb12") for number in range(50)]
    before = repo.number
    with repo.served() as url, ThreadPoolExecutor(50) as pool:
        generations = list(pool.map(lambda path: send(url, token, path), files))
    assert len(repo.json("list")) == 50
    # Gathered: many fewer publications than uploads.
    assert repo.number - before == len(set(generations)) < 25
    assert repo.run("check")
    assert not list((repo.directory / "uploads").glob("batch-*"))


def test_apt_and_dnf_install_what_the_command_uploaded(repo, token, debs, rpms, tmp_path):
    with repo.served() as url:
        done = forked("repo_server", "upload", url, debs.manifest, rpms.manifest,
                      "--channel", "testing", "--token-file", token)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "generation 2 shows them" in done.stderr
        assert done.stdout.count("opkg-alpha-server") == 2
        assert token.read_text().strip() not in done.stdout + done.stderr
        apt = apt_client(tmp_path / "apt", repo.live, url)
        assert apt("update").status == 0
        seen = apt("install", "--download-only", "-y", "opkg-alpha-server")
        assert seen.status == 0, seen.stderr
        assert list((tmp_path / "apt/cache/archives").glob("opkg-alpha-server_*.deb"))
        dnf = dnf_client(tmp_path / "dnf", repo.live, url)
        installed = dnf("install", "opkg-alpha-server")
        assert installed.status == 0, installed.stdout + installed.stderr
        assert "opkg-alpha-server 1.0-1.demo9" in installed_rpms(tmp_path / "dnf")


def test_command_tells_why_it_is_refused(repo, token, build, tmp_path):
    path = build.deb(tmp_path, "beta", "1-1")
    with repo.served() as url:
        words = ("upload", url, path, "--token-file", token, "--channel")
        no_target = forked("repo_server", *words, "testing")
        no_right = forked("repo_server", *words, "stable")
    assert no_target.returncode == no_right.returncode == 1
    assert "refused: beta_1-1_all.deb:" in no_target.stderr
    assert "anna is not good for upload in the channel stable" in no_right.stderr
    assert repo.number == 1


@contextmanager
def breaking(url, after):
    """A way to the server that breaks off the first connection after so many bytes."""
    port = int(url.rstrip("/").rpartition(":")[2])
    listener = socket.create_server(("127.0.0.1", 0))
    broken = []

    def pump(source, sink, limit):
        count = 0
        try:
            while data := source.recv(65536):
                count += len(data)
                sink.sendall(data)
                if limit and count > limit and not broken:
                    broken.append(count)
                    break
        except OSError:
            pass
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept():
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", port))
            for ends in ((near, far, after), (far, near, 0)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", broken
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_command_goes_on_after_a_break(repo, token, build, tmp_path):
    path = build.deb(tmp_path, "beta", "1-1~deb12", content=os.urandom(1 << 20).hex())
    with repo.served() as url, breaking(url, 500_000) as (way, broken):
        done = forked("repo_server", "upload", way, path,
                      "--channel", "testing", "--token-file", token)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert broken
    assert "trying again" in done.stderr
    assert [row["name"] for row in repo.json("list")] == ["beta"]


def test_large_upload_takes_little_memory(repo, token, tmp_path):
    path = tmp_path / "large.deb"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    process = repo.start("serve", "--port", "0")
    try:
        url = process.stdout.readline().strip()
        order = {"channel": "testing", "name": path.name, "size": 300 << 20, "sha256": "0" * 64}
        uploads = f"{url}api/v1/uploads"
        number = requests.post(uploads, json=order, headers=bearer(token), timeout=60).json()["id"]
        with path.open("rb") as file:
            sent = requests.put(
                f"{uploads}/{number}", data=file, headers=bearer(token), timeout=300
            )
        assert sent.json()["received"] == 300 << 20
        workers = run(["pgrep", "-P", str(process.pid)]).stdout.split()
        lines = [
            line
            for worker in workers
            for line in Path(f"/proc/{worker}/status").read_text().splitlines()
        ]
        # One that has just ended has none.
        peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
        assert peaks
        assert max(peaks) < 200 << 10
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


@pytest.fixture
def small_disk(repo, tmp_path):
    """The repository, moved to a disk of 6 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place])
    try:
        run(["cp", "-a", repo.directory, place / "repo"])
        yield type(repo)(directory=place / "repo")
    finally:
        run(["umount", place])


def test_full_disk_keeps_nothing(small_disk, token, build, tmp_path):
    repo = small_disk
    words = ("create", "berta", "--channel", "testing", "--action", "upload")
    token.write_text(repo.json("token", *words)["token"])
    content = os.urandom(1_300_000).hex()
    path = build.deb(tmp_path, "beta", "1-1~deb12", content=content, compression="none")
    before = repo.state()
    with repo.served() as url:
        free = os.statvfs(repo.directory)
        room = free.f_bavail * free.f_frsize
        # What is announced fits; then somebody else fills the disk.
        order = {"channel": "testing", "name": path.name, "size": path.stat().st_size,
                 "sha256": sha256_file(path)}  # fmt: skip
        order["size"] = min(order["size"], room // 2 - 4096)
        uploads = f"{url}api/v1/uploads"
        number = requests.post(uploads, json=order, headers=bearer(token), timeout=60).json()["id"]
        (repo.directory / "filler").write_bytes(bytes(room - 600_000))
        reply = requests.put(f"{uploads}/{number}", data=path.read_bytes()[: order["size"]],
                             headers=bearer(token), timeout=60)  # fmt: skip
        assert reply.status_code == 507, reply.text
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert "nothing was kept" in reply.json()["detail"]
        assert not (repo.directory / "uploads" / number).exists()
        (repo.directory / "filler").unlink()
    assert repo.state() == before


def test_upload_on_a_full_disk_is_refused_wherever_it_fills_up(small_disk, build, tmp_path):
    """When it is announced, sent or completed; while it is read, or published."""
    repo = small_disk
    anna = Uploader(repo)
    content = os.urandom(100_000).hex()
    path = build.deb(tmp_path, "beta", "1-1~deb12", content=content, compression="none")
    upload = anna.begin(path).json["id"]
    steps = {
        "begin": lambda: anna.begin(path),
        "send": lambda: anna.put(upload, path.read_bytes()),
        "complete": lambda: anna.complete(upload),
    }
    before, number, done = repo.state(), repo.number, 0
    for moment in steps:
        for leave in range(0, 1 << 20, 24 << 10):
            for step in steps:
                ballast = fill(repo.directory.parent, leave=leave) if step == moment else None
                reply = steps[step]()
                if ballast:
                    ballast.unlink()
                if reply.status_code >= 400:
                    break
            if reply.status_code < 400:
                break
            assert "full" in refused(reply, 507) or "no room" in reply.json["detail"]
            # What had been announced may wait, and then goes on.
            assert set(anna.left()) <= {upload}
            assert (repo.number, repo.state()) == (number, before)
            assert check(repo.live).faults == ()
            done += 1
        assert reply.status_code < 400, reply.text
        assert check(repo.live).faults == ()
        repo.run("remove", "--channel", "testing", "beta")
        repo.run("publish")
        repo.run("gc")
        before, number = repo.state(), repo.number
    assert done > 10


def test_server_killed_at_any_step_of_a_completion_lets_the_client_go_on(
    make_repo, build, tmp_path
):
    repo = make_repo()
    anna = Uploader(repo)
    files = [build.deb(tmp_path, "beta", "1-1~deb12"), build.rpm(tmp_path, "beta", "1-1.demo9")]
    # So that rpm has its database of keys.
    anna.complete(anna.send(build.rpm(tmp_path, "alpha", "1-1.demo9")))
    numbers = [anna.send(path) for path in files]
    start, number = tmp_path / "start", repo.number
    repo.directory.rename(start)
    step, states = 0, set()
    while True:
        shutil.copytree(start, repo.directory, symlinks=True)
        killed = killed_at(step, lambda: anna.complete(*numbers))
        assert check(repo.live).faults == ()
        names = {row["name"] for row in repo.json("list") if row["generation"]}
        states.add((repo.number, *sorted(names)))
        reply = anna.complete(*numbers)
        if reply.status_code == 404:
            # It knows some no more, and says so: all of it comes again.
            assert "send it again" in reply.json["hint"]
            reply = anna.complete(*[anna.send(path) for path in files])
        assert reply.status_code == 200, reply.text
        assert {row["name"] for row in reply.json["added"]} == {"beta"}
        assert len(repo.json("list")) == 3
        assert check(repo.live).faults == ()
        assert anna.left() == []
        assert not (repo.directory / "staging").exists()
        shutil.rmtree(repo.directory)
        if not killed:
            break
        step += STRIDE
    assert step > 100
    assert states == {(number, "alpha"), (number + 1, "alpha", "beta")}


def test_command_goes_on_when_the_server_is_killed_and_started_again(repo, token, build, tmp_path):
    """The whole server, while many complete at once."""
    files = [build.deb(tmp_path, f"many{number}", "1-1~deb12") for number in range(6)]
    server = repo.start("serve", "--port", "0")
    url = server.stdout.readline().strip()
    words = ("--channel", "testing", "--token-file", token)
    with ThreadPoolExecutor(len(files)) as pool:
        doing = [pool.submit(forked, "repo_server", "upload", url, path, *words) for path in files]
        # Some are being completed: the first turn has begun.
        while not list((repo.directory / "uploads").glob("batch-*/ticket.json")):
            if all(one.done() for one in doing):
                break
        workers = run(["pgrep", "-P", str(server.pid)]).stdout.split()
        for process in (server.pid, *map(int, workers)):
            os.kill(process, signal.SIGKILL)
        server.communicate()
        assert check(repo.live).faults == ()
        port = url.rstrip("/").rpartition(":")[2]
        again = repo.start("serve", "--port", port)
        try:
            assert again.stdout.readline().strip() == url
            ends = [one.result() for one in doing]
        finally:
            again.terminate()
            again.communicate()
    assert [end.stderr for end in ends if end.returncode] == []
    assert len(repo.json("list")) == len(files)
    assert check(repo.live).faults == ()
    assert not list((repo.directory / "uploads").glob("batch-*"))
