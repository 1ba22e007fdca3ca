# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads: whole or not at all, resumed at the byte, from whichever mirror has them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from opd.download import Wish, fetch_all
from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_bytes
from tests.opd.conftest import Opd, Repository, serve, serve_files

DATA = bytes(range(256)) * 20_000
OTHER = bytes(reversed(DATA))


@dataclass
class Mirror:
    """A server of one file: `data` under the name `tag`; it breaks off after `breaks` bytes, and
    waits for `delay` seconds before each `step` of them."""

    data: bytes = DATA
    tag: str = '"one"'
    breaks: int | None = None
    status: int = 0
    url: str = ""
    delay: float = 0
    step: int = len(DATA)
    requests: list[tuple[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, mirror: Mirror, *arguments: object) -> None:
        self.mirror = mirror
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        mirror = self.mirror
        wanted, condition = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        mirror.requests.append((wanted, condition))
        if mirror.status:
            self.send_error(mirror.status)
            return
        start = 0
        if wanted and condition in ("", mirror.tag):
            start = int(re.findall(r"\d+", wanted)[0])
        self.send_response(206 if start else 200)
        if start:
            end = len(mirror.data)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(mirror.data) - start))
        self.send_header("ETag", mirror.tag)
        self.end_headers()
        told = mirror.data[start : mirror.breaks]
        for place in range(0, len(told), mirror.step):
            time.sleep(mirror.delay)
            self.wfile.write(told[place : place + mirror.step])

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def serving(*mirrors: Mirror) -> Iterator[tuple[str, ...]]:
    with ExitStack() as stack:
        for mirror in mirrors:
            server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, mirror))
            stack.callback(server.server_close)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            mirror.url = f"http://127.0.0.1:{server.server_port}/file"
        yield tuple(mirror.url for mirror in mirrors)


def wish(urls: tuple[str, ...], data: bytes = DATA, name: str = "file") -> Wish:
    return Wish(urls=urls, size=len(data), sha256=sha256_bytes(data), name=name)


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., int]:
    """Fetch one file; the bytes that progress was told of."""

    def run(*wishes: Wish, offline: bool = False) -> int:
        counts: list[int] = []
        fetch_all(
            wishes, tmp_path / "out", tmp_path / "cache", lambda _, n: counts.append(n),
            offline=offline,
        )  # fmt: skip
        return sum(counts)

    return run


def whole(tmp_path: Path) -> bool:
    names = {path.name for path in (tmp_path / "out").iterdir()}
    return names == {"file"} and (tmp_path / "out/file").read_bytes() == DATA


def part(tmp_path: Path) -> Path:
    return tmp_path / "cache" / f"{sha256_bytes(DATA)}.part"


@pytest.mark.slow
def test_a_slow_mirror_gives_the_whole_file_bit_by_bit(tmp_path: Path) -> None:
    data, counts = DATA[:300_000], list[int]()
    with serving(Mirror(data=data, delay=0.15, step=50_000)) as urls:
        fetch_all(
            [wish(urls, data)], tmp_path / "out", tmp_path / "cache", lambda _, n: counts.append(n)
        )
    assert (tmp_path / "out/file").read_bytes() == data
    assert len([count for count in counts if count]) > 3


def test_what_broke_off_is_gone_on_from_at_the_byte(
    tmp_path: Path, fetch: Callable[..., int]
) -> None:
    mirror = Mirror(breaks=3_000_000)
    with serving(mirror) as urls:
        with pytest.raises(OpkgError, match="cannot be fetched"):
            fetch(wish(urls))
        assert list((tmp_path / "out").iterdir()) == []
        have = part(tmp_path).stat().st_size
        assert 0 < have <= 3_000_000
        mirror.breaks, mirror.requests = None, []
        assert fetch(wish(urls)) == len(DATA)
    assert mirror.requests == [(f"bytes={have}-", '"one"')]
    assert whole(tmp_path)


@pytest.mark.parametrize("kept", [DATA, DATA + b"more", OTHER, OTHER[:1000]],
                         ids=["complete", "too long", "other", "of another version"])  # fmt: skip
def test_a_part_of_any_kind_is_no_hindrance(
    tmp_path: Path, fetch: Callable[..., int], kept: bytes
) -> None:
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(kept)
    mirror = Mirror()
    with serving(mirror) as urls:
        assert fetch(wish(urls)) == len(DATA)
    assert whole(tmp_path)
    assert (mirror.requests == []) == (kept == DATA)


