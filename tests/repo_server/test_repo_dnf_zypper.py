# SPDX-License-Identifier: GPL-2.0-or-later
"""dnf and zypper on the published tree: they install from it, and refuse it once it was changed."""

from __future__ import annotations

import re

import pytest

from opkg.run import run
from tests.repo_server.clients import (
    REFRESH,
    RPM_CLIENTS,
    RPM_FOLDER,
    SERVER,
    add_published,
    any_web_server,
    commands_for,
    dnf_client,
    installed_rpms,
    spoil,
)

pytestmark = pytest.mark.slow


def test_dnf_installs_with_the_commands_of_the_page(published, tmp_path):
    folder = tmp_path / "client"
    with published.served() as url:
        dnf = dnf_client(folder, published.live, url)
        text = commands_for(url, "dnf")
        (folder / "repos/test.repo").write_text(re.search(r"'END'\n(.*)\nEND", text, re.DOTALL)[1])
        done = dnf("install", SERVER)
    assert done.status == 0, done.stdout + done.stderr
    assert f"{SERVER} 1.0-1.demo9" in installed_rpms(folder)


def test_zypper_installs_with_the_commands_of_the_page(published, tmp_path):
    folder = tmp_path / "client"
    (folder / "home").mkdir(parents=True)
    (folder / "home/.rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    env = {"HOME": str(folder / "home")}
    with published.served() as url:
        commands = commands_for(url, "zypper")
        commands = commands.replace("zypper ", f"zypper --root {folder}/root -n ")
        commands = commands.replace("rpm --import", f"rpm --root {folder}/root --import")
        run(["sh", "-e"], stdin=commands, env=env)
        run(["zypper", "--root", folder / "root", "-n", "install", SERVER], env=env)
    assert f"{SERVER} 1.0-1.demo9" in installed_rpms(folder)


@RPM_CLIENTS
def test_rpm_client_installs_what_was_added(published, tmp_path, make_client):
    folder = tmp_path / "client"
    with published.served() as url:
        done = make_client(folder, published.live, url)("install", SERVER)
    assert done.status == 0, done.stdout + done.stderr
    assert installed_rpms(folder) == {"opkg-alpha 1.0-1.demo9", f"{SERVER} 1.0-1.demo9"}
    assert (folder / f"root/usr/share/{SERVER}/content").read_text() == "one\n"


@RPM_CLIENTS
def test_rpm_client_installs_upgrades_and_removes(make_repo, tmp_path, build, make_client):
    """From lists in zstd, as the newer distributions' own are."""
    repo, folder = make_repo(), tmp_path / "client"
    # zypper cannot read an empty database: something stays.
    names = ("beta", "gamma")
    add_published(repo, *(build.rpm(tmp_path, name, "1-1.el10") for name in names))
    repository = "rpm/testing/rocky-10-x86_64"
    assert list((repo.live / repository / "repodata").glob("*-primary.xml.zst"))
    with repo.served() as url:
        client = make_client(folder, repo.live, url, repository)
        assert client("install", *names).status == 0
        assert installed_rpms(folder) == {"beta 1-1.el10", "gamma 1-1.el10"}
        add_published(repo, build.rpm(tmp_path, "beta", "1-2.el10"))
        assert client(*REFRESH[make_client]).status == 0
        assert client("update", "beta").status == 0
        assert installed_rpms(folder) == {"beta 1-2.el10", "gamma 1-1.el10"}
        assert client("remove", "beta").status == 0
        assert installed_rpms(folder) == {"gamma 1-1.el10"}


@pytest.mark.parametrize(
    "pattern",
    [
        "repodata/repomd.xml",
        "repodata/repomd.xml.asc",
        "repodata/*-primary.xml.gz",
        f"packages/{SERVER}-*.rpm",
    ],
)
@RPM_CLIENTS
def test_rpm_client_refuses_what_was_changed(mirror, tmp_path, make_client, pattern):
    spoil(mirror, f"{RPM_FOLDER}/{pattern}")
    folder = tmp_path / "client"
    with any_web_server(mirror) as url:
        done = make_client(folder, mirror, url)("install", SERVER)
    assert done.status != 0, done.stdout
    # zypper takes packages one by one: what it had before the bad one is there.
    wanted = set() if "packages/" not in pattern else {"opkg-alpha 1.0-1.demo9"}
    assert installed_rpms(folder) <= wanted


@RPM_CLIENTS
def test_rpm_client_refuses_a_package_of_another_signer(
    mirror, tmp_path, make_client, rpms, make_repo
):
    """Even with lists that name it and are signed by a key that the client trusts."""
    folder = mirror / RPM_FOLDER
    for package in rpms.packages:
        (folder / "packages" / package.name).write_bytes(package.read_bytes())
    with any_web_server(mirror) as url:
        done = make_client(tmp_path / "client", mirror, url)("install", SERVER)
    assert done.status != 0
    assert installed_rpms(tmp_path / "client") == set()
