# SPDX-License-Identifier: GPL-2.0-or-later
"""Root and users log in from a head node on nodes of an image, as the OPKG openssh sets it up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.opkg_specs.conftest import Sandbox
from tests.opkg_specs.machines import IMAGE, Machine

HOME = "/usr/lib/oscar/packages/openssh"
SET_UP = f"""
printf 'node1\\nnode2\\n' > /nodes
export OSCAR_NODES=/nodes
{HOME}/api-post-image {IMAGE}
{HOME}/api-post-clientdef
"""
UP = "node /usr/sbin/sshd -o ListenAddress=127.0.0.2 -o ListenAddress=127.0.0.3\n"


@pytest.mark.slow
def test_root_and_users_log_in_without_a_question(machines: tuple[Machine, Machine]) -> None:
    head, image = machines
    image.install("opkg-openssh-client")
    head.install("opkg-openssh-server")
    told = head.check(
        f"""{SET_UP}{UP}
        {HOME}/testing/test_root node1 node2
        useradd -m -s /bin/bash oscartst
        node useradd -M -s /bin/bash oscartst
        mount --bind /home {IMAGE}/home
        su - oscartst -c "{HOME}/testing/test_user node1 node2"
        su - oscartst -c 'ssh node1 ssh -o BatchMode=yes node2 id -un'
        ssh node2 'echo $SSH_CONNECTION'
        """
    )
    assert told.splitlines()[-2] == "oscartst"
    assert told.splitlines()[-1].endswith("127.0.0.3 22")


@pytest.mark.slow
def test_nodes_take_no_password_when_told_so(machines: tuple[Machine, Machine]) -> None:
    head, image = machines
    image.install("opkg-openssh-client")
    head.install("opkg-openssh-server")
    answers = "<opt><passwords>no</passwords><userkeys>no</userkeys></opt>"
    told = head.check(
        f"""echo '{answers}' > {HOME}/.configurator.values
        {HOME}/api-post-configure
        {SET_UP}
        node /usr/sbin/sshd -T
        [ ! -e /etc/profile.d/oscar-ssh-keys.sh ]
        """
    ).splitlines()
    assert "passwordauthentication no" in told
    assert "permitrootlogin without-password" in told


def test_a_user_key_is_made_once_and_never_in_place_of_another(
    sandbox: Sandbox, stage: Callable[[str], Path]
) -> None:
    shutil.copytree(stage("openssh") / "usr/share", sandbox.root / "usr/share")
    # Only an ordinary user gets one.
    sandbox.write("/opt/id", '#!/bin/sh\n[ "$1" = -u ] && echo 1000 || echo user1\n')
    (sandbox.root / "opt/id").chmod(0o755)
    sandbox.write("/etc/passwd", "user1:x:0:0::/root:/bin/sh\n")
    make = "HOME=/root PATH=/opt:$PATH /usr/share/oscar-ssh-keys/make"
    read = "cat /root/.ssh/id_ed25519.pub; echo; cat /root/.ssh/authorized_keys"
    told = sandbox.call(f"{make}; {make}; {read}")
    assert told.status == 0, told.err
    key, authorized = told.out.split("\n\n")
    assert authorized.strip() == key
    assert key.endswith("user1@cluster")
    kept = sandbox.call(f"rm -r /root/.ssh/*; touch /root/.ssh/id_rsa; {make}; ls /root/.ssh")
    assert kept.out == "id_rsa\n"


def test_root_gets_no_user_key(sandbox: Sandbox, stage: Callable[[str], Path]) -> None:
    shutil.copytree(stage("openssh") / "usr/share", sandbox.root / "usr/share")
    done = sandbox.call("HOME=/root /usr/share/oscar-ssh-keys/make; [ ! -e /root/.ssh ]")
    assert done.status == 0, done.err


@pytest.mark.parametrize(
    ("prepared", "said"),
    [
        ("true", "run server-post-install"),
        ("mkdir -p /root/.ssh; : > /root/.ssh/id_oscar.pub", "install the client part there first"),
        (
            "mkdir -p /root/.ssh /opt/image/etc/ssh; : > /root/.ssh/id_oscar.pub",
            "reads no sshd_config.d",
        ),
    ],
)
def test_an_image_that_is_not_ready_is_refused(tools: Sandbox, prepared: str, said: str) -> None:
    tools.call(prepared)
    refused = tools.run("openssh", "api-post-image", "/opt/image")
    assert refused.status == 1
    assert said in refused.err
