# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of C3, run as programs, over a remote shell that stays on this machine.

The remote shell is a script that is called like ssh and runs the command here, in a folder that
stands for the host's home; a host whose name starts with “down” cannot be reached. All else, C3,
ClusterShell and rsync, is what a cluster has.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pytest
from c3.config import parse_config, parse_spec, select
from c3.cpush import push_jobs
from c3.remote import Remote

from tests.opkg_specs.conftest import C3_SOURCE, Ran, ran

pytestmark = pytest.mark.slow

COMMANDS = (
    "cexec", "cexecs", "cget", "ckill", "clist", "cname", "cnum", "cpush", "crm", "cshutdown",
)  # fmt: skip

REMOTE_SHELL = """\
#!/bin/sh
user=nobody
if [ "$1" = -l ]; then user=$2; shift 2; fi
host=$1; shift
case $host in down*) echo "no route to $host" >&2; exit 255 ;; esac
mkdir -p "$HOSTS/$host"; cd "$HOSTS/$host"
C3_CONF=$HOSTS/../$host.conf HOST=$host LOGIN=$user exec sh -c "$*"
"""

CONF = """\
cluster alpha {
    head:inner
    node[1-3]
    exclude 2
    dead gone
    spare
}
cluster beta { :betahead }
cluster empty { lone }
"""

