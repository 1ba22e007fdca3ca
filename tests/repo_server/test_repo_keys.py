# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys that are replaced, and what clients of the old ones make of that."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib

import pytest
from tuf.ngclient import Updater

from opkg.files import sha256_file
from opkg.run import run
from tests.repo_server.clients import (
    REFRESH,
    RPM_CLIENTS,
    RPM_FOLDER,
    SERVER,
    apt_client,
    commands_for,
    dnf_client,
    fetch_index,
    installed_rpms,
    updater,
)

pytestmark = pytest.mark.slow


def rotate(repo, kind: str) -> dict[str, object]:
    """What `key rotate` prints."""
    argv = [sys.executable, "-m", "repo_server", "key", "rotate", repo.directory, kind, "--json"]
    return json.loads(run(argv).stdout)


def retire_first(repo) -> None:
    """Take the secret half of the oldest OpenPGP key away."""
    first = tomllib.loads((repo.directory / "opkg-repo.toml").read_text())["openpgp"][0]
    (repo.directory / f"private/openpgp/{first}.key").unlink()


def test_apt_goes_on_with_the_key_it_has(changing, tmp_path):
    """Two signatures: that of a key that apt knows, and that of one that it does not."""
    with changing.served() as url:
        old = apt_client(tmp_path / "old", changing.live, url)
        assert old("update", "--error-on=any").status == 0
        rotate(changing, "openpgp")
        done = old("update", "--error-on=any")
        assert done.status == 0, done.stderr
        new = apt_client(tmp_path / "new", changing.live, url)
        retire_first(changing)
        changing.run("publish")
        assert new("update", "--error-on=any").status == 0
        assert old("update", "--error-on=any").status != 0
    assert changing.json("check")["faults"] == []


@RPM_CLIENTS
def test_rpm_client_goes_on_with_the_key_it_has(changing, tmp_path, make_client, build):
    """It takes the metadata, and packages of before; for later ones it needs the new key."""
    folder = tmp_path / "client"
    with changing.served() as url:
        client = make_client(folder, changing.live, url)
        assert client("install", "opkg-alpha").status == 0
        rotate(changing, "openpgp")
        changing.run("add", "--channel", "testing", build.rpm(tmp_path, "beta", "1-1.demo9"))
        changing.run("publish")
        done = client(*REFRESH[make_client])
        assert done.status == 0, done.stdout + done.stderr
        assert client("install", SERVER).status == 0
        assert client("install", "beta").status != 0
        home = {"HOME": str(folder / "home")}
        key = changing.live / "keys/repository.asc"
        run(["rpmkeys", "--root", folder / "root", "--import", key], env=home)
        done = client("install", "beta")
    assert done.status == 0, done.stdout + done.stderr
    assert "beta 1-1.demo9" in installed_rpms(folder)


def test_dnf_asks_for_the_new_key_where_the_page_says_it_is(changing, tmp_path, build):
    folder = tmp_path / "client"
    with changing.served() as url:
        dnf = dnf_client(folder, changing.live, url)
        text = commands_for(url, "dnf")
        (folder / "repos/test.repo").write_text(re.search(r"'END'\n(.*)\nEND", text, re.DOTALL)[1])
        assert dnf("install", SERVER).status == 0
        rotate(changing, "openpgp")
        changing.run("add", "--channel", "testing", build.rpm(tmp_path, "beta", "1-1.demo9"))
        changing.run("publish")
        done = dnf("--refresh", "install", "beta")
    assert done.status == 0, done.stdout + done.stderr


def test_signatures_of_both_keys_are_accepted(changing, tmp_path):
    """By sqv, which apt of Debian 13 uses, with either key alone, and by gpgv with both."""
    rotate(changing, "openpgp")
    dist = changing.live / "deb/testing/dists/debian-12"
    repomd = changing.live / RPM_FOLDER / "repodata/repomd.xml"
    detached = {
        dist / "Release": dist / "Release.gpg",
        repomd: repomd.with_name("repomd.xml.asc"),
    }
    keys = list((changing.directory / "private/openpgp").glob("*.asc"))
    assert len(keys) == 2
    for signed, signature in detached.items():
        for key in keys:
            run(["sqv", "--keyring", key, signature, signed])
    both = tmp_path / "both.gpg"
    run(["gpg", "--output", both, "--dearmor", changing.live / "keys/repository.asc"])
    told = run(["gpgv", "--status-fd", "1", "--keyring", both, dist / "InRelease"]).stdout
    assert told.count("GOODSIG") == 2


def test_tuf_client_follows_to_new_keys(changing, tmp_path):
    with changing.served() as url:
        fetch_index(updater(tmp_path / "client", changing.live, url))
        pinned = sha256_file(changing.live / "keys/root.json")
        assert rotate(changing, "tuf") == {"root": 2, "generation": 3}
        assert rotate(changing, "tuf") == {"root": 3, "generation": 4}
        assert sha256_file(changing.live / "keys/root.json") == pinned
        for folder in ("client", "new"):
            if folder == "client":
                shutil.copytree(tmp_path / "client", tmp_path / "again", symlinks=True)
                client = Updater(
                    str(tmp_path / "again/metadata"),
                    f"{url}opd/testing/metadata/",
                    str(tmp_path / "again/targets"),
                    f"{url}opd/testing/targets/",
                    bootstrap=None,
                )
            else:
                client = updater(tmp_path / folder, changing.live, url)
            assert fetch_index(client).generation == 4
    assert changing.json("check")["faults"] == []


def test_new_root_needs_the_old_root_key(changing):
    for path in (changing.directory / "private/tuf").glob("root-*.pem"):
        path.unlink()
    # Publications do without it.
    changing.run("publish")
    argv = [sys.executable, "-m", "repo_server", "key", "rotate", changing.directory, "tuf"]
    done = run(argv, check=False)
    assert done.status == 1
    assert "TUF key of the role root" in done.stderr
