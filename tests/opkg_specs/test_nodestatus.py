# SPDX-License-Identifier: GPL-2.0-or-later
"""The command nodestatus, with nodes that are small web servers here."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.running import SPECS, Ran, ran

pytestmark = pytest.mark.slow

COMMAND = SPECS / "nodestatus/src/nodestatus"
METRICS = """\
# TYPE node_load1 gauge
node_load1 1.5
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 1
node_cpu_seconds_total{cpu="1",mode="idle"} 1
node_cpu_seconds_total{cpu="1",mode="user"} 1
# TYPE node_memory_MemTotal_bytes gauge
node_memory_MemTotal_bytes 1000
# TYPE node_memory_MemAvailable_bytes gauge
node_memory_MemAvailable_bytes 250
# TYPE node_filesystem_size_bytes gauge
node_filesystem_size_bytes{mountpoint="/"} 1000
node_filesystem_size_bytes{mountpoint="/home"} 10
# TYPE node_filesystem_avail_bytes gauge
node_filesystem_avail_bytes{mountpoint="/"} 900
node_filesystem_avail_bytes{mountpoint="/home"} 10
# TYPE node_boot_time_seconds gauge
"""


class Exporter(BaseHTTPRequestHandler):
    """Answers by the port's own text."""

    texts: dict[int, str] = {}  # noqa: RUF012 (the class is what the server shares)

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        assert isinstance(self.server, ThreadingHTTPServer)
        self.wfile.write(self.texts[self.server.server_port].encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def node() -> Iterator[str]:
    """A node that tells the metrics above, started 26 hours ago."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        booted = f"node_boot_time_seconds {time.time() - 26 * 3600}\n"
        Exporter.texts[server.server_port] = METRICS + booted
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def nodestatus(*words: str | Path) -> Ran:
    return ran([sys.executable, "-B", COMMAND, *words])


def test_a_node_that_is_up_says_how_it_is(node: str) -> None:
    done = nodestatus(node)
    assert done.status == 0, done.err
    head, line = done.out.splitlines()
    assert head.split() == ["node", "state", "cores", "load", "memory", "disk", "up", "for"]
    assert line.split() == [node, "up", "2", "1.50", "75", "%", "10", "%", "1", "d", "2", "h"]


def test_a_node_that_is_down_is_shown_and_tells_by_the_exit_status(node: str) -> None:
    done = nodestatus(node, "127.0.0.1:1")
    assert done.status == 1
    assert done.out.splitlines()[1].startswith(f"{node}  up ")
    assert done.out.splitlines()[2].split()[:2] == ["127.0.0.1:1", "down:"]
    assert "Connection refused" in done.out


@pytest.mark.parametrize("text", ["<html>no metrics{", "\x00\xff"])
def test_a_server_that_is_no_exporter_counts_as_down(node: str, text: str) -> None:
    Exporter.texts[int(node.rpartition(":")[2])] = text
    done = nodestatus(node)
    assert done.status == 1
    assert f"{node}" in done.out
    assert "down: " in done.out
    assert done.err == ""


def test_a_page_has_the_same_and_takes_no_markup_from_nodes(node: str, tmp_path: Path) -> None:
    page = tmp_path / "nodes.html"
    done = nodestatus(node, "<b>:1", "--html", page)
    assert done.status == 1
    assert done.out == ""
    text = page.read_text()
    assert "<title>1 of 2 nodes are up</title>" in text
    assert '<tr class="up">' in text
    assert '<tr class="down">' in text
    assert "<td>&lt;b&gt;:1" in text
    assert page.stat().st_mode & 0o777 == 0o644


def test_without_a_list_it_is_said(tmp_path: Path) -> None:
    refused = nodestatus(tmp_path / "x", "--html", tmp_path / "no/such/folder.html")
    assert refused.status == 1
    assert "No such file or directory" in refused.err


def test_the_list_is_of_the_nodes_and_the_administrators(tools: Sandbox) -> None:
    tools.write("/etc/nodestatus.conf", "printer:9200\n")
    tools.write("/opkg/nodes", "node1\nnode2\n")
    done = tools.run("nodestatus", "api-post-clientdef", env={"OSCAR_NODES": "/opkg/nodes"})
    assert done.status == 0, done.err
    lines = tools.files()["/etc/nodestatus.conf"].splitlines()
    assert [line for line in lines if line[0] != "#"] == ["printer:9200", "node1", "node2"]
    assert tools.run("nodestatus", "api-pre-uninstall").status == 0
    assert tools.files()["/etc/nodestatus.conf"] == "printer:9200\n"
