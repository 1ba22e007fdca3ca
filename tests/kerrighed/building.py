# SPDX-License-Identifier: GPL-2.0-or-later
"""The module, the library and the tools, built in a Debian that is thrown away."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tests.lab.cache import cached
from tests.lab.roots import debian_root, unpacked
from tests.programs import forked

SOURCE = Path(__file__).parents[2] / "kerrighed/src"
# The kernel is here for the guests, and so that it fits the headers.
PACKAGES = (
    "busybox-static", "dkms", "gcc", "kmod", "libc6-dev", "linux-headers-amd64",
    "linux-image-amd64", "make", "pkg-config", "python3", "sparse",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Built:
    """A root with a kernel and its headers, and what was built in it: `module` is kerrighed.ko,
    `tools` is as `make install` has it, `said` what the compilers said. `system` has the kernel
    and its modules where they are installed."""

    root: Path
    system: Path
    release: str
    module: Path
    tools: Path
    newer: Path  # a library for a later version of the module's interface
    said: str


def build_root(suite: str = "bookworm") -> Path:
    return unpacked(debian_root(PACKAGES, suite))


def kernel_of(root: Path) -> str:
    [release] = [path.name for path in (root / "usr/lib/modules").iterdir()]
    return release


def run_in(root: Path, work: Path, script: str) -> str:
    """Run a piece of shell in a root, where `work` is /mnt and all else cannot be changed."""
    argv: list[str | Path] = [
        "nice", "bwrap", "--ro-bind", root, "/", "--dev", "/dev", "--proc", "/proc",
        "--tmpfs", "/tmp", "--bind", work, "/mnt", "--chdir", "/mnt", "--unshare-net",
        "--unshare-pid", "--die-with-parent", "sh", "-euc", script,
    ]  # fmt: skip
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def sources() -> dict[str, str]:
    return {
        str(path.relative_to(SOURCE)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(SOURCE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def built(suite: str = "bookworm") -> Built:
    """What the sources give on a suite of Debian, from the cache if they are the same."""
    root = build_root(suite)
    release = kernel_of(root)
    script = f"""
    make -C module KDIR=/lib/modules/{release}/build W=1 C=2 modules
    strip --strip-debug module/kerrighed.ko
    make OUT=/mnt/out
    make install OUT=/mnt/out DESTDIR=/mnt/tools
    make OUT=/mnt/newer CPPFLAGS=-DKRG_INTERFACE_MAJOR=2
    """

    def make(path: Path) -> None:
        work = path.with_suffix(".work")
        shutil.copytree(SOURCE, work)
        said = run_in(root, work, script)
        path.mkdir()
        shutil.move(work / "module/kerrighed.ko", path)
        for name in ("tools", "newer"):
            shutil.move(work / name, path)
        (path / "said").write_text(said)

    entry = cached(f"kerrighed-{suite}", [sources(), str(root), script], make)
    return Built(
        root=root,
        system=root,
        release=release,
        module=entry / "kerrighed.ko",
        tools=entry / "tools",
        newer=entry / "newer",
        said=(entry / "said").read_text(),
    )


def opkg_of_own_kernel(folder: Path, more: str = "") -> Path:
    """Write the OPKG whose recipe makes the kernel too, with `more` in its configuration."""
    shutil.copytree(SOURCE.parent, folder)
    recipe = folder / "build.toml"
    text = recipe.read_text()
    # The variable alone; steps say the same of when they are taken.
    was = '\nKERNEL_FROM = "distribution"'
    recipe.write_text(text.replace(was, was.replace("distribution", "source")))
    assert recipe.read_text() != text
    with (folder / "src/kernel/config").open("a") as config:
        config.write(more)
    return folder


def with_own_kernel(plain: Built, more: str = "") -> Built:
    """The same with what the recipe makes when its kernel is to be built from source, and `more` is
    in its configuration."""
    opkg = SOURCE.parent

    def make(path: Path) -> None:
        work = path.with_suffix(".work")
        copy = opkg_of_own_kernel(work / "kerrighed", more)
        done = forked("builder", "build", copy, "-t", "debian-12", "--root", "chroot",
                      "-o", work / "out")  # fmt: skip
        assert done.returncode == 0, done.stderr
        path.mkdir()
        for deb in (work / "out").glob("*/*kerrighed*_amd64.deb"):
            if "dbgsym" not in deb.name:
                subprocess.run(["dpkg-deb", "--extract", deb, path], check=True)
        run_in(plain.root, path, f"depmod -b /mnt/usr {kernel_of(path)}")

    files = {
        str(path.relative_to(opkg)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("build.toml", "config.xml", "packaging", "src")
        for path in sorted([opkg / name, *(opkg / name).rglob("*")])
        if path.is_file()
    }
    name = "kerrighed-kernel" + ("-configured" if more else "")
    made = cached(name, [files, more, plain.root.name], make, max_age=timedelta(days=90))
    release = kernel_of(made)
    module = made / f"usr/lib/modules/{release}/updates/kerrighed.ko"
    return replace(plain, system=made, release=release, module=module, tools=made)
