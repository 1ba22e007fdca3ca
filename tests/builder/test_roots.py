# SPDX-License-Identifier: GPL-2.0-or-later
"""Recipes of several kinds, followed in build roots; what comes of it is installed and run, and
their source packages are built again by the distribution's own tools."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from builder.roots import build_root
from builder.steps import build_requirements
from opkg.directory import read_opkg
from opkg.files import sha256_file
from opkg.native import guest
from opkg.recipe_reader import read_recipe
from opkg.resolve import PACKAGES_DIR
from opkg.run import run
from opkg.spec import Relation
from opkg.target import Target, known_targets
from tests.builder.conftest import Write, opkgc
from tests.lab.cache import cached
from tests.lab.roots import MACHINE, debian_root, overlay, unpacked
from tests.lab.standin import KEY_FILE, standin_repository
from tests.opkg_specs.test_policies import linted, not_accepted, rpmlinted

pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
RECIPES = Path(__file__).parent / "recipes"
# Those of the library that are compiled are tried here, where there are roots for that.
LIBRARY = ("nodelist", "nodebench", "lowlatency")
KINDS = ("greet", "tally", "colours", "chime", *LIBRARY)
# What the stand-in for an RPM distribution is to have beside its base: by Debian's names.
BUILDING = (
    "rpm", "file", "gcc", "g++", "make", "patch", "debugedit", "elfutils", "autoconf", "automake",
    "libtool", "cmake", "meson", "ninja-build", "python3-pip", "python3-setuptools",
    "python3-wheel", "kmod", "dkms", "linux-headers-cloud-amd64",
    # What a node of it boots.
    "dracut", "iproute2", "linux-image-cloud-amd64", "systemd-sysv", "zstd",
)  # fmt: skip
# The stand-in's rpm is Debian's, which would look into its user's home.
RPM = ("rpm", "--dbpath", "/var/lib/rpm")

Inside = Callable[..., str]


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the recipes gave for a target; `base` is a root to install it into an overlay of."""

    target: Target
    folder: Path
    base: Path

    @property
    def files(self) -> list[str]:
        """The packages without those of debug symbols, and without those that OPKGs of tests
        become."""
        names = [path.name for path in self.folder.iterdir() if path.suffix in (".deb", ".rpm")]
        library = tuple(f"opkg-{name}" for name in LIBRARY)
        return sorted(
            name
            for name in names
            if (name.startswith(library) or not name.startswith("opkg-"))
            and not re.search("-dbgsym_|-debuginfo-|-debugsource-", name)
        )

    def one(self, start: str) -> str:
        """The one package whose file begins so."""
        [name] = [name for name in self.files if name.startswith(start)]
        return name


def folder_of(kind: str) -> Path:
    return (TOP / "opkg_specs" if kind in LIBRARY else RECIPES) / kind


def built(name: str, inputs: object) -> tuple[Target, Path]:
    """Build the recipes for a target in build roots, if these, or our code, have changed."""
    kinds = [folder_of(kind) for kind in KINDS]
    ours = [
        sha256_file(path)
        for folder in (TOP / "builder", TOP / "opkg", *kinds)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]

    def make(out: Path) -> None:
        opkgc("build", *kinds, "--root", "chroot", "-t", name, "-o", out)

    out = cached(f"recipes-{name}", [ours, inputs], make, max_age=timedelta(days=14))
    target = known_targets().find(name)
    return target, out / target.name


@pytest.fixture(scope="module", params=["debian-12", "debian-13"])
def debs(request: pytest.FixtureRequest) -> Built:
    target, folder = built(request.param, "")
    base = unpacked(debian_root(MACHINE, suite=target.distribution.suite))
    return Built(target=target, folder=folder, base=base)


