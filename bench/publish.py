# SPDX-License-Identifier: GPL-2.0-or-later
"""How long one more deb and one more RPM take to be added, published and signed, in repositories
of 2,000, 10,000 and 50,000 tiny packages of each family, and how long createrepo_c --update,
reprepro and aptly take for one more of the same packages.

Sizes can be given as arguments. Ours and every peer's repository are filled once for each size and
then given a few packages one by one: the best counts. What fills ours goes through the catalog,
without the signatures and checks that `add` makes of each package: the packages that are measured
go through all of it. The signing key of the peers is ours; createrepo_c, which signs nothing, is
followed by gpg.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import createrepo_c
import rpm_rs

from opkg.target import Family, known_targets
from repo_server import catalog, debs, rpms
from repo_server.create import create
from repo_server.intake import add
from repo_server.package import Package
from repo_server.pool import FolderPool
from repo_server.publish import publish
from repo_server.repository import Repository, changing, open_repository

SIZES = (2_000, 10_000, 50_000)
ROUNDS = 5
SUITE = "debian-12"
RPM_TARGET = "rocky-9-x86_64"
DATE = 1_700_000_000


def main() -> None:
    """Measure and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, {' '.join([sys.executable, *sys.argv])}")
    print(f"best of {ROUNDS}; load average {os.getloadavg()[0]:.1f}")
    for size in [int(word) for word in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as name:
            _measure(Path(name), size)


def _measure(work: Path, size: int) -> None:
    _make_packages(work, size + 3 * ROUNDS + 1)
    print(f"\n{size:,} debs and {size:,} RPMs, and one more of each:", flush=True)
    repository = _fill(work, size)
    inside = _best(lambda number: _one_more(repository, work, size + number))
    command = _best(lambda number: _command(repository, work, size + ROUNDS + number))
    alone = _best(lambda number: _one_deb(repository, work, size + 2 * ROUNDS + number))
    memory = _memory(repository, work, size + 3 * ROUNDS)
    print(f"opkg-repo, in process         {inside:7.3f} s for both")
    print(f"                              {alone:7.3f} s for the deb")
    print(f"opkg-repo add, then publish   {command:7.3f} s for both, as two commands,")
    print(f"                              {memory} MB at most")
    with _signer(work, repository) as environment:
        peers = {
            "createrepo_c --update, gpg": (_createrepo, "the RPM", inside, "both"),
            "reprepro includedeb": (_reprepro, "the deb", alone, "that"),
            "aptly add, publish update": (_aptly, "the deb", alone, "that"),
        }
        for name, (peer, what, ours, whole) in peers.items():
            taken = peer(work, size, environment)
            print(f"{name:<29} {taken:7.3f} s for {what}: {taken / ours:.1f} times ours for "
                  f"{whole}, {taken / command:.1f} times our commands", flush=True)  # fmt: skip


# Ours


def _fill(work: Path, size: int) -> Repository:
    create(work / "ours", "Bench", lambda _: None)
    repository = open_repository(work / "ours")
    table = known_targets()
    with changing(repository, lambda _: None) as session:
        for number in range(size):
            for package, target in ((_deb(work, number), SUITE), (_rpm(work, number), RPM_TARGET)):
                path = work / package.family.value / _file(package.family, number)
                place = FolderPool(repository.directory / "pool").path(package.sha256)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, place)
                catalog.store(session, package)
                catalog.place(session, package, "bench", table.find(target))
            session.expunge_all()
        session.commit()
    publish(repository, lambda _: None)
    return repository


def _one_more(repository: Repository, work: Path, number: int) -> None:
    add(repository, "bench", _both(work, number), None, lambda _: None)
    publish(repository, lambda _: None)


def _one_deb(repository: Repository, work: Path, number: int) -> None:
    deb = work / Family.DEB.value / _file(Family.DEB, number)
    add(repository, "bench", [deb], None, lambda _: None)
    publish(repository, lambda _: None)


def _command(repository: Repository, work: Path, number: int) -> None:
    for argv in _commands(repository, work, number):
        _run(argv)


def _commands(repository: Repository, work: Path, number: int) -> list[list[str | Path]]:
    program = [sys.executable, "-m", "repo_server"]
    return [
        [*program, "add", "--channel", "bench", repository.directory, *_both(work, number)],
        [*program, "publish", repository.directory],
    ]


