# SPDX-License-Identifier: GPL-2.0-or-later
"""Real clients on the published tree: they install from it, and refuse it once it was changed."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
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
from opkg.target import known_targets
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


@pytest.mark.parametrize(
    ("suite", "platform"), [("bookworm", "debian-12"), ("trixie", "debian-13")]
)
def test_apt_installs_upgrades_and_removes(make_repo, tmp_path, build, suite, platform):
    """Each release with its own apt, in its own root; trixie's checks signatures with sqv."""
    tag = known_targets().find(platform).distribution.tag
    repo = make_repo()
    add_published(repo, build.deb(tmp_path, "beta", f"1-1{tag}"))
    with repo.served() as url, overlay(unpacked(debian_root(suite=suite))) as root:
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        (root / "etc/apt/apt.conf.d/test").write_text(
            'APT::Update::Error-Mode "any"; APT::Sandbox::User "root";'
        )

        def apt(*words: str) -> str:
            run(["chroot", root, "apt-get", "-y", *words])
            query = ["dpkg-query", "--root", root, "-W", "-f", "${Version} ${db:Status-Status}"]
            return run([*query, "beta"], check=False).stdout

        run(["chroot", root, "sh", "-e"], stdin=commands_for(url, "apt"))
        assert apt("install", "beta") == f"1-1{tag} installed"
        add_published(repo, build.deb(tmp_path, "beta", f"1-2{tag}"))
        apt("update")
        assert apt("upgrade") == f"1-2{tag} installed"
        assert "installed" not in apt("purge", "beta")


def add_published(repo, *packages: Path) -> None:
    """Add packages to the channel testing, and show them."""
    repo.run("add", "--channel", "testing", *packages)
    repo.run("publish")


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


# Keys that are replaced


@pytest.fixture
def changing(make_repo, debs, rpms):
    """A repository with alpha published, that may be changed."""
    repo = make_repo()
    repo.run("add", "--channel", "testing", debs.manifest, rpms.manifest)
    repo.run("publish")
    return repo


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


REFRESH = {dnf_client: ("makecache", "--refresh"), zypper_client: ("refresh", "--force")}


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


# Clients while publications follow one another


def test_clients_never_see_a_mixture(changing, tmp_path, build):
    """A hundred publications, as fast as they come, with apt and dnf going on all the time."""
    stop = threading.Event()
    failed: list[str] = []
    rounds = {"apt": 0, "dnf": 0}
    with changing.served() as url:
        apt = apt_client(tmp_path / "apt", changing.live, url)
        dnf = dnf_client(tmp_path / "dnf", changing.live, url)
        repo_file = tmp_path / "dnf/repos/test.repo"
        text = repo_file.read_text().replace(f"baseurl={url}", f"mirrorlist={url}mirrorlist/")
        repo_file.write_text(text.replace(f"{RPM_FOLDER}/\n", f"{RPM_FOLDER}\n"))

        def loop(name: str, command: Callable[[], Completed]) -> None:
            while not stop.is_set():
                done = command()
                rounds[name] += 1
                if done.status:
                    failed.append(done.stdout + done.stderr)

        threads = [
            threading.Thread(target=loop, args=["apt", lambda: apt("update", "--error-on=any")]),
            threading.Thread(target=loop, args=["dnf", lambda: dnf("makecache", "--refresh")]),
        ]
        for thread in threads:
            thread.start()
        try:
            publish_often(changing, tmp_path, build, rounds)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not failed, failed[0]
    assert min(rounds.values()) >= ENOUGH_ROUNDS


PUBLICATIONS = 100
ENOUGH_ROUNDS = 5


def publish_often(repo, folder: Path, build, rounds: dict[str, int]) -> None:
    """Publish until there were enough publications, and enough rounds of each client."""
    repository = open_repository(repo.directory)
    number = 0
    while number < PUBLICATIONS or min(rounds.values()) < ENOUGH_ROUNDS:
        number += 1
        if number % 5 == 0:
            place = folder / f"new{number}"
            place.mkdir()
            new = [
                build.deb(place, "beta", f"1-{number}~deb12"),
                build.rpm(place, "beta", f"1-{number}.demo9"),
            ]
            add(repository, "testing", new, None, lambda _: None)
        publish(repository, lambda _: None)
