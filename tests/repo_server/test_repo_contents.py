# SPDX-License-Identifier: GPL-2.0-or-later
"""Contents: which package has which file, as apt-file asks for it."""

from __future__ import annotations

import tarfile

import pytest

from opkg.run import run
from repo_server.debs import merged
from repo_server.forms import unpack
from repo_server.settings import SETTINGS
from tests.repo_server.clients import add_published, any_web_server, apt_client

pytestmark = pytest.mark.slow

# What apt-file tells apt to download besides.
WANTED = {
    "MetaKey": "$(COMPONENT)/Contents-$(ARCHITECTURE)",
    "ShortDescription": "Contents-$(ARCHITECTURE)",
    "Description": "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Contents",
    "KeepCompressed": "true",
}


def contents(repo) -> dict[str, str]:
    """What the suite's list says of each path."""
    packed = (repo.live / "deb/testing/dists/debian-12/main/Contents-amd64.gz").read_bytes()
    return dict(line.rsplit(" ", 1) for line in unpack("gz", packed).decode().splitlines())


def say_contents(repo, *, wanted: bool) -> None:
    path = repo.directory / SETTINGS
    lines = [line for line in path.read_text().splitlines() if not line.startswith("contents")]
    path.write_text("\n".join([*lines, *(["contents = true"] if wanted else []), ""]))


def test_contents_can_be_switched_on_and_off(make_repo, build, tmp_path):
    repo = make_repo()
    add_published(repo, build.deb(tmp_path, "beta", "1-1~deb12"))
    main = repo.live / "deb/testing/dists/debian-12/main"
    assert not list(main.glob("Contents*"))
    say_contents(repo, wanted=True)
    repo.run("publish")
    of_beta = contents(repo)
    assert set(of_beta.values()) == {"beta"}
    add_published(repo, build.deb(tmp_path, "gamma", "1-1~deb12"))
    assert set(contents(repo)) > set(of_beta)
    repo.run("remove", "--channel", "testing", "gamma")
    repo.run("publish")
    assert contents(repo) == of_beta
    say_contents(repo, wanted=False)
    repo.run("publish")
    assert not list(main.glob("Contents*"))
    assert repo.json("check")["faults"] == []


def test_contents_say_what_apt_ftparchive_says(published, make_repo, debs, tmp_path):
    repo = make_repo()
    say_contents(repo, wanted=True)
    add_published(repo, *debs.packages)
    archive = repo.live / "deb/testing"
    told = run(["apt-ftparchive", "contents", "pool"], cwd=archive).stdout
    theirs = dict(line.rsplit(None, 1) for line in told.splitlines())
    ours = contents(repo)
    assert ours == {path.strip(): where for path, where in theirs.items()}
    assert len(ours) == 4

    with any_web_server(repo.live) as url:
        apt = apt_client(tmp_path / "apt", repo.live, url)
        words = [f"-oAcquire::IndexTargets::deb::Contents-deb::{k}={v}" for k, v in WANTED.items()]
        assert apt(*words, "update", "--error-on=any").status == 0
        listed = apt(*words, "indextargets", "--format", "$(FILENAME)", "Created-By: Contents-deb")
        text = run(["/usr/lib/apt/apt-helper", "cat-file", listed.stdout.strip()]).stdout
    assert dict(line.rsplit(" ", 1) for line in text.splitlines()) == ours


def test_a_file_that_two_packages_have_has_one_line():
    texts = ["usr/share/one misc/alpha\nusr/share/two words misc/alpha\n", "usr/share/one beta\n"]
    assert merged(texts) == "usr/share/one beta,misc/alpha\nusr/share/two words misc/alpha\n"


def test_odd_names_of_files_make_one_line_each(make_repo, build, tmp_path):
    """Such as no dpkg-deb would pack, from somebody who writes lines of others."""
    repo = make_repo()
    say_contents(repo, wanted=True)
    deb = build.deb(tmp_path, "odd", "1-1~deb12")
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        for name in ("a b", "line\nend bash", "latin-\udce9", "grüße"):
            archive.addfile(tarfile.TarInfo(f"./{name}"))
    run(["ar", "d", deb, "data.tar.xz"])
    run(["ar", "q", deb, tmp_path / "data.tar"])
    add_published(repo, deb)
    names = ["a b", r"line\nend bash", r"latin-\udce9", "grüße"]
    assert contents(repo) == dict.fromkeys(names, "odd")