def _memory(repository: Repository, work: Path, number: int) -> int:
    """The largest resident size of the commands, in MB. Linux counts what a process had before it
    became another program, so they are started by a small one."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    )
    sizes = [
        subprocess.check_output([sys.executable, "-c", code, *argv], stderr=subprocess.DEVNULL)
        for argv in _commands(repository, work, number)
    ]
    return max(int(size) for size in sizes)


def _both(work: Path, number: int) -> list[Path]:
    return [work / family.value / _file(family, number) for family in Family]


# Peers


@contextmanager
def _signer(work: Path, repository: Repository) -> Iterator[dict[str, str]]:
    """The environment in which gpg has our key."""
    home = work / "gnupg"
    home.mkdir(mode=0o700)
    environment = {**os.environ, "GNUPGHOME": str(home), "HOME": str(work)}
    secret = repository.private / "openpgp" / f"{repository.fingerprints[-1]}.key"
    _run(["gpg", "--batch", "--import", secret], environment)
    try:
        yield environment
    finally:
        _run(["gpgconf", "--kill", "all"], environment)


def _createrepo(work: Path, size: int, environment: dict[str, str]) -> float:
    folder = work / "createrepo"
    _link(work, Family.RPM, folder, range(size))
    _run(["createrepo_c", "--no-database", folder])

    def more(number: int) -> None:
        _link(work, Family.RPM, folder, [size + number])
        _run(["createrepo_c", "--no-database", "--update", folder])
        repomd = folder / "repodata/repomd.xml"
        _run(["gpg", "--batch", "--yes", "--armor", "--detach-sign", repomd], environment)

    return _best(more)


def _reprepro(work: Path, size: int, environment: dict[str, str]) -> float:
    base = work / "reprepro"
    (base / "conf").mkdir(parents=True)
    (base / "conf/distributions").write_text(
        f"Codename: {SUITE}\nArchitectures: amd64\nComponents: main\nSignWith: default\n"
    )
    program = ["reprepro", "-b", base, "-S", "misc", "-P", "optional", "includedeb", SUITE]
    for start in range(0, size, 2000):
        numbers = range(start, min(start + 2000, size))
        _run([*program, *[_path(work, number) for number in numbers]], environment)
    return _best(lambda number: _run([*program, _path(work, size + number)], environment))


def _aptly(work: Path, size: int, environment: dict[str, str]) -> float:
    config = work / "aptly.conf"
    config.write_text(f'{{"rootDir": "{work}/aptly", "skipContentsPublishing": true}}')
    program = ["aptly", f"-config={config}"]
    first = work / "first"
    _link(work, Family.DEB, first, range(size))
    _run([*program, "repo", "create", f"-distribution={SUITE}", "bench"], environment)
    _run([*program, "repo", "add", "bench", first], environment)
    sign = ["-architectures=amd64", "-batch"]
    _run([*program, "publish", "repo", *sign, "bench"], environment)

    def more(number: int) -> None:
        _run([*program, "repo", "add", "bench", _path(work, size + number)], environment)
        _run([*program, "publish", "update", "-batch", SUITE], environment)

    return _best(more)


def _path(work: Path, number: int) -> Path:
    return work / Family.DEB.value / _file(Family.DEB, number)


def _link(work: Path, family: Family, folder: Path, numbers: range | list[int]) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        name = _file(family, number)
        os.link(work / family.value / name, folder / name)


# Packages


def _make_packages(work: Path, count: int) -> None:
    for family in Family:
        (work / family.value).mkdir()
    data = _archive("./usr/share/doc/bench/note", b"A tiny package.\n")
    for number in range(count):
        _write_deb(_path(work, number), number, data)
        _write_rpm(work / Family.RPM.value / _file(Family.RPM, number), number)


def _file(family: Family, number: int) -> str:
    if family is Family.DEB:
        return f"opkg-bench{number}_1.0-1~deb12_all.deb"
    return f"opkg-bench{number}-1.0-1.el9.noarch.rpm"


def _control(number: int) -> dict[str, str]:
    return {
        "Package": f"opkg-bench{number}",
        "Version": "1.0-1~deb12",
        "Architecture": "all",
        "Maintainer": "Max <max@sample.example>",
        "Section": "misc",
        "Priority": "optional",
        "Depends": "bash (>= 4), rsync",
        "Description": "A tiny package\n It is one of many.",
    }


def _write_deb(path: Path, number: int, data: bytes) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in _control(number).items())
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _archive("./control", text.encode()),
        "data.tar.gz": data,
    }
    with path.open("wb") as stream:
        stream.write(b"!<arch>\n")
        for name, content in members.items():
            stream.write(
                f"{name:<16}{DATE:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
            )
            stream.write(content + b"\n" * (len(content) % 2))


def _archive(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz", compresslevel=1) as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = len(content), DATE
        archive.addfile(entry, io.BytesIO(content))
    return sink.getvalue()


def _write_rpm(path: Path, number: int) -> None:
    settings = rpm_rs.BuildConfig(
        format=rpm_rs.RpmFormat.V4, compression=rpm_rs.CompressionType.Gzip, source_date=DATE
    )
    builder = rpm_rs.PackageBuilder(f"opkg-bench{number}", "1.0", "GPL-2.0-or-later", "noarch")
    builder.release("1.el9")
    builder.description("A tiny package")
    builder.using_config(settings)
    builder.build().write_file(str(path))


def _deb(work: Path, number: int) -> Package:
    """A deb as `add` would read it."""
    data = _path(work, number).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    control = _control(number)
    name, version, architecture = (control[key] for key in ("Package", "Version", "Architecture"))
    place = f"{debs.pool_folder(name)}/{debs.file_name(name, version, architecture)}"
    return Package(
        family=Family.DEB,
        name=name,
        version=version,
        architecture=architecture,
        path=place,
        size=len(data),
        sha256=digest,
        source_sha256=digest,
        fragments={debs.STANZA: debs.stanza(control, place, len(data), digest)},
    )


def _rpm(work: Path, number: int) -> Package:
    """An RPM as `add` would read it."""
    path = work / Family.RPM.value / _file(Family.RPM, number)
    return rpms.read_rpm(path, createrepo_c.package_from_rpm(str(path)).pkgId, where=str(path))


def _run(argv: list[str | Path], environment: dict[str, str] | None = None) -> None:
    subprocess.run(
        argv, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


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
