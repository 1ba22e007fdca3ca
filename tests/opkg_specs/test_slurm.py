# SPDX-License-Identifier: GPL-2.0-or-later
"""The OPKG slurm: the configuration that it writes, and a job on one machine."""

from __future__ import annotations

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.machines import Machine


def printed(tools: Sandbox, *nodes: str) -> list[str]:
    done = tools.run("slurm", "slurm-conf", *nodes)
    assert done.status == 0, done.err
    return [line for line in done.out.splitlines() if line and not line.startswith("#")]


def test_every_node_is_in_the_configuration_and_the_controller_is_the_head(tools: Sandbox) -> None:
    tools.write("/etc/hostname", "head7.example.org\n")
    lines = printed(tools, "node1:10.0.0.1", "node2:-", "node3:fd00::3")
    assert "SlurmctldHost=head7(oscar-server)" in lines
    assert "NodeName=node1 NodeAddr=10.0.0.1 CPUs=1 State=UNKNOWN" in lines
    assert "NodeName=node2 CPUs=1 State=UNKNOWN" in lines
    assert "NodeName=node3 NodeAddr=fd00::3 CPUs=1 State=UNKNOWN" in lines
    assert lines[-1] == "PartitionName=cluster Nodes=ALL Default=YES MaxTime=UNLIMITED State=UP"


def test_answers_and_the_administrators_own_file_count(tools: Sandbox) -> None:
    tools.write(
        "/opkg/.configurator.values",
        "<opt><cluster>blue</cluster><partition>Long</partition><limit>7-0</limit></opt>",
    )
    tools.write("/etc/slurm/slurm.local.conf", "SchedulerType=sched/builtin\n")
    lines = printed(tools, "node1:-")
    assert "ClusterName=blue" in lines
    assert "PartitionName=Long Nodes=ALL Default=YES MaxTime=7-0 State=UP" in lines
    assert lines[-1] == "Include /etc/slurm/slurm.local.conf"


@pytest.mark.parametrize(
    "answer", ["<limit>soon</limit>", "<cluster>a;b</cluster>", "<partition>1</partition>"]
)
def test_an_answer_that_slurm_would_not_take_is_refused(tools: Sandbox, answer: str) -> None:
    tools.write("/opkg/.configurator.values", f"<opt>{answer}</opt>")
    refused = tools.run("slurm", "slurm-conf", "node1:-")
    assert refused.status == 1
    assert "correct it in /opkg/.configurator.values" in refused.err


def test_a_node_fetches_its_configuration_and_forgets_that_when_it_goes(tools: Sandbox) -> None:
    unit = "/etc/systemd/system/slurmd.service.d/oscar.conf"
    (tools.root / "etc/systemd/system").mkdir(parents=True)
    before = tools.files()
    done = tools.run("slurm", "client-post-install")
    assert "Environment=SLURMD_OPTIONS=--conf-server=oscar-server\n" in tools.files()[unit]
    assert done.status == 0 or "slurmd.service" in done.err  # no slurm is installed here
    tools.run("slurm", "client-pre-uninstall")
    assert tools.files() == before


HOME = "/usr/lib/oscar/packages/slurm"
# What the nodes would say over ssh.
NODES = f"""
cat > /usr/local/bin/ssh <<'END'
#!/bin/sh
for word; do
    case $word in
        node1) echo "NodeName=n CPUs=8 Boards=1 SocketsPerBoard=2 RealMemory=32000"; exit ;;
        node2) exit 255 ;;
    esac
done
END
chmod +x /usr/local/bin/ssh
printf 'node1\\nnode2\\n' > /tmp/nodes
export OSCAR_NODES=/tmp/nodes OSCAR_PACKAGE_HOME={HOME}
"""


@pytest.mark.slow
def test_a_job_runs_and_nodes_are_asked_what_they_have(machines: tuple[Machine, Machine]) -> None:
    head = machines[0]
    head.install("opkg-slurm-server", "opkg-slurm-client")
    assert head.check(f"{HOME}/testing/one-machine").endswith("a job ran\n")

    head.check("mkdir -p /etc/slurm; echo '# mine' > /etc/slurm/slurm.conf")
    told = head.run(
        f"{NODES} cd {HOME}; ./api-post-clientdef; ./api-post-deploy; cat /etc/slurm/slurm.conf"
    )
    assert told.status == 0, told.err
    assert "node2 does not tell what it has" in told.err
    nodes = [line for line in told.out.splitlines() if line.startswith("NodeName=")]
    assert "CPUs=8 Boards=1 SocketsPerBoard=2 RealMemory=32000 State=UNKNOWN" in nodes[0]
    assert "CPUs=1 State=UNKNOWN" in nodes[1]

    head.purge_ours()
    assert head.check("cat /etc/slurm/slurm.conf") == "# mine\n"
