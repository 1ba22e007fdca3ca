# SPDX-License-Identifier: GPL-2.0-or-later
"""How long fifty OPKGs of the usual size take to become 300 packages, cold and with nothing
changed, and how long nfpm takes for 300 packages of the same files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OPKGS = 50
ROUNDS = 3
BIN = Path(sys.executable).parent

CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<oscar>
  <name>bench{number}</name><class>included</class><summary>A package of the usual size</summary>
  <description>{text}</description>
  <license>GPL</license><group>Applications/System</group>
  <authors>
    <author cat="maintainer"><name>Max</name><email>max@sample.example</email></author>
  </authors>
  <serverDeps><requires><pkg>bash</pkg><pkg>rsync</pkg></requires></serverDeps>
  <clientDeps><requires><pkg>bash</pkg></requires></clientDeps>
  <changelog>
    <versionEntry version="1.0-1">
      <changelogEntry authorName="Max" date="2026-03-01T12:00:00Z">
        <item>New.</item>
      </changelogEntry>
    </versionEntry>
  </changelog>
</oscar>
"""
SCRIPT = "#!/bin/sh\nset -e\n" + "# What a script of an OPKG says.\n" * 60
FILES = {
    "scripts/server-post-install": SCRIPT,
    "scripts/client-post-install": SCRIPT,
    "scripts/api-post-clientdef": SCRIPT,
    "doc/user.md": "A line of the user's guide.\n" * 200,
    "testing/test_user": SCRIPT,
    "configurator.html": "<html><body><form></form></body></html>\n",
}


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, {' '.join([sys.executable, *sys.argv])}")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        opkgs = _write_opkgs(work / "opkgs")
        configs = _write_nfpm(work / "nfpm", opkgs)
        build = [BIN / "opkgc", "build", *opkgs, "-t", "debian-12", "-t", "rocky-9"]
        cold = _best(lambda number: _run([*build, "-o", work / f"out{number}"]))
        made = len([*work.glob("out0/*/*.deb"), *work.glob("out0/*/*.rpm")])
        warm = _best(lambda _: _run([*build, "-o", work / "out0"]))
        peer = _best(lambda number: _run_nfpm(configs, work / f"peer{number}"))
        theirs = len(list((work / "peer0").iterdir()))
    print(f"opkgc, cold            {cold:6.2f} s for {made} packages")
    print(f"opkgc, nothing changed {warm:6.2f} s")
    print(f"nfpm                   {peer:6.2f} s for {theirs} packages, two at a time")
    print(f"nfpm takes {peer / cold:.1f} times as long as opkgc")


def _write_opkgs(folder: Path) -> list[Path]:
    for number in range(OPKGS):
        files = {"config.xml": CONFIG.format(number=number, text="What it does. " * 20), **FILES}
        for path, text in files.items():
            target = folder / f"bench{number}" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    return sorted(folder.iterdir())


def _write_nfpm(folder: Path, opkgs: list[Path]) -> list[tuple[str, Path]]:
    """The same 300 packages for nfpm, whose configuration is YAML and so may be JSON."""
    folder.mkdir()
    parts = {
        "": [p for p in FILES if "server-post" not in p and "client-post" not in p],
        "-server": ["scripts/server-post-install"],
        "-client": ["scripts/client-post-install"],
    }
    jobs = []
    for opkg in opkgs:
        for part, paths in parts.items():
            name = f"opkg-{opkg.name}{part}"
            contents = [
                {"src": str(opkg / path), "dst": f"/usr/lib/oscar/packages/{opkg.name}/{path}"}
                for path in (*paths, *(["config.xml"] if not part else []))
            ]
            config = {
                "name": name, "arch": "all", "version": "1.0", "release": "1",
                "maintainer": "Max <max@sample.example>", "description": "A package",
                "license": "GPL", "contents": contents, "depends": ["bash"],
                "deb": {"compression": "xz"}, "rpm": {"compression": "zstd"},
            }  # fmt: skip
            path = folder / f"{name}.yaml"
            path.write_text(json.dumps(config))
            jobs += [("deb", path), ("rpm", path)]
    return jobs


def _run_nfpm(configs: list[tuple[str, Path]], out: Path) -> None:
    out.mkdir()

    def one(job: tuple[str, Path]) -> None:
        kind, config = job
        target = out / f"{config.stem}.{kind}"
        _run([BIN / "nfpm", "package", "-p", kind, "-f", config, "-t", target])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, configs))


def _run(argv: list[str | Path]) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _best(work: Callable[[int], None]) -> float:
    """The shortest of a few rounds, in seconds: the one that others disturbed least."""
    times = []
    for number in range(ROUNDS):
        start = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
