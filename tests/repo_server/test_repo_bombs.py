# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages that are made to eat memory: refused, with little memory used."""

from __future__ import annotations

import io
import lzma
import struct
import sys
import tarfile

import pytest

from opkg.errors import IntegrityError
from opkg.run import run
from repo_server import rpms
from repo_server.debs import read_deb

GOOD = b"Package: bomb\nVersion: 1-1~deb12\nArchitecture: all\nDescription: x\n"


class Zeros(io.RawIOBase):
    def __init__(self, size):
        self.left = size

    def readable(self):
        return True

    def read(self, size=-1):
        count = min(size, self.left)
        self.left -= count
        return bytes(count)


def tar_xz(path, members):
    """A compressed archive of (name, size or data, type)."""
    with lzma.open(path, "wb", preset=0) as raw, tarfile.open(fileobj=raw, mode="w|") as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.size = content
                archive.addfile(info, Zeros(content))
    return path


def make_deb(folder, control, data):
    for name, members in (("control", control), ("data", data)):
        tar_xz(folder / f"{name}.tar.xz", members)
    (folder / "debian-binary").write_text("2.0\n")
    names = ["debian-binary", "control.tar.xz", "data.tar.xz"]
    run(["ar", "rcS", "bomb.deb", *names], cwd=folder)
    return folder / "bomb.deb"


REG, PAX, LONG = tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME
HUGE = 1 << 30
CONTROL = ("control", GOOD, REG)

BOMBS = {
    "a control file of a gigabyte": ([("control", HUGE, REG)], []),
    "a gigabyte beside the control file": ([CONTROL, ("md5sums", HUGE, REG)], []),
    "a gigabyte before the control file": ([("md5sums", HUGE, REG), CONTROL], []),
    "headers of a gigabyte in control": ([("x", HUGE, PAX), CONTROL], []),
    "a name of a gigabyte in data": ([CONTROL], [("x", HUGE, LONG)]),
    "headers of a gigabyte in data": ([CONTROL], [("x", HUGE, PAX)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_deb_that_unpacks_to_much_is_refused_in_little_memory(tmp_path, bomb):
    path = make_deb(tmp_path, *BOMBS[bomb])
    assert path.stat().st_size < 1 << 21
    program = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from opkg.errors import IntegrityError\nfrom repo_server.debs import read_deb\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_deb(Path(sys.argv[1]), '0' * 64, where='bomb')\n"
        "except IntegrityError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    lines = run([sys.executable, "-c", program, path]).stdout.splitlines()
    assert "not a whole Debian package" in lines[0]
    assert int(lines[-1]) < 128 << 10


def test_control_file_that_would_swell_the_lists_is_refused(tmp_path):
    path = make_deb(tmp_path, [("control", GOOD + b"X-Much: " + b"x" * (2 << 20), REG)], [])
    with pytest.raises(IntegrityError, match="too long"):
        read_deb(path, "0" * 64, where="bomb")


@pytest.mark.parametrize("compression", ["xz", "gzip", "zstd", "none"])
def test_good_deb_is_read_whole(build, tmp_path, compression):
    path = build.deb(tmp_path, "good", "1-1", compression=compression)
    assert read_deb(path, "0" * 64, where="good").name == "good"
    data = bytearray(path.read_bytes())
    for end in (len(data) - 100, len(data) // 2, 100):
        path.write_bytes(data[:end])
        with pytest.raises(IntegrityError):
            read_deb(path, "0" * 64, where="good")


@pytest.mark.parametrize("header", [0, 1])
@pytest.mark.parametrize("field", [8, 12])
def test_rpm_whose_headers_claim_gigabytes_is_refused(build, tmp_path, header, field):
    path = build.rpm(tmp_path, "good", "1-1")
    data = bytearray(path.read_bytes())
    starts = []
    for _ in range(2):
        starts.append(data.index(bytes.fromhex("8eade801"), starts[-1] + 1 if starts else 0))
    struct.pack_into(">I", data, starts[header] + field, 0x0FFFFFF0)
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="too long"):
        rpms.check_digests({path: "bomb"}, tmp_path / "db")
