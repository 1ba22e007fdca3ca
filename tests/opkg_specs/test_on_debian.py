# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of c3, ntpconfig and switcher, installed by dpkg in a real Debian, and used there.

The Debian is a throw-away root with a network of its own, in which head node and nodes are
addresses of its loopback interface with a real sshd behind them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.roots import debian_root, overlay, unpacked
from tests.opkg_specs.conftest import SPECS, Ran, ran

pytestmark = pytest.mark.slow

OPKGS = ("c3", "ntpconfig", "switcher")
# What they require of Debian, and what the tests use.
INCLUDED = (
    "chrony", "environment-modules", "openssh-server", "python3", "python3-clustershell", "rsync",
    "tcsh",
)  # fmt: skip

# Namespaces of its own, then the root; what was mounted and what runs goes with them.
ENTER = """
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/run"
mount -t tmpfs tmpfs "$0/dev"
for device in null zero random urandom; do
    touch "$0/dev/$device"
    mount --bind "/dev/$device" "$0/dev/$device"
done
hostname head1
echo head1 > "$0/etc/hostname"
exec chroot "$0" /bin/sh -euc "ip link set lo up; $1"
"""


class Debian:
    """A root with the packages of the OPKGs in /debs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, script: str) -> Ran:
        """Run a piece of shell in the root."""
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc"]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
        }
        return ran([*argv, "sh", "-euc", ENTER, str(self.root), script], env=environment)

    def check(self, script: str) -> str:
        """Run a piece of shell that has to succeed, and return what it printed."""
        done = self.run(script)
        assert done.status == 0, done.out + done.err
        return done.out


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages that opkgc makes of the OPKGs."""
    out = tmp_path_factory.mktemp("debs")
    directories = [SPECS / name for name in OPKGS]
    builder = [sys.executable, "-m", "builder", "build"]
    done = ran([*builder, *directories, "-t", "debian-12-x86_64", "-o", out])
    assert done.status == 0, done.err
    return out / "debian-12-x86_64"


@pytest.fixture
def debian(debs: Path) -> Iterator[Debian]:
    with overlay(unpacked(debian_root(INCLUDED))) as root:
        (root / "debs").mkdir()
        for deb in debs.glob("*.deb"):
            (root / "debs" / deb.name).write_bytes(deb.read_bytes())
        yield Debian(root)


HEAD = "/debs/c3_* /debs/opkg-c3_* /debs/opkg-c3-server_*"


def test_a_head_node_without_nodes_has_c3_for_itself(debian: Debian) -> None:
    debian.check(f"dpkg -i {HEAD}")
    assert debian.check("cexec --help").startswith("usage: cexec ")
    assert debian.check("clist") == "oscar_cluster: head head1 (inside: oscar-server), 0 nodes\n"
    assert not list((debian.root / "usr/share/c3").rglob("__pycache__"))
    refused = debian.run("cexec true")
    assert refused.status == 1
    assert "no node is chosen that is in use" in refused.err


NODES = f"""
dpkg -i {HEAD} /debs/c3-ckillnode_* > /dev/null
printf '127.0.0.1 localhost\\n127.0.0.1 head1\\n127.0.0.2 node1\\n127.0.0.3 node2\\n' > /etc/hosts
mkdir -p /run/sshd
/usr/sbin/sshd -o ListenAddress=127.0.0.2 -o ListenAddress=127.0.0.3
may_log_in() {{
    mkdir -p -m 700 "$1/.ssh"
    ssh-keygen -q -t ed25519 -N '' -f "$1/.ssh/id_ed25519"
    cp "$1/.ssh/id_ed25519.pub" "$1/.ssh/authorized_keys"
    ssh-keyscan node1 node2 > "$1/.ssh/known_hosts" 2> /dev/null
}}
may_log_in /root
printf 'node1\\nnode2\\n' > /nodes
OSCAR_NODES=/nodes /usr/lib/oscar/packages/c3/api-post-clientdef
"""


def test_c3_reaches_nodes_by_ssh_as_its_own_test_wants(debian: Debian) -> None:
    told = debian.check(
        f"""{NODES}
        /usr/lib/oscar/packages/c3/testing/test_root node1 node2
        cexec -p 'echo ${{SSH_CONNECTION#* * }}'
        """
    )
    assert "oscar_cluster:1 node2" in told
    assert told.splitlines()[-2:] == [
        "oscar_cluster node1: 127.0.0.2 22",
        "oscar_cluster node2: 127.0.0.3 22",
    ]


def test_c3_reaches_nodes_for_an_ordinary_user(debian: Debian) -> None:
    user = "useradd -m oscartst; may_log_in /home/oscartst; chown -R oscartst /home/oscartst; "
    debian.check(
        f"{NODES} {user} su oscartst -c '/usr/lib/oscar/packages/c3/testing/test_user node1 node2'"
    )


