# SPDX-License-Identifier: GPL-2.0-or-later
"""How long `opd download` takes for 200 packages of 1 MB, and for 4 of 500 MB, and how long curl,
aria2c, apt-get and dnf take for as many bytes, over a line that delays each packet by 10 ms each
way (20 ms there and back).

All fetch from the same tree that opkg-repo published and nginx serves, from empty caches. OPD, apt
and dnf check what they fetch against signed digests, curl and aria2c do not. The debs are measured
with OPD, curl, aria2c and apt-get, and the RPMs with dnf. Numbers and sizes (in MB) of packages
can be given as arguments: 20x1 2x50.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.slow_line import SERVER, open_line
from opkg.document import encode
from opkg.files import sha256_file
from opkg.manifest import Artifact, Manifest, OpkgInfo

SETS = ("200x1", "4x500")
TARGETS = {"debian-12": "~deb12", "rocky-9": ".el9"}
AT_A_TIME = "10"  # as OPD
DELAY = 0.01


def main() -> None:
    """Measure and print."""
    if "BENCH_SET" in os.environ:
        number, _, size = os.environ["BENCH_SET"].partition("x")
        with tempfile.TemporaryDirectory() as name:
            _measure(Path(name), int(number), int(size))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, {' '.join([sys.executable, *sys.argv])}")
    print(
        f"load average {os.getloadavg()[0]:.1f}; {2000 * DELAY:.0f} ms there and back", flush=True
    )
    for each in sys.argv[1:] or SETS:
        argv = ["unshare", "--net", sys.executable, __file__]
        subprocess.run(argv, check=True, env={**os.environ, "BENCH_SET": each})


def _measure(work: Path, number: int, size: int) -> None:
    names = [f"bench-{index}" for index in range(number)]
    root_key = publish(work, names, size)
    print(f"\n{number} packages of {size} MB:", flush=True)
    server = _serve(work)
    try:
        open_line(server.pid, DELAY)
        url = f"http://{SERVER}"
        settings = [sys.executable, "-m", "opd", "--state", work / "state"]
        _run([*settings, "repo", "add", url, "--root-key", root_key])
        apt, dnf = _apt(work, url), _dnf(work, url)
        ways: dict[str, Callable[[Path], None]] = {
            "opd download": lambda out: _opd(settings, work, out),
            "curl --parallel": lambda out: _curl(work, url, out),
            "aria2c": lambda out: _aria(work, url, out),
            "apt-get --download-only": lambda out: _apt_get(apt, names, out),
            "dnf --downloadonly": lambda out: _run(
                [*dnf, "install", "--downloadonly", f"--downloaddir={out}", *names]
            ),
        }
        taken = {name: _timed(way, work / "out", number) for name, way in ways.items()}
    finally:
        server.kill()
        server.wait()
    ours = taken["opd download"]
    for name, seconds in taken.items():
        times = f"{seconds / ours:5.2f} times ours" if name != "opd download" else ""
        print(f"{name:<26} {seconds:7.2f} s {number * size / seconds:7.0f} MB/s  {times}")


def _timed(way: Callable[[Path], None], out: Path, number: int) -> float:
    out.mkdir()
    os.sync()  # nobody pays for what another one wrote
    start = time.perf_counter()
    way(out)
    taken = time.perf_counter() - start
    found = len([path for path in out.rglob("*") if path.suffix in (".deb", ".rpm")])
    assert found >= number, f"{found} files came"
    shutil.rmtree(out)
    return taken


# The ways


def _opd(settings: list[str | Path], work: Path, out: Path) -> None:
    _run([*settings, "download", "bench", "-t", "debian-12", "-o", out])
    shutil.rmtree(work / "state/cache")


def _curl(work: Path, url: str, out: Path) -> None:
    lines = [f'url = "{url}/{path}"\nremote-name' for path in debs(work)]
    (work / "curl").write_text("\n".join(lines))
    _run(["curl", "--silent", "--fail", "--parallel", "--parallel-max", AT_A_TIME,
          "--output-dir", out, "--config", work / "curl"])  # fmt: skip


def _aria(work: Path, url: str, out: Path) -> None:
    (work / "aria").write_text("".join(f"{url}/{path}\n" for path in debs(work)))
    _run(["aria2c", "--quiet", "--max-concurrent-downloads", AT_A_TIME, "--dir", out,
          "--input-file", work / "aria"])  # fmt: skip


def _apt(work: Path, url: str) -> list[str | Path]:
    """apt-get's command line; it has read the lists."""
    folder = work / "apt"
    for each in ("lists/partial", "etc"):
        (folder / each).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(
        f"deb [signed-by={_key(work)}] {url}/deb/stable debian-12 main\n"
    )
    settings = {
        "Dir::Etc": folder / "etc", "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::State::lists": folder / "lists", "Dir::State::status": folder / "status",
        "Dir::Cache": folder, "APT::Architecture": "amd64", "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", *options, "-qq", "update"])
    return ["apt-get", *options, "-qq", "--yes"]


def _apt_get(command: list[str | Path], names: list[str], out: Path) -> None:
    (out / "partial").mkdir()
    archives = ["-o", f"Dir::Cache::archives={out}"]
    _run([*command, *archives, "--download-only", "install", *names])


