# SPDX-License-Identifier: GPL-2.0-or-later
"""sync_files: what it decides, and what it does to an image and to nodes behind a real sshd."""

from __future__ import annotations

import importlib.util
import re
from importlib.machinery import SourceFileLoader
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.opkg_specs.conftest import SPECS, ran
from tests.opkg_specs.machines import IMAGE, Machine

PROGRAM = SPECS / "opium/src/sync_files"
HOME = "/usr/lib/oscar/packages/opium"


def _module() -> ModuleType:
    loader = SourceFileLoader("sync_files", str(PROGRAM))
    spec = importlib.util.spec_from_loader("sync_files", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


sync_files = _module()
SETTINGS = sync_files.Settings()
HEAD = {
    "passwd": ["root:x:0:0::/root:/bin/sh", "ntp:x:105:105::/:", "anna:x:1000:1000::/home/anna:"],
    "shadow": ["root:HEAD:1::::::", "ntp:!:1::::::", "anna:SECRET:1::::::"],
    "group": ["root:x:0:", "video:x:44:anna", "anna:x:1000:", "team:x:1500:anna"],
    "gshadow": ["root:*::", "video:*::anna", "anna:!::", "team:!::anna"],
}
NODE = {
    "passwd": ["root:x:0:0::/root:/bin/bash", "slurm:x:105:106::/:", "gone:x:1001:1001::/:"],
    "shadow": ["root:NODE:1::::::", "slurm:!:1::::::", "gone:OLD:1::::::"],
    "group": ["root:x:0:", "video:x:39:", "gone:x:1001:"],
    "gshadow": ["root:*::", "video:*::", "gone:!::"],
}


def test_the_cluster_s_users_are_those_of_the_head_node_and_services_stay() -> None:
    assert sync_files.merged(HEAD, NODE, SETTINGS) == {
        "passwd": [*NODE["passwd"][:2], HEAD["passwd"][2]],
        "shadow": [*NODE["shadow"][:2], HEAD["shadow"][2]],
        "group": [*NODE["group"][:2], *HEAD["group"][2:]],
        "gshadow": [*NODE["gshadow"][:2], *HEAD["gshadow"][2:]],
    }


def test_a_node_without_gshadow_gets_none() -> None:
    node = {table: lines for table, lines in NODE.items() if table != "gshadow"}
    assert "gshadow" not in sync_files.merged(HEAD, node, SETTINGS)


def test_a_name_that_is_a_service_s_on_the_node_is_refused() -> None:
    node = {**NODE, "passwd": [*NODE["passwd"], "anna:x:107:107::/:"]}
    with pytest.raises(sync_files.RefusedError, match="anna has a number of its own in passwd"):
        sync_files.merged(HEAD, node, SETTINGS)


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(NAMES, NAMES, st.sampled_from(["abcd", "efgh", ""]))
def test_once_merged_nothing_is_left_to_do(head: str, node: str, services: str) -> None:
    def tables(names: str, shell: str) -> dict[str, list[str]]:
        number = {name: ord(name) + (0 if name in services else 1000) for name in names}
        return {
            "passwd": [f"{name}:x:{number[name]}:1::/:{shell}" for name in names],
            "group": [f"{name}:x:{number[name]}:" for name in names],
            "shadow": [f"{name}:{shell}:1::::::" for name in names],
        }

    source = tables(head, "head")
    once = sync_files.merged(source, tables(node, "node"), SETTINGS)
    assert sync_files.merged(source, once, SETTINGS) == once
    for table, other in (("passwd", "shadow"), ("shadow", "passwd")):
        names = [line.partition(":")[0] for line in once[table]]
        assert sorted(names) == sorted(set(names))
        assert set(names) == {line.partition(":")[0] for line in once[other]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("first 1000\nusec3 off\n", "conf:2: expected “first NUMBER”"),
        ("syncfile etc/hosts\n", "conf:1: expected"),
        ("first 70000\n", "first has to be from 1 to last"),
        ("first x\n", "conf:1: expected"),
        ("syncfile /etc/shadow\n", "/etc/shadow needs no syncfile"),
    ],
)
def test_settings_that_are_wrong_are_told_with_their_line(text: str, said: str) -> None:
    with pytest.raises(sync_files.RefusedError, match=re.escape(said)):
        sync_files.parse_settings(text, "conf")


