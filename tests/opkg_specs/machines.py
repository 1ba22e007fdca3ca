# SPDX-License-Identifier: GPL-2.0-or-later
"""A head node and the image of its nodes: two throw-away Debians, whose packages come through apt
from Debian's archive, and from a folder with all that the library becomes.

What is installed is done in the network of this machine, where the archive can be reached; all
else runs in a network of its own, where the nodes are addresses of the loopback interface.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from debian.debfile import DebFile

from opkg.files import locked
from opkg.target import known_targets
from tests.lab.cache import cache_root, cached
from tests.lab.roots import MACHINE, debian_root, overlay, unpack
from tests.opkg_specs.running import SPECS, Ran, needs_root, ran

# Security updates replace packages in the archive: lists older than this name some that are gone.
LISTS_AGE = timedelta(days=1)
IMAGE = "/var/lib/systemimager/images/compute"
GET = "apt-get -qq -y --no-install-recommends"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}

HOSTS = """\
127.0.0.1 localhost head1 oscar-server
127.0.0.2 node1
127.0.0.3 node2
"""

# In namespaces of its own: mounts what a machine has, and enters it. Words: root, script, then
# what is mounted where. What was mounted and what runs goes with the namespaces.
ENTER = """
root=$0 script=$1
shift
while [ $# -gt 0 ]; do
    mkdir -p "$root$2"
    mount --rbind "$1" "$root$2"
    shift 2
done
for machine in "$root" "$root$IMAGE"; do
    [ -d "$machine/proc" ] || continue
    mount -t proc proc "$machine/proc"
    mount -t sysfs -o ro sysfs "$machine/sys"
    mount -t tmpfs tmpfs "$machine/run"
    mount -t tmpfs tmpfs "$machine/dev"
    for device in null zero full random urandom tty; do
        touch "$machine/dev/$device"
        mount --bind "/dev/$device" "$machine/dev/$device"
    done
    mkdir "$machine/dev/pts"
    mkdir -m 1777 "$machine/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$machine/dev/pts"
    ln -s pts/ptmx "$machine/dev/ptmx"
    ln -s /proc/self/fd "$machine/dev/fd"
    mkdir -p "$machine/run/sshd"
done
hostname head1
ip link set lo up
exec chroot "$root" /bin/sh -euc "$script"
"""
# Runs a command on the nodes, all of which are one image here.
NODE = f"""
node() {{ chroot {IMAGE} "$@"; }}
"""
# Paths that package managers, logs and running machines change, and that no OPKG has to tidy up.
NOT_COUNTED = (
    "/proc", "/sys", "/dev", "/run", "/tmp", "/opkgs", "/var/log", "/var/cache", "/var/tmp",
    "/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemimager", "/etc/ld.so.cache", "/etc/*-",
    "/var/lib/nfs",
)  # fmt: skip
STATE = """
find / \\( {skipped} \\) -prune -o -not -type d -printf '%p %u:%g %m %l\\n' -o -type d \
    -printf '%p/ %u:%g %m\\n' | sort
find /etc /opt /root /home /srv /var /boot \\( {skipped} \\) -prune -o -type f \
    -exec sha256sum {{}} + | sort -k 2
"""


@cache
def _base(suite: str) -> Path:
    """A minimal Debian whose apt has read the archive's lists, and starts no services."""

    def make(path: Path) -> None:
        unpack(tarball, path)
        (path / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (path / "usr/sbin/policy-rc.d").chmod(0o755)
        (path / "etc/dpkg/dpkg.cfg.d/fast").write_text("force-unsafe-io\n")
        (path / "etc/hostname").write_text("head1\n")
        (path / "etc/hosts").write_text(HOSTS)
        _succeeded(_enter(path, f"{GET} update", outside=True))

    tarball = debian_root(MACHINE, suite)
    return cached(
        f"opkg-library-root-{suite}",
        [str(tarball), tarball.stat().st_mtime_ns, HOSTS],
        make,
        max_age=LISTS_AGE,
    )


def _enter(
    root: Path, script: str, *, mounts: Sequence[tuple[Path, str]] = (), outside: bool = False
) -> Ran:
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc"]
    argv += [] if outside else ["--net"]
    words = [str(word) for mount in mounts for word in mount]
    if outside:
        (root / "etc/resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
    return ran(
        [*argv, "sh", "-euc", ENTER, str(root), script, *words],
        env={**ENVIRONMENT, "IMAGE": IMAGE},
    )


def _archives() -> Path:
    """The packages of Debian's that were fetched."""
    folder = cache_root() / "opkg-library-archives"
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True, kw_only=True)
class Library:
    """A folder with all packages of the library for a Debian, and what each requires of the
    others."""

    suite: str
    folder: Path
    requires: Mapping[str, frozenset[str]]

    def closure(self, names: Iterable[str]) -> list[Path]:
        """The archives of packages and of all packages of the library that they require."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.requires[name]
        return [path for path in self.folder.glob("*.deb") if package_of(path) in found]


def package_of(deb: Path) -> str:
    return deb.name.partition("_")[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Machine:
    """A throw-away Debian. `images` are roots of nodes, and where they are seen there."""

    root: Path
    library: Library
    images: tuple[tuple[Path, str], ...] = ()

    def run(self, script: str) -> Ran:
        """Run a piece of shell there; processes that it leaves behind end with it."""
        mounts = [(self.library.folder, "/opkgs"), *self.images]
        return _enter(self.root, NODE + script, mounts=mounts)

    def check(self, script: str) -> str:
        """Run a piece of shell that has to succeed, and return what it printed."""
        return _succeeded(self.run(script))

    def fetch(self, *packages: str) -> list[str]:
        """Fetch what Debian's archive has of an installation, unless some test has done that
        already. Returns the names of those packages that are not installed yet."""
        with locked(_archives().with_suffix(".lock")):
            said = self._apt(f"install {self._named(packages)} --download-only -q=1", outside=True)
        new = re.search(r"^The following NEW packages .*\n((?:  .*\n)+)", said, re.MULTILINE)
        names = new[1].split() if new else []
        return [name for name in names if name not in self.library.requires]

    def put(self, *packages: str) -> None:
        """Install packages for which all has been fetched."""
        self._apt(f"install {self._named(packages)}")

    def simulate(self, *packages: str) -> None:
        """See that apt finds all that packages need; nothing is fetched."""
        self._apt(f"install --simulate {self._named(packages)}")

    def install(self, *packages: str) -> None:
        """Install packages with all that they need, through apt."""
        self.fetch(*packages)
        self.put(*packages)

    def purge_ours(self) -> None:
        """Remove every package of the library, with its configuration."""
        installed = self.check("dpkg-query -W -f '${Package}\\n'").split()
        self._apt("purge " + shlex.join(sorted(self.library.requires.keys() & set(installed))))

    def _apt(self, words: str, *, outside: bool = False) -> str:
        mounts = [(self.library.folder, "/opkgs"), (_archives(), "/var/cache/apt/archives")]
        script = f"{GET} -o Debug::NoLocking=1 {words} < /dev/null"
        return _succeeded(_enter(self.root, script, mounts=mounts, outside=outside))

    def _named(self, packages: Iterable[str]) -> str:
        """Packages as apt is told of them: those of the library by their archives."""
        ours = self.library.requires.keys() & set(packages)
        archives = [f"/opkgs/{path.name}" for path in self.library.closure(ours)]
        return shlex.join([*archives, *(set(packages) - ours)])

    def state(self) -> list[str]:
        """All files with owners, modes and targets of links; of those that can be configured or
        hold data, digests too."""
        skipped = " -o ".join(f"-path '{path}'" for path in NOT_COUNTED)
        return self.check(STATE.format(skipped=skipped)).splitlines()


def _succeeded(done: Ran) -> str:
    assert done.status == 0, done.out + done.err
    return done.out


def built_library(
    out: Path, target: str = "debian-12-x86_64", directories: Sequence[Path] = ()
) -> Library:
    """Build OPKGs, those of the library that need no root for it where none are named, for a
    Debian into a folder, unless that was done. One that cannot be built is missing from it, which
    only the tests of that one have to mind."""
    directories = directories or [
        path.parent for path in SPECS.glob("*/config.xml") if not needs_root(path.parent.name)
    ]
    builder = [sys.executable, "-m", "builder", "build", *directories]
    folder = out / target
    if not (folder / "manifest.json").exists():
        # What lintian says of them: test_policies.py.
        ran([*builder, "-t", target, "--no-lint", "-o", out])
    named = {package_of(path): DebFile(path).debcontrol() for path in folder.glob("*.deb")}
    requires = {
        name: frozenset(
            re.findall(r"[^\s,|(]+", re.sub(r"\(.*?\)", "", control.get("Depends", "")))
        )
        for name, control in named.items()
    }
    ours = {name: words & named.keys() for name, words in requires.items()}
    return Library(
        suite=known_targets().find(target).distribution.suite, folder=folder, requires=ours
    )


@contextmanager
def machine_of(library: Library) -> Iterator[Machine]:
    """A machine without any OPKG."""
    with overlay(_base(library.suite)) as root:
        yield Machine(root=root, library=library)


@contextmanager
def head_and_image(library: Library) -> Iterator[tuple[Machine, Machine]]:
    """A head node and an image of its nodes, both without any OPKG. The head node sees the image
    below IMAGE, and `node COMMAND` runs there what a node would run."""
    with machine_of(library) as image, overlay(_base(library.suite)) as root:
        yield Machine(root=root, library=library, images=((image.root, IMAGE),)), image