def test_another_version_on_the_server_is_fetched_from_the_start(
    tmp_path: Path, fetch: Callable[..., int]
) -> None:
    mirror = Mirror(data=OTHER, breaks=1_000_000)
    with serving(mirror) as urls:
        with pytest.raises(OpkgError):
            fetch(wish(urls))
        mirror.data, mirror.tag, mirror.breaks = DATA, '"two"', None
        fetch(wish(urls))
    assert mirror.requests[-1][1] == '"one"'
    assert whole(tmp_path)


def test_a_mirror_that_goes_away_in_mid_file_is_replaced(
    tmp_path: Path, fetch: Callable[..., int]
) -> None:
    first, second = Mirror(breaks=2_000_000), Mirror(tag='"of another server"')
    with serving(first, second) as urls:
        assert fetch(wish(urls)) == len(DATA)
    assert len(first.requests) == 1
    ((wanted, condition),) = second.requests
    assert re.fullmatch(r"bytes=\d+-", wanted)
    assert condition == ""
    assert whole(tmp_path)


def test_a_mirror_with_other_bytes_is_replaced_and_if_all_have_them_it_is_told(
    tmp_path: Path, fetch: Callable[..., int]
) -> None:
    bad, long = Mirror(data=OTHER), Mirror(data=DATA + b"more")
    with serving(bad, long, Mirror()) as urls:
        with pytest.raises(IntegrityError, match="not what was signed"):
            fetch(wish(urls[:2]))
        assert not part(tmp_path).exists()
        assert fetch(wish(urls)) == len(DATA)
    assert whole(tmp_path)


def test_a_mirror_that_failed_is_asked_last(tmp_path: Path, fetch: Callable[..., int]) -> None:
    gone, good = Mirror(status=503), Mirror()
    with serving(gone, good) as urls:
        fetch(wish(urls))
        other = Mirror(data=OTHER)
        assert len(gone.requests) == 1
    with serving(other), pytest.raises(OpkgError, match="cannot be fetched"):
        fetch(wish((gone.url,), OTHER, "other"))
    assert whole(tmp_path)


def test_what_is_in_the_cache_is_asked_for_no_more(
    tmp_path: Path, fetch: Callable[..., int]
) -> None:
    mirror = Mirror()
    with serving(mirror) as urls:
        wanted = wish(urls)
        with pytest.raises(OpkgError, match="not in the cache: file"):
            fetch(wanted, offline=True)
        fetch(wanted)
    (tmp_path / "out/file").unlink()
    assert fetch(wanted, offline=True) == fetch(wanted) == len(DATA)
    assert whole(tmp_path)
    assert len(mirror.requests) == 1


def test_who_changes_a_fetched_file_does_not_change_what_the_cache_gives(
    tmp_path: Path, fetch: Callable[..., int]
) -> None:
    mirror = Mirror()
    with serving(mirror) as urls:
        fetch(wish(urls))
        fetch(wish(urls))  # once more over itself
        with (tmp_path / "out/file").open("r+b") as stream:
            stream.write(b"changed")
        (tmp_path / "out/file").rename(tmp_path / "mine")
        fetch(wish(urls))
    assert whole(tmp_path)
    assert (tmp_path / "mine").read_bytes().startswith(b"changed")
    assert len(mirror.requests) == 2


def test_many_at_once_fetch_a_file_once(tmp_path: Path) -> None:
    mirror = Mirror()
    with serving(mirror) as urls, ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(fetch_all, [wish(urls)], tmp_path / f"out{number}", tmp_path / "cache",
                        lambda _name, _count: None)
            for number in range(8)
        ]  # fmt: skip
        for job in jobs:
            assert job.result()[0].read_bytes() == DATA
    assert len(mirror.requests) == 1


@pytest.mark.slow
def test_the_command_takes_packages_from_the_mirror_that_is_left(
    published: Repository, env: dict[str, str], tmp_path: Path
) -> None:
    opd = Opd(tmp_path / "state", tmp_path, env)
    words = ("download", "alpha", "-t", "debian-12", "-o", tmp_path / "files")
    with serve_files(published.live) as mirror:
        with serve(published.root) as url:
            opd.run("repo", "add", url, "--root-key", published.root_json, "--mirror", mirror)
        done = opd.run(*words)
    names = sorted(path.name for path in (tmp_path / "files").iterdir())
    assert sorted(Path(line).name for line in done.out.split()) == names
    assert sorted(name.partition("_")[0] for name in names) == [
        "opkg-alpha", "opkg-alpha-client", "opkg-alpha-server"
    ]  # fmt: skip
    opd.run(*words, "--offline")
    assert "not in the cache" in opd.run("download", "blue", *words[2:], "--offline", status=1).err