def test_settings_are_read() -> None:
    text = "# mine\nfirst 500 # as of old\n\nsyncfile /etc/hosts\nsyncfile /etc/a b\n"
    assert sync_files.parse_settings(text, "conf") == sync_files.Settings(
        first=500, last=59999, files=("/etc/hosts", "/etc/a b")
    )


def test_the_settings_that_are_shipped_are_the_defaults() -> None:
    text = (SPECS / "opium/src/sync_files.conf").read_text()
    assert sync_files.parse_settings(text, "conf") == SETTINGS


def test_help_fits_a_terminal() -> None:
    told = ran(["/usr/bin/python3", PROGRAM, "--help"], env={"COLUMNS": "80"})
    assert told.status == 0
    assert max(map(len, told.out.splitlines())) <= 80


UP = f"""
printf 'node1\\nnode2\\n' > /nodes
export OSCAR_NODES=/nodes
for opkg in openssh opium; do /usr/lib/oscar/packages/$opkg/api-post-image {IMAGE}; done
/usr/lib/oscar/packages/openssh/api-post-clientdef
node /usr/sbin/sshd -o ListenAddress=127.0.0.2
"""


@pytest.mark.slow
def test_users_come_to_images_and_nodes_and_go_again(machines: tuple[Machine, Machine]) -> None:
    head, image = machines
    image.check("useradd --system --uid 901 service")
    image.install("opkg-opium-client", "opkg-openssh-client")
    head.install("opkg-opium-server", "opkg-openssh-server")
    told = head.check(
        f"""
        useradd -m anna; echo anna:secret | chpasswd
        {UP}
        node id anna
        node stat -c '%U:%G %a' /etc/shadow /etc/passwd
        useradd -m bert; useradd -m oscartst; mkdir /data; echo word > /data/file
        mount --bind /home {IMAGE}/home
        echo 'syncfile /data/file' >> /etc/sync_files.conf
        echo node1 > /nodes
        sync_files --dry-run; node sh -c '! id bert'
        {HOME}/api-post-deploy
        node id bert; node cat /data/file
        sync_files
        su - oscartst -c '{HOME}/testing/test_user node1'
        userdel -r anna; sync_files node1
        node sh -c '! id anna'; node id service
        {HOME}/testing/test_root node1
        cmp -s /etc/shadow {IMAGE}/etc/shadow || echo 'not alike'
        """
    ).splitlines()
    four = "/etc/passwd /etc/shadow /etc/group /etc/gshadow"
    assert told == [
        f"{IMAGE}: {four}",
        "uid=1000(anna) gid=1000(anna) groups=1000(anna)",
        "root:shadow 640",
        "root:root 644",
        f"node1: {four} /data/file",
        f"node1: {four} /data/file",
        "uid=1001(bert) gid=1001(bert) groups=1001(bert)",
        "word",
        f"node1: {four}",
        "uid=901(service) gid=901(service) groups=901(service)",
        "not alike",
    ]


@pytest.mark.slow
def test_a_node_that_is_down_does_not_keep_the_others(machines: tuple[Machine, Machine]) -> None:
    head, image = machines
    image.install("opkg-opium-client", "opkg-openssh-client")
    head.install("opkg-opium-server", "opkg-openssh-server")
    done = head.run(f"{UP} useradd anna; sync_files")
    assert done.status == 1
    assert done.out.startswith("node1: /etc/passwd")
    assert done.err.startswith("sync_files: node2: ssh: connect to host node2 port 22: ")
