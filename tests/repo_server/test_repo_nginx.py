# SPDX-License-Identifier: GPL-2.0-or-later
"""The real nginx in front of the real server, with the documented configuration; and the log."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

from opkg.run import run

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
# Each with the options of the server behind it.
WAYS = {"nginx.conf": ["--x-accel", "/_live"], "nginx-tree.conf": []}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module", params=WAYS)
def through_nginx(request, published, tmp_path_factory):
    """The address of nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    # Its workers are of another user.
    for path in [folder, *folder.parents][:3]:
        path.chmod(0o755)
    server = published.start("serve", "--port", "0", *WAYS[request.param])
    port = server.stdout.readline().strip().rstrip("/").rpartition(":")[2]
    ours = free_port()
    text = (EXAMPLES / request.param).read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    text = text.replace("listen 80", f"listen 127.0.0.1:{ours}")
    text = text.replace("/srv/opkg", str(published.directory))
    (folder / "nginx.conf").write_text(
        f"user root; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off;\n{text}}}\n"
    )
    command = ["nginx", "-p", folder, "-c", folder / "nginx.conf"]
    run([*command, "-t"])
    nginx = subprocess.Popen([str(word) for word in command])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", ours)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{ours}/"
    finally:
        nginx.terminate()
        nginx.wait()
        server.terminate()
        server.communicate()


def test_each_request_is_a_line_of_json(published):
    server = published.start("serve", "--port", "0", "--log-json")
    try:
        url = server.stdout.readline().strip()
        headers = {"Authorization": "Bearer secret", "X-Forwarded-For": "10.9.8.7"}
        requests.post(f"{url}api/v1/check?a=b", headers=headers, timeout=60)
    finally:
        server.terminate()
        _, log = server.communicate()
    (line,) = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/v1/check", 401)
    assert line["address"] == "127.0.0.1"
    assert "secret" not in log


def test_files_come_from_nginx_as_they_are(published, through_nginx):
    for row in published.json("list"):
        reply = requests.get(through_nginx + row["file"], timeout=10)
        assert reply.content == (published.live / row["file"]).read_bytes()
        assert reply.headers["Server"].startswith("nginx")
        assert "immutable" in reply.headers["Cache-Control"]
        assert "X-Accel-Redirect" not in reply.headers
        assert reply.headers["Content-Type"].startswith("application/")


def test_ranges_heads_and_tags_through_nginx(published, through_nginx):
    row = published.json("list")[0]
    data = (published.live / row["file"]).read_bytes()
    url = through_nginx + row["file"]
    part = requests.get(url, headers={"Range": "bytes=100-199"}, timeout=10)
    assert (part.status_code, part.content) == (206, data[100:200])
    head = requests.head(url, timeout=10)
    assert int(head.headers["Content-Length"]) == len(data)
    again = requests.get(url, headers={"If-None-Match": head.headers["ETag"]}, timeout=10)
    assert again.status_code == 304


def test_lists_are_asked_for_again_and_not_unpacked(published, through_nginx):
    path = "deb/testing/dists/debian-12/main/binary-amd64/Packages.gz"
    reply = requests.get(through_nginx + path, timeout=10)
    assert reply.content == (published.live / path).read_bytes()
    assert "Content-Encoding" not in reply.headers
    assert "no-cache" in reply.headers["Cache-Control"]


def test_pages_and_api_go_through(through_nginx):
    assert requests.get(f"{through_nginx}healthz", timeout=10).json()["status"] == "ok"
    assert requests.get(f"{through_nginx}api/v1/channels", timeout=10).json()
    assert through_nginx.rstrip("/") in requests.get(through_nginx, timeout=10).text


@pytest.mark.parametrize("path", ["_live/keys/root.json", "keys/..%2f..%2fopkg-repo.toml", "keys/"])
def test_nothing_else_is_sent(through_nginx, path):
    done = run(["curl", "-s", "--path-as-is", "-w", "%{http_code}", through_nginx + path])
    # nginx itself calls some paths bad, and folders forbidden.
    assert done.stdout[-3:] in ("400", "403", "404")
    assert "origin" not in done.stdout
