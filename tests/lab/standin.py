# SPDX-License-Identifier: GPL-2.0-or-later
"""`demo-rpm`: a small RPM distribution for machines that reach no RPM mirror.

It is a stand-in: the packages of a Debian root turned into RPMs, under the names that they have in
Enterprise Linux where those differ. Debian's maintainer scripts are left out; what they did shows
in the root as files that no package lists, and these go into the RPMs as files. What it is made of
says `standin.toml`. All else is real: signed packages and metadata that plain dnf and zypper take.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import rpm_rs

from opkg.files import sha256_file
from opkg.native.mounts import remove_tree
from opkg.run import run
from opkg.target import read_table
from tests.lab.cache import cached
from tests.lab.convert import Rules, Tree, split_tree, to_rpms
from tests.lab.debroot import read_packages, read_tree
from tests.lab.roots import debian_root, unpack
from tests.lab.rpms import write_rpm
from tests.lab.signing import throwaway_key

KEY_FILE = "RPM-GPG-KEY-demo-rpm"

_HERE = Path(__file__).parent
# rpm's own reader of libraries, in the package that has rpmbuild.
_ELFDEPS = Path("/usr/lib/rpm/elfdeps")
_LIBRARY = re.compile(r"\.so(\.[\d.]+)?$")


def standin_repository(
    packages: Sequence[str] = (), *, say: Callable[[str], None] = lambda _: None
) -> Path:
    """The repository of demo-rpm, from the cache if it is there: `Packages/*.rpm`, each signed,
    `repodata/` with `repomd.xml.asc`, and the public key in `KEY_FILE`.

    `packages` are further packages of Debian to be had as RPMs, with all they depend on.
    Raises CommandError when a tool fails.
    """
    rules = read_rules()
    tarball = debian_root([*rules.include, *packages], say=say)
    ours = {path.name: sha256_file(path) for path in sorted(_HERE.glob("*.*"))}
    inputs = [tarball.name, tarball.stat().st_mtime_ns, ours]
    digest = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:8]
    return cached(f"demo-rpm-{digest}", inputs, lambda path: _make(path, tarball, rules, say))


def read_rules() -> Rules:
    """What the stand-in is made of."""
    return msgspec.convert(tomllib.loads((_HERE / "standin.toml").read_text()), Rules)


def _make(repository: Path, tarball: Path, rules: Rules, say: Callable[[str], None]) -> None:
    root = repository.parent / "root"
    say("demo-rpm: unpacking the Debian root")
    unpack(tarball, root)
    _dress(root, rules)
    packages = read_packages(root)
    shares = split_tree(read_tree(root), packages, rules)
    sonames = {name: _sonames(root, files) for name, files in shares.items()}
    architectures = {each.deb: each.rpm for each in read_table().architectures.values()}
    rpms = to_rpms(packages, shares, sonames, rules, architectures | {"all": "noarch"})
    say(f"demo-rpm: writing {len(rpms)} RPMs")
    folder = repository / "Packages"
    folder.mkdir(parents=True)
    with throwaway_key("demo-rpm (a stand-in) <demo-rpm@localhost>") as key:
        signer = rpm_rs.Signer(key.secret().encode())
        for rpm in rpms:
            write_rpm(rpm, root, folder, signer=signer, time=int(tarball.stat().st_mtime))
        say("demo-rpm: indexing and signing the repository")
        index(repository)
        key.sign(repository / "repodata/repomd.xml")
        (repository / KEY_FILE).write_text(key.public())
    remove_tree(root)


def index(repository: Path) -> None:
    """Write `repodata/` over the RPMs below a folder, in what every dnf and zypper reads."""
    run(
        [
            Path(sys.executable).with_name("createrepo_c"),
            "--quiet",
            "--no-database",
            "--general-compress-type=gz",
            repository,
        ]
    )


def _dress(root: Path, rules: Rules) -> None:
    """Put the files and links of `standin.toml` into the root, in place of what is there."""
    for name, text in rules.files.items():
        path = root / name.lstrip("/")
        path.unlink(missing_ok=True)
        path.write_text(text.lstrip("\n"))
        path.chmod(0o644)
    for name, target in rules.links.items():
        path = root / name.lstrip("/")
        path.unlink(missing_ok=True)
        path.symlink_to(target)


def _sonames(root: Path, files: Tree) -> tuple[str, ...]:
    """What rpm's own generator says that the libraries among `files` provide."""
    places = [root / name[1:] for name, entry in files.items() if not entry.target]
    libraries = [path for path in places if _LIBRARY.search(path.name) and _is_elf(path)]
    return tuple(run([_ELFDEPS, "--provides", *libraries]).stdout.split()) if libraries else ()


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