def _dnf(work: Path, url: str) -> list[str | Path]:
    """dnf's command line; it has read the lists."""
    folder = work / "dnf"
    (folder / "root").mkdir(parents=True)
    (folder / "dnf.conf").write_text("[main]\n")
    options = {"gpgkey": f"file://{_key(work)}", "gpgcheck": "1", "repo_gpgcheck": "1"}
    command = ["dnf", "--quiet", "--assumeyes", f"--config={folder / 'dnf.conf'}",
               "--releasever=9", f"--installroot={folder / 'root'}",
               f"--setopt=cachedir={folder / 'cache'}",
               f"--setopt=max_parallel_downloads={AT_A_TIME}",
               f"--repofrompath=bench,{url}/rpm/stable/rocky-9-x86_64", "--repo=bench",
               *[f"--setopt=bench.{name}={value}" for name, value in options.items()]]  # fmt: skip
    _run([*command, "makecache"])
    return [*command]


def _key(work: Path) -> Path:
    return next((live(work) / "keys").glob("*.asc"))


def debs(work: Path) -> list[str]:
    top = live(work)
    # Generations share folders of packages, by links.
    folders = os.walk(top / "deb", followlinks=True)
    found = [Path(folder, name) for folder, _, names in folders for name in names]
    return sorted(str(path.relative_to(top)) for path in found if path.suffix == ".deb")


# What they fetch, and from where


def live(work: Path) -> Path:
    return (work / "repository/live").resolve()


def publish(work: Path, names: list[str], size: int) -> str:
    """Publish the packages for both families; the fingerprint of the repository's root key."""
    program = [sys.executable, "-m", "repo_server"]
    repository = work / "repository"
    printed = subprocess.run([*program, "init", repository], check=True, capture_output=True,
                             text=True).stdout  # fmt: skip
    manifests = []
    for target, tag in TARGETS.items():
        folder = work / "packages" / target
        folder.mkdir(parents=True)
        artifacts = []
        for name in names:
            path = _write_deb(folder, name, tag, size) if tag[0] == "~" else _write_rpm(
                folder, name, tag, size)  # fmt: skip
            artifacts.append(_artifact(name, tag, path))
        manifests.append(folder / "manifest.json")
        manifests[-1].write_bytes(encode(_manifest(f"{target}-x86_64", tuple(artifacts))))
    _run([*program, "add", repository, "--channel", "stable", *manifests])
    _run([*program, "publish", repository])
    shutil.rmtree(work / "packages")
    return dict(line.split() for line in printed.splitlines())["root"]


def _content(folder: Path, name: str, size: int) -> Path:
    path = folder / "content" / "opt" / name
    path.parent.mkdir(parents=True)
    with path.open("wb") as stream:
        for _ in range(size):
            stream.write(os.urandom(1_000_000))
    return path


def _write_deb(folder: Path, name: str, tag: str, size: int) -> Path:
    tree = _content(folder, name, size).parents[1]
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1.0-1{tag}\nArchitecture: all\n"
        "Maintainer: Max <max@sample.example>\nDescription: A file\n"
    )
    path = folder / f"{name}_1.0-1{tag}_all.deb"
    _run(["dpkg-deb", "--build", "-Znone", tree, path])
    shutil.rmtree(tree)
    return path


def _write_rpm(folder: Path, name: str, tag: str, size: int) -> Path:
    tree = _content(folder, name, size).parents[1]
    spec = folder / f"{name}.spec"
    spec.write_text(
        f"Name: {name}\nVersion: 1.0\nRelease: 1{tag}\nSummary: A file\nLicense: GPL\n"
        f"BuildArch: noarch\n%description\nA file.\n%install\ncp -r {tree}/opt %{{buildroot}}\n"
        f"%files\n/opt/{name}\n"
    )
    settings = {
        "_topdir": folder / "rpmbuild", "_rpmdir": folder, "_build_name_fmt": "%{NAME}.rpm",
        "_binary_payload": "w0.ufdio", "__os_install_post": "%{nil}",
    }  # fmt: skip
    defines = [word for key, text in settings.items() for word in ("--define", f"{key} {text}")]
    _run(["rpmbuild", "-bb", *defines, spec])
    shutil.rmtree(tree)
    return (folder / f"{name}.rpm").rename(folder / f"{name}-1.0-1{tag}.noarch.rpm")


def _artifact(name: str, tag: str, path: Path) -> Artifact:
    return Artifact(
        opkg="bench", part=None, name=name, version=f"1.0-1{tag}",
        architecture="all" if tag[0] == "~" else "noarch", file=path.name,
        size=path.stat().st_size, sha256=sha256_file(path),
    )  # fmt: skip


def _manifest(target: str, artifacts: tuple[Artifact, ...]) -> Manifest:
    info = OpkgInfo(
        name="bench", version="1.0-1", category="third-party", summary="Files",
        description="Files.", licence="GPL", groups=(), uri="", maintainer="", relations=(),
        scripts=(), changed="2026-03-01T12:00:00+00:00",
    )  # fmt: skip
    return Manifest(
        format=1, target=target, tools={}, inputs=(), opkgs=(info,), artifacts=artifacts
    )


def _serve(work: Path) -> subprocess.Popen[bytes]:
    """nginx, in a network namespace of its own."""
    config = work / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/error.log;\n"
        "user root; events { worker_connections 1024; }\n"
        "http { access_log off; sendfile on; keepalive_requests 100000;\n"
        f"  server {{ listen 80; root {live(work)}; }} }}\n"
    )
    return subprocess.Popen(["unshare", "--net", "nginx", "-c", config, "-p", work])


def _run(argv: list[str | Path]) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"


if __name__ == "__main__":
    main()