def test_c3_names_the_node_that_is_down_and_does_not_ask_for_passwords(debian: Debian) -> None:
    down = "echo 127.0.0.9 node3 >> /etc/hosts; echo node3 >> /nodes; "
    down += (
        "OSCAR_NODES=/nodes /usr/lib/oscar/packages/c3/api-post-clientdef; rm ~/.ssh/id_ed25519; "
    )
    done = debian.run(f"{NODES} {down} cexec true")
    assert done.status == 1
    assert "Permission denied" in done.out
    assert "Connection refused" in done.out
    assert done.err.splitlines() == [f"node{n}: exit status 255" for n in (1, 2, 3)]


def test_ckill_ends_processes_on_nodes(debian: Debian) -> None:
    # The nodes are one machine: of the process that both see, the second finds none.
    script = "cp /bin/sleep /usr/bin/a-job; a-job 100 & job=$!; "
    told = debian.check(f"{NODES} {script} ckill -s KILL :0 a-job; wait $job || echo ended $?")
    assert "ended 137" in told
    assert "--------- node1 ---------" in told


def test_the_time_of_the_head_node_is_served_to_those_who_may_ask(debian: Debian) -> None:
    answers = "<opt><network>127.0.0.2/32</network></opt>"
    script = f"""
    dpkg -i /debs/ntpconfig* /debs/opkg-ntpconfig_* /debs/opkg-ntpconfig-server_*
    cd /usr/lib/oscar/packages/ntpconfig
    echo '{answers}' > .configurator.values
    ./api-post-configure
    chronyd -p > /printed
    # -x: the clock is not touched.
    chronyd -x
    for address in 127.0.0.2 127.0.0.3; do
        if chronyd -Q -t 20 "server 127.0.0.1 iburst maxsamples 1" "bindacqaddress $address" \\
            "cmdport 0" "pidfile /run/asks.pid"; then
            echo "$address was answered"
        fi
    done
    """
    told = debian.check(script)
    printed = (debian.root / "printed").read_text()
    assert "allow 127.0.0.2/32\nlocal stratum 10" in printed
    assert "127.0.0.2 was answered" in told
    assert "127.0.0.3 was answered" not in told


def test_a_node_asks_the_head_node(debian: Debian) -> None:
    script = """
    dpkg -i /debs/ntpconfig* /debs/opkg-ntpconfig-client_* > /dev/null
    echo '127.0.0.1 oscar-server' >> /etc/hosts
    chronyd -x
    # It answers before it has read names from /etc/hosts.
    for turn in $(seq 100); do
        chronyc -n sources | grep 127.0.0.1 && break
        sleep 0.1
    done
    """
    assert "127.0.0.1" in debian.check(script)


MODULES = """
dpkg -i /debs/env-switcher_* /debs/opkg-switcher_* /debs/opkg-switcher-server_* > /dev/null
mkdir -p /opt/modulefiles/mpi
for name in one two; do
    printf '#%%Module\\nsetenv MPI %s\\n' $name > /opt/modulefiles/mpi/$name
done
cat > /usr/bin/in-login-shell <<'END'
#!/bin/sh
case $1 in
    # tcsh is a login shell by its name alone, and complains of a missing terminal.
    tcsh) echo "$2" | bash -c 'exec -a -tcsh tcsh' | sed -n 's/^[^<]*</</p' ;;
    *) exec "$1" -lc "$2" ;;
esac
END
chmod +x /usr/bin/in-login-shell
"""


@pytest.mark.parametrize("shell", ["bash", "dash", "tcsh"])
def test_shells_load_the_module_that_was_chosen(debian: Debian, shell: str) -> None:
    told = debian.check(
        f"""{MODULES}
        in-login-shell {shell} 'echo "<$LOADEDMODULES>"'
        switcher mpi = one --system
        in-login-shell {shell} 'echo "<$LOADEDMODULES> $MPI"'
        switcher mpi = two
        in-login-shell {shell} 'echo "<$LOADEDMODULES> $MPI"'
        switcher mpi = none
        in-login-shell {shell} 'echo "<$LOADEDMODULES>"'
        """
    )
    assert told.splitlines() == ["<>", "<mpi/one> one", "<mpi/two> two", "<>"]


@pytest.mark.parametrize("shell", ["bash", "dash", "tcsh"])
def test_a_shell_drops_what_an_older_choice_loaded_in_the_one_it_comes_from(
    debian: Debian, shell: str
) -> None:
    told = debian.check(
        f"""{MODULES}
        switcher mpi = one
        inner='echo "<`printenv LOADEDMODULES`>"'
        export inner
        in-login-shell bash '
            echo "$LOADEDMODULES"
            switcher mpi = two
            in-login-shell {shell} "$inner"
            switcher mpi = none
            in-login-shell {shell} "$inner"
        '
        """
    )
    assert told.splitlines() == ["mpi/one", "<mpi/two>", "<>"]


def test_switcher_passes_its_own_tests(debian: Debian) -> None:
    tests = "/usr/lib/oscar/packages/switcher/testing"
    told = debian.check(
        f"""{MODULES}
        {tests}/test_root
        useradd -m oscartst
        su oscartst -c "{tests}/test_user"
        [ ! -e /home/oscartst/.switcher.ini ]
        """
    )
    assert told == "mpi\n"
