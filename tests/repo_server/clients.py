# SPDX-License-Identifier: GPL-2.0-or-later
"""apt, dnf, zypper and python-tuf as clients of a tree, each in a folder of its own."""

from __future__ import annotations

import html
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from tuf.ngclient import Updater

from opkg.document import decode
from opkg.index import Index
from opkg.run import Completed, run

SERVER = "opkg-alpha-server"
RPM_FOLDER = "rpm/testing/demo-rpm-9-x86_64"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def any_web_server(tree: Path) -> Iterator[str]:
    """Serve a folder as any web server would: the tree needs none of ours."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tree)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def spoil(tree: Path, *patterns: str, at: int | None = None) -> None:
    """Change one byte of every file that the patterns name, at the middle or `at` a place."""
    paths = [path for pattern in patterns for path in tree.glob(pattern)]
    assert paths
    for path in paths:
        data = bytearray(path.read_bytes())
        place = len(data) // 2 if at is None else at
        data[place] ^= 1
        path.write_bytes(data)


Client = Callable[..., Completed]


def commands_for(url: str, client: str) -> str:
    """The commands that the web page gives for a client, ready to run."""
    page = requests.get(url, timeout=10).text
    block = re.search(rf"<h4>{client}</h4>\s*<pre><code>(.*?)</code></pre>", page, re.DOTALL)
    assert block
    return html.unescape(block[1]) + "\n"


def apt_client(folder: Path, tree: Path, url: str, types: str = "deb") -> Client:
    """apt-get with a configuration, lists and a package database of its own."""
    for name in (
        "etc/apt.conf.d",
        "etc/preferences.d",
        "state/lists/partial",
        "cache/archives/partial",
    ):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    key = folder / "key.asc"
    shutil.copy(tree / "keys/repository.asc", key)
    (folder / "etc/test.sources").write_text(
        f"Types: {types}\nURIs: {url}deb/testing\nSuites: debian-12\nComponents: main\n"
        f"Signed-By: {key}\n"
    )
    settings = {
        "Dir::Etc": folder / "etc",
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": folder / "etc",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "APT::Architecture": "amd64",
        "Acquire::http::Proxy": "DIRECT",
        "Acquire::Retries": "0",
        "Acquire::Check-Date": "true",
        "Acquire::Check-Valid-Until": "true",
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]

    def apt(*words: str) -> Completed:
        return run(["apt-get", *options, *words], cwd=folder, check=False)

    return apt


def add_published(repo, *packages: Path) -> None:
    """Add packages to the channel testing, and show them."""
    repo.run("add", "--channel", "testing", *packages)
    repo.run("publish")


def dnf_client(folder: Path, tree: Path, url: str, repository: str = RPM_FOLDER) -> Client:
    """dnf that installs into a root of its own, with every check on."""
    (folder / "repos").mkdir(parents=True)
    (folder / "home").mkdir()
    (folder / "home/.rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    (folder / "dnf.conf").write_text("[main]\n")
    shutil.copy(tree / "keys/repository.asc", folder / "key.asc")
    (folder / "repos/test.repo").write_text(
        f"[test]\nname=test\nbaseurl={url}{repository}/\ngpgkey=file://{folder}/key.asc\n"
        "gpgcheck=1\nrepo_gpgcheck=1\n"
    )
    words = [
        "unshare", "--pid", "--fork", "--mount", "--mount-proc",
        "dnf", "-y", "--config", folder / "dnf.conf", "--installroot", folder / "root",
        "--releasever", "9", "--forcearch", "x86_64", f"--setopt=reposdir={folder}/repos",
    ]  # fmt: skip

    def dnf(*more: str) -> Completed:
        return run([*words, *more], env={"HOME": str(folder / "home")}, check=False)

    return dnf


def zypper_client(folder: Path, tree: Path, url: str, repository: str = RPM_FOLDER) -> Client:
    """zypper that installs into a root of its own, and trusts the repository's key alone."""
    (folder / "root").mkdir(parents=True)
    (folder / "home").mkdir()
    (folder / "home/.rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    env = {"HOME": str(folder / "home")}
    key = tree / "keys/repository.asc"
    run(["rpmkeys", "--root", folder / "root", "--import", key], env=env)
    words = ["zypper", "--root", str(folder / "root"), "--non-interactive"]
    address = f"{url}{repository}/"
    run([*words, "addrepo", "--refresh", "--gpgcheck-strict", address, "test"], env=env)

    def zypper(*more: str) -> Completed:
        return run([*words, *more], env=env, check=False)

    return zypper


RPM_CLIENTS = pytest.mark.parametrize("make_client", [dnf_client, zypper_client])


REFRESH = {dnf_client: ("makecache", "--refresh"), zypper_client: ("refresh", "--force")}


def installed_rpms(folder: Path) -> set[str]:
    """What rpm finds in a client's root."""
    home = {"HOME": str(folder / "home")}
    form = "%{NAME} %{VERSION}-%{RELEASE}\n"
    done = run(["rpm", "--root", folder / "root", "-qa", "--qf", form], env=home, check=False)
    return {line for line in done.stdout.splitlines() if not line.startswith("gpg-pubkey")}


def updater(folder: Path, tree: Path, url: str) -> Updater:
    """python-tuf's client, which starts from the tree's initial root."""
    for name in ("metadata", "targets"):
        (folder / name).mkdir(parents=True)
    return Updater(
        str(folder / "metadata"),
        f"{url}opd/testing/metadata/",
        str(folder / "targets"),
        f"{url}opd/testing/targets/",
        bootstrap=(tree / "keys/root.json").read_bytes(),
    )


def fetch_index(client: Updater) -> Index:
    info = client.get_targetinfo("index.json")
    assert info is not None
    return decode(Path(client.download_target(info)).read_bytes(), Index, where="index")