BETA_CONF = "cluster own { betahead b[1-2] }\n"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A head node with C3 on it, whose nodes are folders."""

    folder: Path

    def run(self, *words: str, stdin: str = "", **variables: str) -> Ran:
        argv, environment = self.command(*words, **variables)
        return ran(argv, env=environment, cwd=self.folder, input=stdin)

    def command(self, *words: str, **variables: str) -> tuple[list[str | Path], dict[str, str]]:
        """The command line and the environment of one of C3's commands."""
        environment = {
            **os.environ,
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(C3_SOURCE),
            "HOSTS": str(self.folder / "hosts"),
            "C3_CONF": str(self.folder / "c3.conf"),
            "C3_RSH": str(self.folder / "bin/remote-shell"),
            "COLUMNS": "80",
            **variables,
        }
        return [sys.executable, "-B", "-m", f"c3.{words[0]}", *words[1:]], environment

    def host(self, name: str) -> Path:
        return self.folder / "hosts" / name


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    for folder in ("bin", "hosts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "c3.conf").write_text(CONF)
    (tmp_path / "betahead.conf").write_text(BETA_CONF)
    scripts = {"remote-shell": REMOTE_SHELL}
    for name in COMMANDS:
        # What the head of an indirect cluster finds on its PATH.
        scripts[name] = f'#!/bin/sh\nexec "{sys.executable}" -B -m c3.{name} "$@"\n'
    for name, text in scripts.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return Cluster(folder=tmp_path)


# What all commands have in common.


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_in_80_columns(cluster: Cluster, command: str) -> None:
    shown = cluster.run(command, "--help")
    assert shown.status == 0
    assert shown.out.startswith(f"usage: {command} ")
    assert max(map(len, shown.out.splitlines())) <= 80
    assert cluster.run(command, "--version").out.startswith(f"{command} (C3) ")


@pytest.mark.parametrize(
    "words",
    [
        ("cexec",),
        ("cexec", "--nonsense", "true"),
        ("cexec", ":9", "true"),
        ("cexec", "nowhere:", "true"),
        ("cexec", ":1-", "true"),
        ("cexec", "--all", ":", "true"),
        ("cpush",),
        ("cpush", "a", "b", "c"),
        ("cpush", "-l", "list", "a"),
        ("cget", ":"),
        ("cget", "/tmp/*"),
        ("ckill", ":"),
        ("ckill", "a", "b"),
        ("crm", ":"),
        ("cshutdown", ":"),
        ("clist", "x"),
        ("cname", "node1"),
        ("cnum",),
    ],
)
def test_wrong_usage_is_status_2_and_does_nothing(cluster: Cluster, words: tuple[str, ...]) -> None:
    refused = cluster.run(*words)
    assert refused.status == 2
    assert refused.out == ""
    assert f"{words[0]}: " in refused.err
    assert not list(cluster.host(".").iterdir())


def test_a_fault_in_c3_conf_is_shown_with_its_line_and_a_remedy(cluster: Cluster) -> None:
    (cluster.folder / "bad.conf").write_text("cluster a {\nhead\nnode[1-\n}")
    refused = cluster.run("cexec", "-f", "bad.conf", "true")
    assert refused.status == 1
    assert refused.err.splitlines() == [
        "cexec: bad.conf:3: “node[1-” cannot be a node",
        "  write a host, or a range like node[1-64]",
    ]


def test_without_c3_conf_it_is_named(cluster: Cluster) -> None:
    refused = cluster.run("clist", C3_CONF="/nowhere/c3.conf")
    assert refused.status == 1
    assert "/nowhere/c3.conf: cannot read it: No such file" in refused.err


# cexec and cexecs.


@pytest.mark.parametrize("command", ["cexec", "cexecs"])
def test_output_is_shown_under_the_name_of_its_host_in_their_order(
    cluster: Cluster, command: str
) -> None:
    # The first host is the last to answer.
    done = cluster.run(
        command, '[ "$HOST" != node1 ] || sleep 0.3; echo "I am $HOST"; echo >&2 err'
    )
    assert done.status == 0
    assert done.err == ""
    title, *lines = done.out.splitlines()
    assert title.strip("*") == " alpha "
    assert lines == [
        line
        for host in ("node1", "node3", "spare")
        for line in (f"--------- {host} ---------", f"I am {host}", "err")
    ]


def test_all_hosts_run_at_once_with_cexec_and_one_by_one_with_cexecs(cluster: Cluster) -> None:
    # Each host says when it starts and when it ends; with cexec, all wait for one another.
    meet = """
    echo "start $HOST" >> ../log
    for turn in $(seq 100); do
        [ "$(grep -c start ../log)" -lt 3 ] || break
        sleep 0.1
    done
    echo "end $HOST" >> ../log
    """
    log = cluster.host("log")
    assert cluster.run("cexec", meet).status == 0
    assert [line.split()[0] for line in log.read_text().splitlines()[:3]] == ["start"] * 3
    log.unlink()
    assert (
        cluster.run("cexecs", 'echo "start $HOST" >> ../log; echo "end $HOST" >> ../log').status
        == 0
    )
    assert log.read_text().split() == [
        word for host in ("node1", "node3", "spare") for word in ("start", host, "end", host)
    ]


def test_one_failed_host_makes_the_status_1_and_is_named(cluster: Cluster) -> None:
    done = cluster.run("cexec", '[ "$HOST" != node3 ] || exit 7')
    assert (done.status, done.err) == (1, "node3: exit status 7\n")


def test_a_host_that_cannot_be_reached_does_not_keep_others_from_answering(
    cluster: Cluster,
) -> None:
    (cluster.folder / "c3.conf").write_text("cluster a { head down1 up1 }")
    done = cluster.run("cexec", "-p", "echo here")
    assert done.out.splitlines() == ["a down1: no route to down1", "a up1: here"]
    assert (done.status, done.err) == (1, "down1: exit status 255\n")


def test_specifications_choose_hosts_users_and_clusters(cluster: Cluster) -> None:
    done = cluster.run("cexec", "-p", ":2", "me@alpha:0", "beta:1", ":2", "echo $HOST $LOGIN")
    assert done.out.splitlines() == [
        "alpha node3: node3 nobody",
        "alpha node1: node1 me",
        "own b2: b2 nobody",
    ]


def test_the_user_for_all_hosts_comes_from_the_environment(cluster: Cluster) -> None:
    done = cluster.run("cexec", "-p", "me@:0", ":2", "echo $LOGIN", C3_USER="other")
    assert done.out.splitlines() == ["alpha node1: me", "alpha node3: other"]


def test_head_means_the_head_nodes_alone(cluster: Cluster) -> None:
    done = cluster.run("cexec", "--head", "-p", ":", "beta:", "empty:", "echo $HOST")
    assert done.out.splitlines() == [
        "alpha head: head",
        "beta betahead: betahead",
        "empty lone: lone",
    ]


def test_all_means_every_cluster(cluster: Cluster) -> None:
    done = cluster.run("cexec", "--all", "-p", "echo $HOST")
    hosts = [line.split()[-1] for line in done.out.splitlines()]
    assert hosts == ["node1", "node3", "spare", "b1", "b2"]


@pytest.mark.parametrize("spec", [":1", ":3", "empty:"])
def test_where_no_node_is_in_use_nothing_is_run(cluster: Cluster, spec: str) -> None:
    refused = cluster.run("cexec", spec, "echo $HOST")
    assert refused.status == 1
    assert "no node is chosen that is in use" in refused.err


def test_the_head_of_an_indirect_cluster_gets_the_command_as_it_was(cluster: Cluster) -> None:
    tricky = """printf '<%s>' "a  b" 'c"d' "\\$x" *; exit 3"""
    direct = cluster.run("cexec", "-p", ":0", tricky)
    relayed = cluster.run("cexec", "-p", "beta:0", tricky)
    assert relayed.out == direct.out.replace("alpha node1", "own b1")
    assert relayed.out.endswith("""<a  b><c"d><$x><*>\n""")
    assert relayed.err.splitlines() == ["b1: exit status 3", "the cluster beta: exit status 1"]
    assert relayed.status == 1


def test_c3_path_says_where_commands_lie_on_the_head_of_an_indirect_cluster(
    cluster: Cluster,
) -> None:
    done = cluster.run("cexec", "-n", "beta:", "true", C3_PATH="/opt/c3/")
    assert done.out.strip().endswith("betahead '/opt/c3/cexec : true'")


def test_a_dry_run_shows_and_runs_nothing(cluster: Cluster) -> None:
    done = cluster.run("cexec", "-n", ":0", "touch", "x")
    assert done.out == f"{cluster.folder}/bin/remote-shell node1 'touch x'\n"
    assert not cluster.host("node1").exists()


@pytest.mark.parametrize(("answer", "happens"), [("y\n", True), ("n\n", False), ("", False)])
def test_asked_first_only_a_yes_runs_it(cluster: Cluster, answer: str, happens: bool) -> None:
    done = cluster.run("cexec", "-i", ":0", "touch x", stdin=answer)
    assert "run “touch x” on 1 host?" in done.out
    assert (cluster.host("node1") / "x").exists() is happens
    assert done.status == (0 if happens else 1)


def test_commands_read_no_input(cluster: Cluster) -> None:
    assert "<>" in cluster.run("cexec", ":0", "printf '<%s>' \"$(cat)\"", stdin="mine").out


def test_an_interrupt_ends_what_was_started(cluster: Cluster) -> None:
    argv, environment = cluster.command("cexec", "echo $$ > ../$HOST.pid; exec sleep 1000")
    with subprocess.Popen(argv, env=environment, text=True, stderr=subprocess.PIPE) as process:
        pids = [cluster.host(f"{name}.pid") for name in ("node1", "node3", "spare")]
        while not all(path.exists() and path.read_text() for path in pids):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines() == [f"{name}: not finished" for name in ("node1", "node3", "spare")]
    for path in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)


