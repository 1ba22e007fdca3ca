# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing into headnode and images, by the real command and the real apt and dnf."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.opd.conftest import Opd, Repository, serve
from tests.trees import changes, picture

pytestmark = pytest.mark.slow

HOME = "/usr/lib/oscar/packages"


def dpkg(root: Path) -> dict[str, str]:
    """The OPKGs' packages that dpkg has, with versions."""
    argv = ["chroot", str(root), "dpkg-query", "-W", "-f",
            "${Package} ${Version} ${db:Status-Status}\n", "opkg-*"]  # fmt: skip
    lines = subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()
    rows = (line.split(" ") for line in lines)
    return {name: version for name, version, state in rows if state == "installed"}


def rpm(root: Path) -> dict[str, str]:
    """The OPKGs' packages that rpm has, with versions. Read-only, since rpm writes as it reads."""
    argv = ["bwrap", "--ro-bind", "/", "/", "rpm", "--root", str(root), "--define",
            "_dbpath /var/lib/rpm", "-qa", "opkg-*", "--qf",
            "%{NAME} %{VERSION}-%{RELEASE}\n"]  # fmt: skip
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split() for line in lines)


def test_every_part_comes_to_its_place_and_scripts_run_once_in_order(
    cluster: Opd, deb_image: Path
) -> None:
    everywhere = ("--headnode", "--image", deb_image, "--image", "rpm")
    done = cluster.run("install", "aback", "red", *everywhere)
    assert "aback 1.0-1" in done.err

    names = ("alpha", "aback", "red")
    versions = {f"opkg-{name}{part}": "1.0-1~deb12" for name in names for part in ("", "-server")}
    assert dpkg(cluster.headnode) == versions
    assert dpkg(deb_image) == {f"opkg-{name}-client": "1.0-1~deb12" for name in names}
    rpms = {f"opkg-{name}-client": "1.0-1.demo9" for name in names}
    assert rpm(cluster.image("rpm")) == rpms

    found = cluster.json("status", *everywhere)
    told = {
        (row["place"], row["package"]): row["version"] for rows in found.values() for row in rows
    }
    assert told == {
        **{("headnode", name): version for name, version in versions.items()},
        **{(str(deb_image), name): version for name, version in dpkg(deb_image).items()},
        **{("rpm", name): version for name, version in rpms.items()},
    }

    order = ("alpha", "red", "aback")
    clients = [f"{name} 1.0-1 client-post-install " for name in order]
    assert cluster.told(deb_image) == cluster.told(cluster.image("rpm")) == clients
    first = cluster.state / "images/rpm/generations/1"
    assert cluster.told() == [
        *(f"{name} 1.0-1 api-post-install " for name in order),
        *(f"{name} 1.0-1 server-post-install " for name in order),
        *(f"{name} 1.0-1 api-post-image {deb_image}" for name in order),
        *(f"{name} 1.0-1 api-post-image {first}" for name in order),
    ]


def test_what_was_done_is_on_record(cluster: Opd) -> None:
    cluster.run("install", "alpha")
    last = cluster.json("history")[0]
    assert last["outcome"] == "done"
    assert "install alpha" in last["command"]
    changed = {
        (row["place"], row["package"], row["before"], row["after"]) for row in last["changes"]
    }
    assert changed == {
        ("headnode", "opkg-alpha", "", "1.0-1~deb12"),
        ("headnode", "opkg-alpha-server", "", "1.0-1~deb12"),
        ("rpm", "opkg-alpha-client", "", "1.0-1.demo9"),
    }
    # bash may complain of the locale first, which the small root has not.
    runs = [
        (row["place"], row["script"], row["status"], row["output"].splitlines()[-1])
        for row in last["scripts"]
    ]
    assert runs == [
        (place, script, 0, f"{script} of alpha in {HOME}/alpha, starting services: ")
        for place, script in [
            ("headnode", "api-post-install"),
            ("headnode", "server-post-install"),
            ("rpm", "client-post-install"),
            ("rpm", "api-post-image"),
        ]
    ]
    shown = cluster.run("history", str(last["id"])).out
    assert "headnode: opkg-alpha – → 1.0-1~deb12" in shown


