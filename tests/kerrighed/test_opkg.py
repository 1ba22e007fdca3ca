# SPDX-License-Identifier: GPL-2.0-or-later
"""The OPKG's native packages: built in build roots, installed, and used, on each family."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.roots import build_root as root_to_build_in
from opkg.spec import Relation
from opkg.target import known_targets
from tests.builder.conftest import opkgc
from tests.builder.test_roots import BUILDING, RPM, Inside, running
from tests.kerrighed.building import SOURCE, build_root, kernel_of
from tests.lab.roots import overlay
from tests.lab.standin import KEY_FILE, standin_repository

pytestmark = pytest.mark.slow

# Says what the library says where the module is not loaded.
USES_LIBRARY = """
#include <kerrighed/kerrighed.h>
#include <stdio.h>
int main(void) { return krg_check_hotplug() ? !puts(krg_last_error()) : 1; }
"""
NOT_LOADED = "the module kerrighed is not loaded: run krgboot start\n"


@pytest.fixture(scope="module", params=["debian-12", "debian-13"])
def debs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("debs")
    opkgc("build", SOURCE.parent, "--root", "chroot", "-t", request.param, "-o", out)
    return next(out.glob("*/manifest.json")).parent


def root_with_kernel(debs: Path) -> Path:
    """A root of the target of these packages, with its kernel, headers and dkms."""
    return build_root(known_targets().find(debs.name).distribution.suite)


@pytest.mark.parametrize("debs", ["debian-12"], indirect=True)
def test_lintian_finds_nothing(debs: Path) -> None:
    packages = [path for path in debs.glob("*.deb") if "-dbgsym" not in path.name]
    argv = ["lintian", "--allow-root", "--tag-display-limit", "0", *packages]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert len(packages) == 9
    assert done.stdout == ""


def test_debs_are_installed_and_used(debs: Path) -> None:
    names = ("kerrighed-modules", "libkerrighed2", "libkerrighed-dev", "kerrighed-tools",
             "python3-kerrighed")  # fmt: skip
    base = root_with_kernel(debs)
    with overlay(base) as root:
        inside = running(root, debs)
        inside(
            "dpkg",
            "--install",
            *(f"/mnt/{next(debs.glob(f'{n}_*.deb')).name}" for n in names),
        )
        use(inside, kernel_of(base))
        inside("dpkg", "--purge", "kerrighed-modules")
        assert "kerrighed" not in inside("sh", "-c", "cat /usr/lib/modules/*/modules.dep")


def test_dkms_builds_the_module_for_each_kernel(debs: Path) -> None:
    base = root_with_kernel(debs)
    release, newer = kernel_of(base), "99.0.0-1-amd64"
    with overlay(base) as root:
        inside = running(root, debs)
        inside("dpkg", "--install", f"/mnt/{next(debs.glob('kerrighed-dkms_*.deb')).name}")
        # A kernel comes, and its package calls what Debian's has in this folder.
        inside("cp", "--archive", f"/lib/modules/{release}", f"/lib/modules/{newer}")
        inside("rm", "--recursive", f"/lib/modules/{newer}/updates")
        inside("sh", "-ec", f"/etc/kernel/postinst.d/dkms {newer} /boot/vmlinuz-{newer}")
        for kernel in (release, newer):
            assert "updates/dkms/kerrighed.ko" in inside(
                "modprobe", "-S", kernel, "-D", "kerrighed"
            )
            assert inside("modinfo", "-k", kernel, "-F", "version", "kerrighed") == "3.1.0\n"
        inside("dpkg", "--purge", "kerrighed-dkms")
        assert not list(root.glob("usr/lib/modules/*/updates/dkms/kerrighed.ko*"))
        assert inside("dkms", "status") == ""


def test_rpms_are_installed_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = standin_repository(BUILDING)
    table = tmp_path / "targets.toml"
    table.write_text(
        f'[distributions.demo-rpm-9]\nmirrors = [{{ name = "demo", url = "file://{repository}", '
        f'key = "file://{repository / KEY_FILE}" }}]\n'
    )
    monkeypatch.setenv("OPKG_TARGETS", str(table))
    known_targets.cache_clear()
    try:
        opkgc("build", SOURCE.parent, "--root", "chroot", "-t", "demo-rpm-9", "-o", tmp_path,
              lint=True)  # fmt: skip
        names = ("dkms", "gcc", "glibc-devel", "kmod", "linux-headers-cloud-amd64", "python3")
        needed = [Relation(name=name) for name in names]
        base = root_to_build_in(known_targets().find("demo-rpm-9"), needed, (), print)
    finally:
        known_targets.cache_clear()
    folder = tmp_path / "demo-rpm-9-x86_64"
    names = ("libkerrighed2", "libkerrighed-devel", "kerrighed-tools", "python3-kerrighed")
    with overlay(base) as root:
        inside = running(root, folder)
        found = {path.name.rsplit("-", 2)[0]: f"/mnt/{path.name}" for path in folder.glob("*.rpm")}
        inside(*RPM, "--install", *(found[name] for name in names))
        inside(*RPM, "--install", "--nodeps", found["kerrighed-modules"])
        release = inside("sh", "-c", "ls /usr/lib/modules").strip()
        use(inside, release)
        assert f"linux-image-{release}" in inside(*RPM, "-q", "--requires", "kerrighed-modules")
        inside(*RPM, "--verify", *names)
        inside(*RPM, "--erase", "kerrighed-modules", "python3-kerrighed", "libkerrighed-devel")
        assert not list(root.glob("usr/lib/modules/*/updates/*"))
        inside(*RPM, "--install", found["kerrighed-dkms"])
        # Where DKMS puts modules on an RPM distribution.
        assert "extra/kerrighed.ko" in inside("modprobe", "-S", release, "-D", "kerrighed")
        assert inside("modinfo", "-k", release, "-F", "version", "kerrighed") == "3.1.0\n"
        inside(*RPM, "--erase", "kerrighed-dkms")
        assert not list(root.glob("usr/lib/modules/*/extra/kerrighed.ko*"))
        assert inside("dkms", "status") == ""


def use(inside: Inside, release: str) -> None:
    """Look at what the packages, now installed, do without their module being loaded."""
    assert "updates/kerrighed.ko" in inside("modprobe", "-S", release, "-D", "kerrighed")
    assert inside("modinfo", "-k", release, "-F", "version", "kerrighed") == "3.1.0\n"
    assert inside("modinfo", "-k", release, "-F", "vermagic", "kerrighed").startswith(release)
    said = inside("sh", "-c", "krgadm nodes status 2>&1 || echo status $?")
    assert said == f"krgadm: {NOT_LOADED}status 1\n"
    program = f"cd /tmp; cat > a.c <<'END'\n{USES_LIBRARY}END\ngcc a.c -lkerrighed -o a; ./a"
    assert inside("sh", "-ec", program) == NOT_LOADED
    # The stand-in's Python is Debian's, and does not look where RPM distributions have packages.
    path = "PYTHONPATH=$(dirname $(find /usr/lib/python3* -name kerrighed.py))"
    python = f"{path} python3 -c 'import kerrighed; kerrighed.nodes()' 2>&1 || true"
    assert NOT_LOADED in inside("sh", "-c", python)