def test_a_reader_that_has_seen_enough_is_no_bug(cluster: Cluster) -> None:
    argv, environment = cluster.command("cexec", "seq 100000")
    with subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 1


# The other commands.


def test_clist_cname_and_cnum_say_what_there_is(cluster: Cluster) -> None:
    assert cluster.run("clist").out.splitlines() == [
        "alpha: head head (inside: inner), 5 nodes, 2 of them dead or excluded",
        "beta: indirect, through betahead",
        "empty: head lone, 0 nodes",
    ]
    assert cluster.run("cname", ":0-1", "alpha:3-4").out.splitlines() == [
        "alpha:0 node1",
        "alpha:1 node2 excluded",
        "alpha:3 gone dead",
        "alpha:4 spare",
    ]
    assert cluster.run("cnum", "alpha:", "spare", "node1").out.splitlines() == [
        "alpha:4 spare",
        "alpha:0 node1",
    ]


def test_cnum_fails_for_a_name_that_is_not_there(cluster: Cluster) -> None:
    done = cluster.run("cnum", "node1", "nothere")
    assert done.status == 1
    assert done.out == "alpha:0 node1\n"
    assert "not in the cluster alpha: nothere" in done.err


def test_cname_of_an_indirect_cluster_says_who_knows(cluster: Cluster) -> None:
    refused = cluster.run("cname", "beta:")
    assert refused.status == 1
    assert "only betahead knows" in refused.err


