# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts of the OPKG ganglia: the cluster's settings in the configuration of others."""

from __future__ import annotations

import shutil

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.running import SPECS

pytestmark = pytest.mark.slow

GMOND = """\
globals {
  user = ganglia
  send_metadata_interval = 0 /*secs */
}
cluster {
  name = "unspecified"
  url = "unspecified"
}
/* more than one is possible */
udp_send_channel {
  #bind_hostname = yes # a comment
  mcast_join = 239.2.11.71
  port = 8649
}
udp_recv_channel {
  mcast_join = 239.2.11.71
  port = 8649
}
tcp_accept_channel {
  port = 8649
}
modules {
  module {
    name = "core_metrics"
  }
}
"""
GMETAD = """\
# data_source "an example" localhost
data_source "my cluster" localhost
# gridname "MyGrid"
"""


@pytest.fixture
def head(tools: Sandbox) -> Sandbox:
    tools.write("/etc/ganglia/gmond.conf", GMOND)
    tools.write("/etc/ganglia/gmetad.conf", GMETAD)
    return tools


def written(machine: Sandbox, *answers: str, root: str = "") -> tuple[str, ...]:
    """The two files, after some answers."""
    machine.write("/opkg/.configurator.values", f"<opt>{''.join(answers)}</opt>")
    done = machine.run("ganglia", "write-conf", root)
    assert done.status == 0, done.err
    files = machine.files()
    return tuple(files[f"{root}/etc/ganglia/{name}.conf"] for name in ("gmond", "gmetad"))


def test_nodes_send_to_the_head_node_and_all_else_stays(head: Sandbox) -> None:
    gmond, gmetad = written(head)
    assert 'cluster {\n  name = "OSCAR Cluster"\n  owner = "OSCAR"\n}' in gmond
    assert "udp_send_channel {\n  host = oscar-server\n  port = 8649\n  ttl = 1\n}" in gmond
    assert "udp_recv_channel {\n  port = 8649\n}" in gmond
    assert "send_metadata_interval = 60" in gmond
    assert "mcast" not in gmond
    assert gmond.endswith(GMOND[GMOND.index("tcp_accept_channel") :])
    assert gmetad == (
        '# data_source "an example" localhost\n'
        'data_source "OSCAR Cluster" localhost:8649\n'
        'gridname "OSCAR"\n'
    )


def test_an_interface_means_multicast(head: Sandbox) -> None:
    gmond, _ = written(head, "<interface>eth1</interface>", "<cluster>Blue Gene</cluster>")
    assert 'name = "Blue Gene"' in gmond
    assert gmond.count("mcast_if = eth1") == 2
    assert "oscar-server" not in gmond
    assert "oscar-server" in written(head)[0]


def test_done_twice_is_as_once_and_taken_back_as_never(head: Sandbox) -> None:
    before = head.files()
    once = written(head, "<owner>me</owner>")
    assert written(head, "<owner>me</owner>") == once
    head.run("ganglia", "server-pre-uninstall")  # no service is installed here
    assert head.files() == before


def test_an_image_has_no_gmetad(head: Sandbox) -> None:
    head.write("/opt/image/etc/ganglia/gmond.conf", GMOND)
    before = head.files()
    shutil.copytree(SPECS / "ganglia/scripts", head.root / "opkg")
    assert head.run("ganglia", "api-post-image", "/opt/image").status == 0
    after = head.files()
    changed = {path for path in after if after[path] != before.get(path)}
    conf = "/opt/image/etc/ganglia/gmond.conf"
    assert changed == {conf, f"{conf}.before-oscar"}
    assert "oscar-server" in after[conf]


@pytest.mark.parametrize(
    "answer", ['<cluster>a"b</cluster>', "<interface>eth0; x</interface>", "<owner>}</owner>"]
)
def test_an_answer_that_would_break_the_file_is_refused(head: Sandbox, answer: str) -> None:
    before = head.files()
    head.write("/opkg/.configurator.values", f"<opt>{answer}</opt>")
    refused = head.run("ganglia", "write-conf", "")
    assert refused.status == 1
    assert "correct it in /opkg/.configurator.values" in refused.err
    assert head.files() == before


def test_without_gmond_it_is_said(tools: Sandbox) -> None:
    refused = tools.run("ganglia", "write-conf", "")
    assert refused.status == 1
    assert "is gmond installed?" in refused.err
