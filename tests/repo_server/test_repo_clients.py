# SPDX-License-Identifier: GPL-2.0-or-later
"""Real clients on the published tree: they install from it, and refuse it once it was changed."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater

from opkg.document import decode
from opkg.files import sha256_bytes, sha256_file
from opkg.index import Index
from opkg.run import Completed, run
from repo_server.check import check
from repo_server.create import create
from repo_server.intake import add
from repo_server.publish import publish
from repo_server.repository import open_repository
from tests.lab.roots import debian_root, overlay, unpacked

pytestmark = pytest.mark.slow

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


@pytest.fixture
def mirror(published, tmp_path) -> Path:
    """A copy of the published tree that a test may spoil."""
    copy = tmp_path / "mirror"
    shutil.copytree(published.live, copy)
    return copy


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


# apt


def apt_client(folder: Path, tree: Path, url: str) -> Client:
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
        f"Types: deb\nURIs: {url}deb/testing\nSuites: debian-12\nComponents: main\n"
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


def test_apt_installs_into_a_debian_root(published, tmp_path):
    base = unpacked(debian_root())
    with published.served() as url, overlay(base) as root:
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        (root / "etc/apt/apt.conf.d/test").write_text(
            'APT::Update::Error-Mode "any"; APT::Sandbox::User "root";'
        )
        run(["chroot", root, "sh", "-e"], stdin=commands_for(url, "apt"))
        run(["chroot", root, "apt-get", "-y", "install", SERVER])
        query = ["dpkg-query", "--root", root, "-W", "-f", "${Package} ${Version} ${Status}\n"]
        installed = run([*query, "opkg-alpha*", "alpha"]).stdout.splitlines()
        assert {line for line in installed if line.endswith("install ok installed")} == {
            f"{name} 1.0-1~deb12 install ok installed" for name in ("alpha", "opkg-alpha", SERVER)
        }
        assert (root / "usr/share/alpha/content").is_file()


def test_apt_downloads_what_was_added(mirror, tmp_path, debs):
    with any_web_server(mirror) as url:
        apt = apt_client(tmp_path / "apt", mirror, url)
        assert apt("update", "--error-on=any").status == 0
        done = apt("download", SERVER)
        assert done.status == 0, done.stderr
        [package] = (tmp_path / "apt").glob("*.deb")
        assert sha256_file(package) in {sha256_file(path) for path in debs.packages}


@pytest.mark.parametrize("patterns", [
    ["deb/*/dists/*/InRelease"],
    ["deb/*/dists/*/*/*/Packages*", "deb/*/dists/*/*/*/by-hash/*/*"],
])  # fmt: skip
def test_apt_refuses_changed_metadata(mirror, tmp_path, patterns):
    spoil(mirror, *patterns)
    with any_web_server(mirror) as url:
        done = apt_client(tmp_path / "apt", mirror, url)("update", "--error-on=any")
    assert done.status != 0
    assert not list((tmp_path / "apt/state/lists").glob("*Packages*"))


@pytest.mark.parametrize("part", ["Origin: ", "\n\n", "SHA256:"])
def test_apt_refuses_any_part_of_inrelease_changed(mirror, tmp_path, part):
    path = mirror / "deb/testing/dists/debian-12/InRelease"
    data = path.read_bytes()
    spoil(mirror, "deb/*/dists/*/InRelease", at=data.rindex(part.encode()) + len(part) + 8)
    with any_web_server(mirror) as url:
        assert apt_client(tmp_path / "apt", mirror, url)("update", "--error-on=any").status != 0


def test_apt_refuses_a_changed_package(mirror, tmp_path):
    spoil(mirror, f"deb/*/pool/*/*/{SERVER}_*.deb")
    with any_web_server(mirror) as url:
        apt = apt_client(tmp_path / "apt", mirror, url)
        assert apt("update", "--error-on=any").status == 0
        done = apt("download", SERVER)
    assert done.status != 0
    assert "Hash Sum mismatch" in done.stderr


# dnf and zypper


def dnf_client(folder: Path, tree: Path, url: str) -> Client:
    """dnf that installs into a root of its own, with every check on."""
    (folder / "repos").mkdir(parents=True)
    (folder / "home").mkdir()
    (folder / "home/.rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    (folder / "dnf.conf").write_text("[main]\n")
    shutil.copy(tree / "keys/repository.asc", folder / "key.asc")
    (folder / "repos/test.repo").write_text(
        f"[test]\nname=test\nbaseurl={url}{RPM_FOLDER}/\ngpgkey=file://{folder}/key.asc\n"
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


def zypper_client(folder: Path, tree: Path, url: str) -> Client:
    """zypper that installs into a root of its own, and trusts the repository's key alone."""
    (folder / "root").mkdir(parents=True)
    (folder / "home").mkdir()
    (folder / "home/.rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    env = {"HOME": str(folder / "home")}
    key = tree / "keys/repository.asc"
    run(["rpmkeys", "--root", folder / "root", "--import", key], env=env)
    words = ["zypper", "--root", str(folder / "root"), "--non-interactive"]
    address = f"{url}{RPM_FOLDER}/"
    run([*words, "addrepo", "--refresh", "--gpgcheck-strict", address, "test"], env=env)

    def zypper(*more: str) -> Completed:
        return run([*words, *more], env=env, check=False)

    return zypper


RPM_CLIENTS = pytest.mark.parametrize("make_client", [dnf_client, zypper_client])


def installed_rpms(folder: Path) -> set[str]:
    """What rpm finds in a client's root."""
    home = {"HOME": str(folder / "home")}
    form = "%{NAME} %{VERSION}-%{RELEASE}\n"
    done = run(["rpm", "--root", folder / "root", "-qa", "--qf", form], env=home, check=False)
    return {line for line in done.stdout.splitlines() if not line.startswith("gpg-pubkey")}


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


# TUF


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


def test_tuf_client_takes_the_index(published, tmp_path):
    with published.served() as url:
        index = fetch_index(updater(tmp_path / "client", published.live, url))
    assert (index.channel, index.generation) == ("testing", 2)
    assert {offer.target for offer in index.offers} == {"debian-12-x86_64", "demo-rpm-9-x86_64"}


def test_tuf_client_follows_publications(make_repo, tmp_path, debs, rpms):
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest)
    repo.run("publish")
    with repo.served() as url:
        assert len(fetch_index(updater(tmp_path / "1", repo.live, url)).offers) == 1
        repo.run("add", "--channel", "testing", rpms.manifest)
        repo.run("publish")
        shutil.copytree(tmp_path / "1", tmp_path / "2", symlinks=True)
        again = Updater(
            str(tmp_path / "2/metadata"),
            f"{url}opd/testing/metadata/",
            str(tmp_path / "2/targets"),
            f"{url}opd/testing/targets/",
            bootstrap=None,
        )
        assert len(fetch_index(again).offers) == 2


