# SPDX-License-Identifier: GPL-2.0-or-later
"""The OPKG opd: the client as a package, on a head node that has nothing else of the project."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from tests.opkg_specs.machines import Library, Machine
from tests.opkg_specs.running import SPECS, ran

SERVED = "/srv/repository"


def test_what_is_gathered_is_the_same_each_time_and_has_its_licences() -> None:
    place = SPECS / "opd/src/carried.tar"
    before = place.stat()
    assert ran([sys.executable, SPECS / "opd/gather"]).status == 0
    assert (place.stat().st_ino, place.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with tarfile.open(place) as tar:
        names = tar.getnames()
        assert {(entry.mtime, entry.uid, entry.mode) for entry in tar} == {(0, 0, 0o644)}
    assert {"opd/cli.py", "opkg/targets.toml", "opkg/opkg.xsd"} <= set(names)
    assert [name for name in names if "__pycache__" in name or ".." in Path(name).parts] == []
    folders = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    licensed = {name.partition("/")[0] for name in names if ".dist-info/licenses/" in name}
    assert {folder.partition("-")[0] for folder in folders - licensed} == {"oscar_opkg"}
    assert len(licensed) == 8


def repository(work: Path, library: Library) -> tuple[Path, str]:
    """A published repository with the library, and the fingerprint of its root."""

    def opkg_repo(*words: str | Path) -> str:
        done = ran([sys.executable, "-m", "repo_server", *words])
        assert done.status == 0, done.err
        return done.out

    folder = work / "repository"
    root = json.loads(opkg_repo("init", folder, "--json"))["root"]
    opkg_repo("add", folder, "--channel", "stable", library.folder / "manifest.json")
    opkg_repo("publish", folder)
    return folder / "live", root


@pytest.mark.slow
def test_the_client_reads_a_repository_from_a_plain_debian(
    machines: tuple[Machine, Machine], library: Library, tmp_path: Path
) -> None:
    head, _ = machines
    live, root = repository(tmp_path, library)
    shutil.copytree(live, head.root / SERVED.lstrip("/"), symlinks=True)
    head.install("opkg-opd", "opkg-opd-server")
    told = head.check(
        f"""
        python3 -m http.server --bind 127.0.0.1 --directory {SERVED} 8000 > /dev/null 2>&1 &
        until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8000))' 2> /dev/null
        do sleep 0.1; done
        opd repo add http://127.0.0.1:8000 --root-key {root} --name here > /dev/null
        opd update
        opd list --json
        """
    )
    offered = json.loads(told)
    assert {"openssh", "munge", "slurm"} <= {offer["name"] for offer in offered}
    assert {offer["repository"] for offer in offered} == {"here"}
    refused = head.run(f"opd repo add http://127.0.0.1:8000 --root-key {'0' * 64} --name other")
    assert refused.status == 1
    assert "Traceback" not in refused.err