def test_crm_expands_wildcards_on_the_hosts_and_keeps_other_characters(cluster: Cluster) -> None:
    for name in ("a b.o", "c.o", "$x;y", "keep"):
        for host in ("node1", "b1"):
            cluster.host(host).mkdir(exist_ok=True)
            (cluster.host(host) / name).touch()
    assert cluster.run("crm", ":0", "beta:0", "*.o", "$x;y").status == 0
    for host in ("node1", "b1"):
        assert [path.name for path in cluster.host(host).iterdir()] == ["keep"]


def test_crm_fails_for_what_is_not_there_unless_forced(cluster: Cluster) -> None:
    assert cluster.run("crm", ":0", "nothing").status == 1
    assert cluster.run("crm", "-o", ":0", "nothing").status == 0


def test_crm_removes_folders_only_when_told(cluster: Cluster) -> None:
    (cluster.host("node1") / "folder").mkdir(parents=True)
    assert cluster.run("crm", ":0", "folder").status == 1
    assert cluster.run("crm", "-r", "-v", ":0", "folder").out.endswith(
        "removed directory 'folder'\n"
    )


def test_ckill_and_cshutdown_call_what_the_hosts_have(cluster: Cluster) -> None:
    (cluster.folder / "bin/ckillnode").write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    (cluster.folder / "bin/ckillnode").chmod(0o755)
    done = cluster.run("ckill", "-s", "9", "-u", "ALL", ":0", "beta:0", "my job")
    assert [line for line in done.out.splitlines() if line.startswith("<")] == [
        "<-s><9><-u><ALL><--><my job>"
    ] * 2
    # Never run for real here: a remote shell that only prints.
    for way, flag in (([], "-P"), (["-r"], "-r"), (["-H"], "-H"), (["-k"], "-k")):
        words = ["cshutdown", *way, ":0", "+5", "back", "soon"]
        shown = cluster.run(*words, C3_RSH="echo")
        assert shown.out.splitlines()[-1] == f"node1 /sbin/shutdown {flag} +5 'back soon'"
    assert "node1 /sbin/shutdown -c" in cluster.run("cshutdown", "-c", ":0", C3_RSH="echo").out


def test_cpush_copies_files_to_hosts_directly_and_by_way_of_a_head(cluster: Cluster) -> None:
    (cluster.folder / "a file").write_text("content")
    done = cluster.run("cpush", ":0,2", "beta:", "a file", "copy 1")
    assert (done.status, done.out) == (0, "")
    for host in ("node1", "node3", "b1", "b2"):
        assert (cluster.host(host) / "copy 1").read_text() == "content"
    assert not cluster.host("spare").exists()


def test_cpush_copies_folders_or_what_is_in_them(cluster: Cluster) -> None:
    (cluster.folder / "data").mkdir()
    (cluster.folder / "data/.hidden").write_text("x")
    assert cluster.run("cpush", ":0", "beta:0", "data", ".").status == 0
    assert cluster.run("cpush", ":2", "beta:1", "data/", "inner").status == 0
    for path in ("node1/data", "b1/data", "node3/inner", "b2/inner"):
        assert [each.name for each in (cluster.host(".") / path).iterdir()] == [".hidden"]