@pytest.mark.parametrize(
    "pattern",
    ["metadata/timestamp.json", "metadata/*.snapshot.json", "metadata/*.targets.json", "targets/*"],
)
def test_tuf_client_refuses_what_was_changed(mirror, tmp_path, pattern):
    spoil(mirror, f"opd/testing/{pattern}")
    with any_web_server(mirror) as url, pytest.raises((RepositoryError, DownloadError)):
        fetch_index(updater(tmp_path / "client", mirror, url))


def test_initial_root_is_what_init_named(tmp_path):
    created = create(tmp_path / "repo", "Test", lambda _: None)
    assert created.root == sha256_bytes((tmp_path / "repo/live/keys/root.json").read_bytes())


def test_clients_refuse_what_was_not_renewed(tmp_path, debs):
    """A mirror that stands still is noticed: apt and TUF clients refuse it after 14 days."""
    past = datetime.now(UTC) - timedelta(days=15)
    create(tmp_path / "repo", "Test", lambda _: None, now=past)
    repository = open_repository(tmp_path / "repo")
    add(repository, "testing", [debs.manifest], None, lambda _: None)
    publish(repository, lambda _: None, now=past)
    live = repository.live
    assert {fault.message[:15] for fault in check(live).faults} == {"was valid until"}
    with any_web_server(live.resolve()) as url:
        done = apt_client(tmp_path / "apt", live, url)("update", "--error-on=any")
        assert done.status != 0
        assert "expired" in done.stderr
        with pytest.raises(RepositoryError, match="expired"):
            fetch_index(updater(tmp_path / "client", live, url))
    publish(repository, lambda _: None)
    assert check(live).faults == ()


# Mirrors


def test_plain_copy_is_a_whole_mirror(published, tmp_path):
    """The tree needs nothing beside itself: rsync or wget can carry it anywhere."""
    subprocess.run(["cp", "-r", f"{published.live}/", tmp_path / "copy"], check=True)
    report = check(tmp_path / "copy")
    assert report.faults == ()
    assert report.files > 0