@pytest.fixture(scope="module")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    repository = standin_repository(BUILDING)
    table = tmp_path_factory.mktemp("rpms") / "targets.toml"
    # find-debuginfo needs `file`, which an RPM distribution's rpm-build requires.
    build_base = [*known_targets().find("demo-rpm-9").distribution.build_base, "file"]
    table.write_text(
        f'[distributions.demo-rpm-9]\nmirrors = [{{ name = "demo", url = "file://{repository}", '
        f'key = "file://{repository / KEY_FILE}" }}]\nbuild_base = {json.dumps(build_base)}\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPKG_TARGETS", str(table))
        known_targets.cache_clear()
        target, folder = built("demo-rpm-9", sha256_file(repository / "repodata/repomd.xml"))
        needed = [Relation(name=name) for name in ("kmod", "libstdc++6", "python3")]
        yield Built(target=target, folder=folder, base=build_root(target, needed, (), print))
    known_targets.cache_clear()


def running(root: Path, folder: Path) -> Inside:
    """Runs programs in a root, which sees `folder` at /mnt; what they say."""

    def inside(*argv: str | Path) -> str:
        return run(guest.inside(root, *argv, binds={Path("/mnt"): folder})).stdout

    return inside


def test_debs_are_installed_and_run(debs: Built) -> None:
    with overlay(debs.base) as root:
        inside = running(root, debs.folder)
        # A kernel is large, and the module for it is only looked at.
        depends = inside("dpkg-deb", "--field", f"/mnt/{debs.one('lowlatency-kmod_')}", "Depends")
        kernel = depends.strip().rpartition(", ")[2]
        assert kernel.startswith("linux-image-")
        packages = [f"/mnt/{name}" for name in debs.files]
        inside("dpkg", f"--ignore-depends={kernel}", "--install", *packages)
        check(inside, root)
        assert inside("dpkg-query", "-W", "-f", "${Status}", "greet") == "install ok installed"
        assert "/etc/greet.conf" in inside("dpkg-query", "-W", "-f", "${Conffiles}", "greet")
        depends = inside("dpkg-query", "-W", "-f", "${Depends}", "greet")
        assert "libgreet1 (>= 1.2)" in depends
        assert "libc6 (>= " in depends
        assert "/usr/share/man/man1/greet.1.gz" in inside("dpkg-query", "-L", "greet")
        inside("dpkg", "--remove", "greet")
        assert not (root / "var/lib/greet.known").exists()
        # Policy: byte-code is made at installation, and goes with the package.
        modules = root / "usr/lib/python3/dist-packages/tally"
        assert list(modules.glob("__pycache__/*.pyc"))
        inside("dpkg", "--remove", "python3-tally")
        assert not modules.exists()


def test_rpms_are_installed_and_run(rpms: Built) -> None:
    names = {path.name.rsplit("-", 2)[0] for path in rpms.folder.glob("*.rpm")}
    assert {"greet", "libgreet1", "libgreet-dev", "opkg-greet-debuginfo"} <= names
    assert {"libnodelist1", "libnodelist-devel", "nodelist", "nodebench"} <= names
    with overlay(rpms.base) as root:
        inside = running(root, rpms.folder)
        module = rpms.one("lowlatency-kmod-")
        inside(*RPM, "--install", "--nodeps", f"/mnt/{module}")  # without the kernel that it needs
        assert "linux-image-" in inside(*RPM, "-q", "--requires", "lowlatency-kmod")
        inside(*RPM, "--install", *(f"/mnt/{name}" for name in rpms.files if name != module))
        check(inside, root)
        assert inside(*RPM, "-qc", "greet") == "/etc/greet.conf\n"
        assert "libgreet.so.1()(64bit)" in inside(*RPM, "-q", "--requires", "greet")
        assert "libgreet.so.1()(64bit)" in inside(*RPM, "-q", "--provides", "libgreet1")
        assert "ldconfig" in inside(*RPM, "-q", "--scripts", "libgreet1")
        assert "ldconfig" not in inside(*RPM, "-q", "--scripts", "libgreet-dev")
        listed = inside(*RPM, "-ql", "greet", "python3-tally")
        assert "/usr/share/man/man1/greet.1.gz" in listed
        assert ".pyc" in listed
        inside(*RPM, "--verify", "greet", "libgreet1", "nodebench", "python3-tally")
        inside(*RPM, "--erase", "greet")
        assert not (root / "var/lib/greet.known").exists()


def check(inside: Inside, root: Path) -> None:
    """Look at what the packages, now installed, do."""
    assert inside("greet", "you") == "hello, you\n"
    assert inside("chime") == "dong\n" * 3
    assert inside("bash", "-c", "echo one two three | tally") == "3\n"
    assert inside("cat", "/usr/share/colours/colours.txt").startswith("red\n")
    assert inside("nodelist", "--fold", "n10", "n1", "n2") == "n[1-2,10]\n"
    for name in LIBRARY:
        inside(f"{PACKAGES_DIR}/{name}/testing/test_root")
    module = next(root.glob("usr/lib/modules/*/updates/lowlatency.ko"))
    release, place = module.parents[1].name, "/" + str(module.relative_to(root))
    assert "Keeps processors from deep sleep" in inside("modinfo", place)
    assert inside("modinfo", "--field", "vermagic", place).startswith(f"{release} SMP ")
    # A trigger: another package has put something into the folder.
    assert inside("cat", "/var/lib/greet.known") == "colours\n"


def what_builds(kind: str, target: Target) -> Path:
    """The build root of a recipe."""
    opkg, _ = read_opkg(folder_of(kind))
    recipe = read_recipe(folder_of(kind))
    assert recipe is not None
    return build_root(target, build_requirements(recipe, target, opkg.names), (), print)


def of_library(made: Built) -> list[Path]:
    wanted = re.compile(f"(lib|opkg-)?({'|'.join(LIBRARY)})")
    return [made.folder / name for name in made.files if wanted.match(name)]


@pytest.mark.parametrize("debs", ["debian-12"], indirect=True)
def test_lintian_finds_nothing_in_what_the_library_has(debs: Built) -> None:
    assert not not_accepted("lintian", linted(of_library(debs)))


def test_rpmlint_finds_nothing_in_what_the_library_has(rpms: Built) -> None:
    # Debian's libtool, which the stand-in has, means it so.
    tags = [row for row in rpmlinted(of_library(rpms)) if row[2] != "shared-library-not-executable"]
    assert not not_accepted("rpmlint", tags)


def test_source_packages_build_with_dpkg_buildpackage_alone(debs: Built) -> None:
    with overlay(what_builds("greet", debs.target)) as root:
        inside = running(root, debs.folder)
        inside(
            "bash", "-ec", "mkdir /var/again; cd /var/again; dpkg-source -x /mnt/source/*greet*.dsc"
            " tree; cd tree; dpkg-buildpackage -us -uc; dpkg -i ../libgreet1_*.deb ../greet_*.deb",
        )  # fmt: skip
        assert inside("greet", "you") == "hello, you\n"
        made = {path.name for path in (root / "var/again").glob("*.deb")}
        assert made == {path.name for path in debs.folder.glob("*greet*.deb") if made_by(path)}


def test_source_packages_build_with_rpmbuild_alone(rpms: Built) -> None:
    with overlay(what_builds("greet", rpms.target)) as root:
        inside = running(root, rpms.folder)
        top = "_topdir /var/again"
        inside("bash", "-c", f"rpmbuild --define '{top}' --dbpath /var/lib/rpm --rebuild "
               "/mnt/source/opkg-greet-*.src.rpm")  # fmt: skip
        folder = root / "var/again/RPMS/x86_64"
        made = {path.name for path in folder.glob("*.rpm")}
        assert made == {path.name for path in rpms.folder.glob("*greet*.rpm") if made_by(path)}
        inside("bash", "-c", "cd /var/again/RPMS/x86_64; "
               f"{' '.join(RPM)} --install libgreet1-* greet-*")  # fmt: skip
        assert inside("greet", "you") == "hello, you\n"


def made_by(path: Path) -> bool:
    """Whether a package comes from the recipe, not from the OPKG itself."""
    name = path.name
    return not name.startswith("opkg-") or "debuginfo" in name or "debugsource" in name


def test_what_an_administrator_changed_is_kept_on_upgrade(
    opkg: Write, rpms: Built, tmp_path: Path
) -> None:
    """Though the new version has another default."""
    old, new = tmp_path / "old", tmp_path / "new"
    for version, out in (("1.0-1", old), ("1.1-1", new)):
        files = {"src/hello.conf": f"greeting=hello from {version}\n"}
        source = opkg("sample", recipe=True, version=version, files=files)
        opkgc("build", source, "-t", "debian-12", "-t", "demo-rpm-9", "--root", "host", "-o", out)
    base = unpacked(debian_root(MACHINE))
    deb = ["dpkg", "--force-confdef", "--install"]
    for kind, root_base, install in (("deb", base, deb), ("rpm", rpms.base, [*RPM, "--upgrade"])):
        with overlay(root_base) as root:
            inside = running(root, tmp_path)
            config = root / "etc/hello-sample.conf"
            for out, text in ((old, "hello from 1.0-1"), (new, "mine")):
                package = next(out.glob(f"*/hello-sample*.{kind}")).relative_to(tmp_path)
                inside(*install, f"/mnt/{package}")
                assert config.read_text() == f"greeting={text}\n"
                config.write_text("greeting=mine\n")
            assert (
                root / f"etc/hello-sample.conf.{'dpkg-dist' if kind == 'deb' else 'rpmnew'}"
            ).exists()
