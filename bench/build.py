# SPDX-License-Identifier: GPL-2.0-or-later
"""How long thirty recipes of small C programs take for a deb and an RPM target, in build roots:
cold, with nothing changed, and with one changed; how much of it is our own code; and how long
dpkg-buildpackage and rpmbuild take for the same sources in the same roots.

The roots are made, or found in the cache, before anything is measured.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab.standin import KEY_FILE, standin_repository

RECIPES = int(sys.argv[1]) if len(sys.argv) > 1 else 30
JOBS = 2
# So many processes a step of opkgc may run at a time; the peers' get the same.
CORES = os.cpu_count() or 1
OPKGC = Path(sys.executable).with_name("opkgc")
TARGETS = ("debian-12", "demo-rpm-9")
# What the stand-in is to have for building.
BUILDING = ("rpm", "gcc", "libc6-dev", "make", "patch", "debugedit", "elfutils")

CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<oscar>
  <name>{name}</name><class>included</class><summary>A small program in C</summary>
  <description>It adds numbers up.</description>
  <license>GPL-2.0-or-later</license><group>Applications/System</group>
  <authors>
    <author cat="maintainer"><name>Max</name><email>max@sample.example</email></author>
  </authors>
  <changelog>
    <versionEntry version="1.0-1">
      <changelogEntry authorName="Max" date="2026-03-01T12:00:00Z">
        <item>New.</item>
      </changelogEntry>
    </versionEntry>
  </changelog>
</oscar>
"""
RECIPE = """
[source.main]
path = "src"

[[step]]
name = "build"
run = '''
make -j"$JOBS" PROGRAM={name} all
make PROGRAM={name} install
'''

[[package]]
name = "{name}-tools"
summary = "a small program in C"
description = "It adds numbers up."
files = ["/usr/bin/{name}"]
"""
MAKEFILE = """\
OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
all: $(PROGRAM)
$(PROGRAM): $(OBJECTS)
\t$(CC) $(LDFLAGS) -o $@ $^
install:
\tinstall -D -m 755 $(PROGRAM) $(DESTDIR)/usr/bin/$(PROGRAM)
"""
PART = """\
int part{number}(int n)
{{
\tint sum = {number};
\tfor (int i = 0; i < n; i++)
\t\tsum += i * {number} % 7;
\treturn sum;
}}
"""
PARTS = 5
_DEBUG = re.compile(r"-(dbgsym|debuginfo|debugsource)[-_]")


@dataclass(frozen=True, kw_only=True)
class Took:
    """Seconds of a program: by the clock, and of processors in itself alone. What it starts cannot
    be asked for: bubblewrap does not wait for its children as the kernel counts."""

    wall: float
    own: float


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {CORES} cores, {' '.join([sys.executable, *sys.argv])}")
    print(f"load average {os.getloadavg()[0]:.1f}")
    # One path always, so that a root that was made for an earlier run serves again.
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["OPKG_TARGETS"] = str(_write_table(work))
        opkgs = [_write(work / "opkgs", number) for number in range(RECIPES)]
        out = work / "out"
        _opkgc([_write(work / "first", RECIPES)], work / "roots")
        cold, warm = _opkgc(opkgs, out), _opkgc(opkgs, out)
        source = opkgs[0] / "src/part0.c"
        source.write_text(source.read_text().replace("% 7", "% 11"))
        changed = _opkgc(opkgs, out)
        made = len([p for p in out.glob("*/*.[dr][ep][bm]") if not _DEBUG.search(p.name)])
        for words, took in (("cold", cold), ("nothing changed", warm), ("one changed", changed)):
            print(
                f"opkgc, {words:<16} {took.wall:7.2f} s; our own code {took.own:6.2f} s of that, "
                f"{took.own / took.wall:.0%}"
            )
        peers = _peers(out, work)
    print(f"{made} packages, their debug and source packages not counted")
    for words, seconds in peers.items():
        print(f"{words:<23} {seconds:7.2f} s for {RECIPES} recipes, {JOBS} at a time")
    print(f"the peers take {sum(peers.values()) / cold.wall:.2f} times as long as opkgc")