def test_cpush_without_a_target_copies_to_the_same_place() -> None:
    config = parse_config(CONF, "c3.conf")
    chosen = [select(config, parse_spec(":0"))]
    options = Namespace(b=False, head=False, nolocal=False)
    for source, place in (
        ("/etc/hosts", "/etc/"),
        ("/srv/data/", "/srv/"),
        ("x", f"{Path.cwd()}/"),
    ):
        (job,) = push_jobs(chosen, options, Remote(rsh=("ssh",)), source, [])
        assert job.command == f"rsync -a -s -e ssh -- {source} node1:{place}"


def test_cpush_reads_a_list_of_files(cluster: Cluster) -> None:
    for name in ("one", "two"):
        (cluster.folder / name).write_text(name)
    (cluster.folder / "list").write_text("# what and where\none first\n\ntwo second # too\n")
    assert cluster.run("cpush", "-b", "-l", "list", ":0").status == 0
    assert (cluster.host("node1") / "first").read_text() == "one"
    assert (cluster.host("node1") / "second").read_text() == "two"
    (cluster.folder / "list").write_text("one first\nthree is many\n")
    refused = cluster.run("cpush", "-l", "list", ":2")
    assert "list:2: 3 names" in refused.err
    assert not cluster.host("node3").exists()


def test_cpush_of_what_is_not_here_asks_no_host(cluster: Cluster) -> None:
    refused = cluster.run("cpush", "nothing")
    assert (refused.status, refused.err) == (1, "cpush: nothing: there is no such file here\n")
    assert not list(cluster.host(".").iterdir())


def test_cpush_nolocal_takes_the_file_from_the_head_of_an_indirect_cluster(
    cluster: Cluster,
) -> None:
    cluster.host("betahead").mkdir()
    (cluster.host("betahead") / "theirs").write_text("from beta")
    assert cluster.run("cpush", "--nolocal", "beta:", "theirs", "got").status == 0
    assert (cluster.host("b2") / "got").read_text() == "from beta"


def test_cget_names_each_file_after_its_cluster_and_host(cluster: Cluster) -> None:
    for host in ("node1", "node3", "b1", "b2"):
        cluster.host(host).mkdir()
        (cluster.host(host) / "r 1").write_text(host)
    results = cluster.folder / "results"
    results.mkdir(mode=0o755)
    (results / "r 1_alpha_node1").write_text("older")
    done = cluster.run("cget", ":0,2", "beta:", "r 1", "results")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert {path.name: path.read_text() for path in results.iterdir()} == {
        "r 1_alpha_node1": "node1",
        "r 1_alpha_node3": "node3",
        "r 1_own_b1": "b1",
        "r 1_own_b2": "b2",
    }
    assert results.stat().st_mode & 0o777 == 0o755


def test_cget_fetches_folders_into_the_current_one(cluster: Cluster) -> None:
    (cluster.host("node1") / "logs").mkdir(parents=True)
    (cluster.host("node1") / "logs/today").write_text("fine")
    assert cluster.run("cget", ":0", "logs").status == 0
    assert (cluster.folder / "logs_alpha_node1/today").read_text() == "fine"


def test_cget_brings_what_there_is_and_names_who_has_nothing(cluster: Cluster) -> None:
    for host in ("node1", "b2"):
        cluster.host(host).mkdir()
        (cluster.host(host) / "x").touch()
    (cluster.folder / "got").mkdir()
    done = cluster.run("cget", ":0,2", "beta:", "x", "got")
    assert done.status == 1
    assert "node3: exit status" in done.err
    assert "b1: exit status" in done.err
    assert {path.name for path in (cluster.folder / "got").iterdir()} == {
        "x_alpha_node1",
        "x_own_b2",
    }
