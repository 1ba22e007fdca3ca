# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in for an RPM distribution: plain dnf installs it, and what it installs works."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from opkg.native.mounts import remove_tree
from opkg.run import Completed, run
from tests.lab.standin import KEY_FILE, index, standin_repository

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository() -> Path:
    return standin_repository()


@pytest.fixture(scope="module")
def image(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root that dnf filled with the base system, all signatures checked."""
    folder = tmp_path_factory.mktemp("image")
    install(repository, folder, "demo-rpm-base")
    yield folder / "root"
    remove_tree(folder)


@pytest.fixture
def copied(repository: Path, tmp_path: Path) -> Path:
    """The repository's own copy for a test that spoils it."""
    return shutil.copytree(repository, tmp_path / "copy")


def install(
    repository: Path, folder: Path, *packages: str, repo_gpgcheck: bool = True, check: bool = True
) -> Completed:
    """dnf's installation of packages into `folder`/root, from that repository alone."""
    config = folder / "dnf.conf"
    config.write_text(
        "[main]\ngpgcheck=1\ninstall_weak_deps=0\nreposdir=/nonexistent\n"
        f"[demo-rpm]\nname=demo-rpm\nbaseurl=file://{repository}\n"
        f"gpgcheck=1\nrepo_gpgcheck={int(repo_gpgcheck)}\ngpgkey=file://{repository / KEY_FILE}\n"
    )
    # Debian's rpm would keep its database in the root's /root/.rpmdb.
    (folder / ".rpmmacros").write_text("%_dbpath /var/lib/rpm\n")
    # A name space of its own, for dnf leaves gpg-agents behind.
    contained = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    dnf: list[str | Path] = [
        "dnf",
        "-y",
        "--config",
        config,
        "--installroot",
        folder / "root",
        "--releasever",
        "9",
    ]
    return run([*contained, *dnf, "install", *packages], env={"HOME": str(folder)}, check=check)


def inside(root: Path, *words: str) -> Completed:
    bwrap: list[str | Path] = [
        "bwrap",
        "--bind",
        root,
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
    ]
    apart = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--die-with-parent", "--clearenv"]
    return run([*bwrap, *apart, "--", *words])


def rpm(root: Path, *words: str) -> Completed:
    return run(["rpm", "--root", root, "--dbpath", "/var/lib/rpm", *words], check=False)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["/usr/sbin/chronyd", "-v"], "chronyd (chrony) version"),
        (["python3", "-c", "import ClusterShell; print(ClusterShell.__version__)"], "1."),
        (["ssh", "-V"], "OpenSSH"),
        (["bash", "-lc", "module --version"], "Modules Release"),
        (["sh", "-c", "echo ${BASH_VERSION:-not bash}; awk 'BEGIN { print PROCINFO[1] }'"], "5."),
        (["cat", "/etc/os-release"], "ID=demo-rpm"),
    ],
)
def test_the_installed_base_system_works(image: Path, command: list[str], says: str) -> None:
    done = inside(image, *command)
    assert says in done.stdout + done.stderr


def test_installed_files_are_what_the_packages_say(image: Path) -> None:
    """Contents, modes, owners, links and dependencies, by rpm's own check of all packages."""
    verified = rpm(image, "--verify", "--all")
    assert (verified.status, verified.stdout, verified.stderr) == (0, "", "")


def test_accounts_and_odd_modes_survive(image: Path) -> None:
    stat = inside(image, "stat", "-c", "%A %U %G", "/var/lib/chrony", "/usr/bin/su", "/var/tmp")
    assert stat.stdout.splitlines() == [
        "drwxr-x--- _chrony _chrony",
        "-rwsr-xr-x root root",
        "drwxrwxrwt root root",
    ]


def test_the_loader_finds_libraries_where_rpms_put_them(image: Path) -> None:
    assert "/usr/lib64" in inside(image, "/sbin/ldconfig", "-N", "-X", "-v").stdout
    assert "libc.so.6" in inside(image, "/sbin/ldconfig", "-p").stdout


@pytest.mark.parametrize(
    "capability",
    ["openssh-clients", "openssh-client", "system-release", "libc.so.6()(64bit)", "/bin/sh",
     "python(abi)", "iproute"],
)  # fmt: skip
def test_what_packages_built_elsewhere_require_is_provided(image: Path, capability: str) -> None:
    assert rpm(image, "-q", "--whatprovides", capability).status == 0


def test_perl_modules_are_provided_as_rpm_names_them(repository: Path) -> None:
    package = next((repository / "Packages").glob("perl-interpreter-*.rpm"))
    assert "perl(Getopt::Long)" in run(["rpm", "-qp", "--provides", package]).stdout.splitlines()


def test_a_changed_package_is_refused_though_the_index_knows_it(
    copied: Path, tmp_path: Path
) -> None:
    package = next((copied / "Packages").glob("setup-*.rpm"))
    content = bytearray(package.read_bytes())
    content[-8] ^= 1
    package.write_bytes(content)
    index(copied)
    done = install(copied, tmp_path, "setup", repo_gpgcheck=False, check=False)
    assert done.status != 0
    assert "setup" in done.stdout + done.stderr
    assert rpm(tmp_path / "root", "-q", "setup").status != 0


def test_a_changed_index_is_refused(copied: Path, tmp_path: Path) -> None:
    repomd = copied / "repodata/repomd.xml"
    repomd.write_text(repomd.read_text().replace("<revision>", "<revision>1"))
    done = install(copied, tmp_path, "setup", check=False)
    assert done.status != 0
    assert "signature" in (done.stdout + done.stderr).lower()


def test_the_unchanged_repository_is_taken(copied: Path, tmp_path: Path) -> None:
    """So that the refusals above are known to come from the change."""
    install(copied, tmp_path, "setup")
    assert rpm(tmp_path / "root", "-q", "setup").status == 0


def test_a_second_request_is_answered_from_the_cache(repository: Path) -> None:
    said: list[str] = []
    assert standin_repository(say=said.append) == repository
    assert said == []