def _write_table(work: Path) -> Path:
    repository = standin_repository(BUILDING)
    table = work / "targets.toml"
    table.write_text(
        f'[distributions.demo-rpm-9]\nmirrors = [{{ name = "demo", url = "file://{repository}", '
        f'key = "file://{repository / KEY_FILE}" }}]\n'
        'build_base = ["rpm-build", "gcc", "glibc-devel", "make", "debugedit", "elfutils", '
        '"patch"]\n'
    )
    return table


def _write(folder: Path, number: int) -> Path:
    """An OPKG with a recipe: a program of a few files."""
    name = f"bench{number}"
    calls = "\n".join(f"\tsum += part{part}(count);" for part in range(PARTS))
    declared = "\n".join(f"int part{part}(int n);" for part in range(PARTS))
    files = {
        "config.xml": CONFIG.format(name=name),
        "build.toml": RECIPE.format(name=name),
        "src/Makefile": MAKEFILE,
        "src/main.c": "#include <stdio.h>\n" + declared + "\n\nint main(int count, char **words)\n"
        f'{{\n\tint sum = {number};\n\t(void)words;\n{calls}\n\tprintf("%d\\n", sum);\n'
        "\treturn 0;\n}\n",
        **{f"src/part{part}.c": PART.format(number=part) for part in range(PARTS)},
    }
    for path, text in files.items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_text(text)
    return folder / name


def _opkgc(opkgs: list[Path], out: Path) -> Took:
    targets = [word for target in TARGETS for word in ("-t", target)]
    options = ["--root", "chroot", "--jobs", str(JOBS), "--store", "none", "--no-lint"]
    log = out.with_suffix(".log")
    start = time.perf_counter()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [OPKGC, "build", *opkgs, *targets, *options, "-o", out], stdout=stream, stderr=stream
        )
    # It has ended, and is still there to be asked.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - start
    numbers = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    user, system = (int(each) for each in numbers[11:13])
    if process.wait():
        sys.exit(f"opkgc failed:\n{log.read_text()[-3000:]}")
    return Took(wall=wall, own=(user + system) / os.sysconf("SC_CLK_TCK"))


def _peers(out: Path, work: Path) -> dict[str, float]:
    """dpkg-buildpackage and rpmbuild, on the source packages that opkgc has made."""
    debs = [
        f"dpkg-source -x {path} /tmp/build/tree; cd /tmp/build/tree; "
        f"dpkg-buildpackage -us -uc -j{CORES}"
        for path in sorted(out.glob("debian-*/source/*.dsc"))
    ]
    rpms = [
        f"rpmbuild --dbpath /var/lib/rpm --define '_topdir /tmp/build' -ra {path}"
        for path in sorted(out.glob("demo-*/source/*.src.rpm"))
    ]
    assert len(debs) == len(rpms) == RECIPES
    return {
        "dpkg-buildpackage": _in_root(debs, "debian-12", work, "*.deb"),
        "rpmbuild -ra": _in_root(rpms, "demo-rpm-9", work, "RPMS/*/*.rpm"),
    }


def _in_root(scripts: list[str], target: str, work: Path, made: str) -> float:
    """Run scripts in the newest root of a target, each with a folder of its own."""
    cache = os.environ.get("OPKG_CACHE") or Path.home() / ".cache/oscar-opkg"
    roots = Path(cache).glob(f"builder/roots/{target}-*/base-*")
    root = max(roots, key=lambda path: path.stat().st_mtime)

    def one(number: int) -> None:
        folder = work / f"{target}-{number}"
        folder.mkdir()
        done = subprocess.run(
            ["bwrap", "--ro-bind", root, "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",  # noqa: S108
             "--tmpfs", "/var/tmp",  # noqa: S108
             "--ro-bind", work / "out", work / "out", "--bind", folder, "/tmp/build",  # noqa: S108
             "--setenv", "JOBS", str(CORES), "--", "bash", "-ec", scripts[number]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or not list(folder.glob(made)):
            sys.exit(f"{scripts[number]}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    start = time.perf_counter()
    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(one, range(len(scripts))))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