def test_nothing_of_opds_own_stays_in_a_root(cluster: Opd, deb_image: Path) -> None:
    before = picture(deb_image)
    (cluster.headnode / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    cluster.run("install", "alpha", "--headnode", "--image", deb_image)
    here = [path for path in changes(before, picture(deb_image)) if path in before]
    # What dpkg itself keeps; all else is new files of the OPKG.
    kept = ("var/lib/dpkg", "var/cache", "var/log", "var/lib/apt", "etc/apt")
    folders = {".", "usr/lib", "usr/sbin", "usr/share/doc", "etc"}
    assert [path for path in here if not path.startswith(kept) and path not in folders] == []
    for root in (cluster.headnode, deb_image):
        assert not (root / "usr/sbin/policy-rc.d").exists()
        assert not list(root.glob("run/oscar*"))
    assert "opd" not in (deb_image / "etc/resolv.conf").read_text()


def test_doing_it_again_changes_nothing(cluster: Opd, deb_image: Path) -> None:
    everywhere = ("--headnode", "--image", deb_image, "--image", "rpm")
    cluster.run("install", "alpha", *everywhere)
    before = picture(deb_image), cluster.generations("rpm"), cluster.told()
    done = cluster.run("install", "alpha", *everywhere)
    assert (picture(deb_image), cluster.generations("rpm"), cluster.told()) == before
    assert "rpm: has all of it already" in done.err
    assert cluster.json("history")[0]["changes"] == []


def test_looking_changes_nothing(cluster: Opd, deb_image: Path) -> None:
    before = picture(deb_image), picture(cluster.image("rpm"))
    cluster.run("status", "--image", deb_image, "--image", "rpm")
    assert (picture(deb_image), picture(cluster.image("rpm"))) == before


def test_a_newer_version_takes_the_place_of_the_old_and_all_of_it_goes(
    cluster: Opd, deb_image: Path, published: Repository, tmp_path: Path
) -> None:
    everywhere = ("--headnode", "--image", deb_image, "--image", "rpm")
    cluster.run("install", "aback", *everywhere)
    own = published.copy(tmp_path / "published")
    own.publish_second()
    with serve(own.root) as address:
        cluster.run("repo", "remove", "test")
        cluster.run("repo", "add", address, "--root-key", own.root_json)
        cluster.run("install", "alpha", *everywhere)
        assert dpkg(cluster.headnode)["opkg-alpha-server"] == "2.0-1~deb12"
        assert dpkg(deb_image)["opkg-alpha-client"] == "2.0-1~deb12"
        assert rpm(cluster.image("rpm"))["opkg-alpha-client"] == "2.0-1.demo9"
    assert "alpha 2.0-1 client-post-install " in cluster.told(cluster.image("rpm"))

    # The rest needs no repository.
    refused = cluster.run("remove", "alpha", *everywhere, status=1)
    assert "opkg-aback" in refused.err
    assert "needs what is to be removed" in refused.err
    assert dpkg(cluster.headnode)["opkg-alpha-server"] == "2.0-1~deb12"
    cluster.run("remove", "alpha", "aback", *everywhere)
    assert dpkg(cluster.headnode) == dpkg(deb_image) == rpm(cluster.image("rpm")) == {}
    assert "not installed" in cluster.run("remove", "alpha", *everywhere).err


def test_what_was_superfluous_before_is_not_removed(alone: Opd) -> None:
    alone.run("install", "aback")
    # alpha came for aback, and blue for nothing that apt knows of.
    alone.run("install", "blue")
    subprocess.run(
        ["chroot", alone.headnode, "apt-mark", "auto", "opkg-blue-server", "opkg-blue",
         "opkg-alpha-server", "opkg-alpha"],
        check=True, capture_output=True,
    )  # fmt: skip
    alone.run("remove", "aback")
    assert set(dpkg(alone.headnode)) == {"opkg-blue", "opkg-blue-server"}


def test_scripts_for_images_run_also_when_the_image_alone_is_named(cluster: Opd) -> None:
    cluster.run("install", "alpha", "--headnode")
    cluster.run("install", "alpha", "--image", "rpm")
    first = cluster.state / "images/rpm/generations/1"
    assert cluster.told()[-1] == f"alpha 1.0-1 api-post-image {first}"


def test_a_failing_client_script_leaves_the_image_as_it_was(
    cluster: Opd, deb_image: Path, published: Repository, tmp_path: Path
) -> None:
    before = {root: picture(root) for root in (deb_image, cluster.image("rpm"))}
    for name in (str(deb_image), "rpm"):
        done = cluster.run("install", "sulky", "--image", name, status=1)
        assert f"client-post-install of sulky failed in {name}" in done.err
        assert "client-post-install of sulky in" in done.err  # its output
        last = cluster.json("history")[0]
        assert last["outcome"] == "failed"
        assert last["changes"] == []
        assert [(row["status"], row["undone"]) for row in last["scripts"]] == [(1, True)]
    assert {root: picture(root) for root in before} == before
    assert cluster.generations("rpm") == ["1"]

    own = published.copy(tmp_path / "published")
    own.publish_second()
    with serve(own.root) as address:
        cluster.run("repo", "remove", "test")
        cluster.run("repo", "add", address, "--root-key", own.root_json)
        cluster.run("install", "sulky", "--image", deb_image, "--image", "rpm")
    assert dpkg(deb_image) == {"opkg-sulky-client": "2.0-1~deb12"}
    assert rpm(cluster.image("rpm")) == {"opkg-sulky-client": "2.0-1.demo9"}


def test_a_failing_server_script_is_repeated_by_the_next_install(alone: Opd) -> None:
    done = alone.run("install", "stuck", status=1)
    assert "server-post-install of stuck failed in headnode" in done.err
    last = alone.json("history")[0]
    assert {row["package"] for row in last["changes"]} == {"opkg-stuck", "opkg-stuck-server"}
    assert [row["status"] for row in last["scripts"]] == [0, 1]
    (alone.headnode / "mended").touch()
    alone.run("install", "stuck")
    last = alone.json("history")[0]
    assert [(row["script"], row["status"]) for row in last["scripts"]] == [
        ("server-post-install", 0)
    ]
    alone.run("install", "stuck")
    assert alone.json("history")[0]["scripts"] == []
