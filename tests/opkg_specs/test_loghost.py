# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's log on the head node, through two real rsyslogd."""

from __future__ import annotations

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.machines import Machine

HOME = "/usr/lib/oscar/packages/loghost"
# Waits for a word in the node's file, for at most 20 seconds.
ARRIVES = """
arrives() {
    for i in $(seq 100); do
        ! grep -qs "$1" /var/log/nodes/*.log || { grep -l "$1" /var/log/nodes/*.log; return; }
        sleep 0.2
    done
    echo "$1 did not arrive"
}
"""


@pytest.mark.slow
def test_what_a_node_logs_arrives_also_when_the_head_node_was_away(
    machines: tuple[Machine, Machine],
) -> None:
    head, image = machines
    image.install("opkg-loghost-client")
    head.install("opkg-loghost-server")
    told = head.check(
        f"""{ARRIVES}
        node rsyslogd
        node logger first word
        rsyslogd
        arrives 'first word'
        node logger -t ../../../etc/evil second word
        arrives 'second word'
        {HOME}/testing/test_root
        """
    )
    # Both machines have one name here: that of the file. A tag cannot lead out of the folder.
    assert told.splitlines()[:2] == ["/var/log/nodes/head1.log"] * 2


@pytest.mark.slow
def test_only_the_networks_that_may_are_heard(machines: tuple[Machine, Machine]) -> None:
    head, _ = machines
    head.install("opkg-loghost-server")
    told = head.check(
        f"""{ARRIVES}
        echo '<opt><network>10.9.0.0/16</network><network>fd00::/8</network></opt>' \
            > {HOME}/.configurator.values
        {HOME}/api-post-configure
        rsyslogd -N 1 2>&1
        grep AllowedSender /etc/rsyslog.d/10-oscar-loghost.conf
        """
    )
    assert "$AllowedSender TCP, 127.0.0.0/8, 10.9.0.0/16, [fd00::]/8" in told
    assert "error" not in told


@pytest.mark.parametrize("value", ["10.0.0.0/8; input(x)", "$IncludeConfig"])
def test_an_answer_that_is_no_network_is_refused(tools: Sandbox, value: str) -> None:
    tools.write("/opkg/.configurator.values", f"<opt><network>{value}</network></opt>")
    (tools.root / "etc/rsyslog.d").mkdir()
    before = tools.files()
    refused = tools.run("loghost", "server-post-install")
    assert refused.status == 1
    assert "cannot be a value of network" in refused.err
    assert tools.files() == before
