# SPDX-License-Identifier: GPL-2.0-or-later
"""How many requests and bytes a second a published tree gives: from nginx alone, from nginx that
asks opkg-repo about each file (X-Accel-Redirect), from nginx that answers for the tree by itself in
front of opkg-repo, and from opkg-repo alone. Each is asked by
wrk, on the same machine, for a small file (InRelease) and for a package of 100 MB."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from bench.download import debs, live, publish

SECONDS, CONNECTIONS = 5, 16
EXAMPLES = Path(__file__).parents[1] / "docs/examples"
_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9}  # wrk's are powers of 1024, near enough for a ratio


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, {' '.join([sys.executable, *sys.argv])}")
    print(f"load average {os.getloadavg()[0]:.1f}; {CONNECTIONS} connections")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        work = Path(name)
        work.chmod(0o755)
        publish(work, ["bench-0"], 100)
        behind = stack.enter_context(_ours(work, "--x-accel", "/_live"))
        plain = stack.enter_context(_ours(work))
        ways = {
            "nginx": stack.enter_context(_nginx(work, "plain", f"root {live(work)};")),
            "X-Accel-Redirect": stack.enter_context(_example(work, "nginx", behind)),
            "tree by nginx": stack.enter_context(_example(work, "nginx-tree", plain)),
            "opkg-repo": plain,
        }
        paths = ["deb/stable/dists/debian-12/InRelease", debs(work)[0]]
        taken = {way: [_ask(f"{url}/{path}") for path in paths] for way, url in ways.items()}
    most = taken["nginx"]
    for way, (small, large) in taken.items():
        print(
            f"{way:<23} {small[0]:8.0f} requests/s ({small[0] / most[0][0]:4.0%} of nginx), "
            f"{large[1] / 1e6:6.0f} MB/s ({large[1] / most[1][1]:4.0%})"
        )


def _ask(url: str) -> tuple[float, float]:
    """Requests and bytes a second."""
    argv = ["wrk", "-t", "2", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "--timeout", "30s", url]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in said, said
    requests = re.search(r"Requests/sec: +([0-9.]+)", said)
    sent = re.search(r"Transfer/sec: +([0-9.]+)(KB|MB|GB)", said)
    assert requests, said
    assert sent, said
    return float(requests[1]), float(sent[1]) * _UNITS[sent[2]]


@contextmanager
def _ours(work: Path, *words: str) -> Iterator[str]:
    argv = [
        sys.executable,
        "-m",
        "repo_server",
        "serve",
        work / "repository",
        "--port",
        "0",
        *words,
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip().rstrip("/")
        finally:
            server.terminate()


def _example(work: Path, name: str, url: str) -> AbstractContextManager[str]:
    """An nginx of the documents, in front of the server at an address."""
    text = (EXAMPLES / f"{name}.conf").read_text()
    text = text.replace("127.0.0.1:8000", url.removeprefix("http://"))
    text = text.replace("opkg_repo", name.replace("-", "_"))
    return _nginx(work, name, "", text.replace("/srv/opkg", str(work / "repository")))


@contextmanager
def _nginx(work: Path, name: str, inner: str, text: str = "") -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    listen = f"listen 127.0.0.1:{port};"
    text = text.replace("listen 80;", listen) or f"server {{ {listen} {inner} }}"
    config = work / f"{name}.conf"
    config.write_text(
        f"user root; worker_processes auto; daemon off; pid {work}/{name}.pid;\n"
        f"error_log {work}/error.log; events {{ }}\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000;\n{text} }}\n"
    )
    with subprocess.Popen(["nginx", "-c", config, "-p", work]) as server:
        try:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
