# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: the whole chain on this machine, with the commands that a person would give.

    python -m tests.demo          builds, publishes, makes a headnode and two images, installs
    python -m tests.demo serve    serves the repository again, until interrupted

Writes under ./demo, and what is worth keeping into the cache folder. Done again, it goes on from
what is there.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from opkg.manifest import read_manifest
from opkg.native.mounts import remove_tree
from tests.lab.roots import debian_root, unpack
from tests.lab.standin import KEY_FILE, standin_repository

TOP = Path(__file__).parent.parent
DEMO = TOP / "demo"
BIN = TOP / ".venv/bin"
OPKGS = ("c3", "ntpconfig", "switcher")
IMAGES = {"compute-deb": "debian-12", "compute-rpm": "demo-rpm"}

started = time.monotonic()


def main() -> None:
    """Run the demo, or the server."""
    DEMO.mkdir(exist_ok=True)
    os.environ.update(_environment())
    if sys.argv[1:] == ["serve"]:
        _serve_until_interrupted()
        return
    _build()
    root_fingerprint = _publish()
    _make_roots()
    with _serving() as url:
        _install(url, root_fingerprint)
        _show()
    _say_what_next()


def _environment() -> dict[str, str]:
    return {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "OPKG_TARGETS": str(DEMO / "targets.toml"),
        "OPD_STATE": str(DEMO / "state"),
        "OPD_HEADNODE_ROOT": str(DEMO / "headnode"),
    }


def _build() -> None:
    _title("A distribution for the RPM image: demo-rpm, made of Debian's packages")
    standin = standin_repository(say=_progress)
    mirror = f"""\
[[distributions.demo-rpm-9.mirrors]]
name = "demo-rpm"
url = "{standin.as_uri()}"
key = "{(standin / KEY_FILE).as_uri()}"
"""
    (DEMO / "targets.toml").write_text(mirror)
    _title("Compile three OPKGs into debs and RPMs")
    specs = [f"opkg_specs/{name}" for name in OPKGS]
    _command("opkgc", "build", *specs, "-t", "debian-12", "-t", "demo-rpm", "-o", "demo/packages")
    _start_afresh_if_other(_manifests())


def _manifests() -> list[Path]:
    return sorted(DEMO.glob("packages/*/manifest.json"))


def _start_afresh_if_other(manifests: list[Path]) -> None:
    """A repository refuses other content under the same version; where this checkout builds other
    packages than the last demo did, its repository and its cluster are made anew."""
    digest = "\n".join(a.sha256 for path in manifests for a in read_manifest(path).artifacts)
    kept = DEMO / "built"
    same = kept.exists() and kept.read_text() == digest
    if not same and (DEMO / "repository").exists():
        _progress("these are other packages than last time: the demo starts afresh")
        for name in ("repository", "state", "headnode"):
            if (DEMO / name).exists():
                remove_tree(DEMO / name)
    kept.write_text(digest)


def _publish() -> str:
    _title("Publish them as one signed tree")
    root = DEMO / "repository/live/keys/root.json"
    if not root.exists():
        shutil.rmtree(DEMO / "repository", ignore_errors=True)
        _command("opkg-repo", "init", "demo/repository")
    manifests = [str(path.relative_to(TOP)) for path in _manifests()]
    _command("opkg-repo", "add", "demo/repository", "--channel", "stable", *manifests)
    _command("opkg-repo", "publish", "demo/repository")
    return str(root)


def _make_roots() -> None:
    _title("A headnode, and two images for nodes")
    if not (DEMO / "headnode").exists():
        unfinished = DEMO / ".headnode"
        shutil.rmtree(unfinished, ignore_errors=True)
        unpack(debian_root(say=_progress), unfinished)
        unfinished.rename(DEMO / "headnode")
        _progress("headnode: a minimal Debian 12 under demo/headnode")
    known = subprocess.run(["opd", "image", "list"], capture_output=True, text=True, check=True)
    for name, target in IMAGES.items():
        if name not in known.stdout:
            _command("opd", "image", "create", name, "-t", target)


def _install(url: str, root_key: str) -> None:
    _title("Install the OPKGs into headnode and images")
    known = subprocess.run(["opd", "repo", "list"], capture_output=True, text=True, check=True)
    if url.rstrip("/") not in known.stdout:
        if "demo " in known.stdout:
            _command("opd", "repo", "remove", "demo")
        _command("opd", "repo", "add", url, "--root-key", root_key, "--name", "demo")
    _command("opd", "update")
    _command("opd", "list")
    _command("opd", "install", *OPKGS)


def _show() -> None:
    _title("What dpkg and rpm say is there")
    _command("opd", "status")
    _title("C3 in the headnode")
    _command("chroot", "demo/headnode", "cexec", "--help")


def _say_what_next() -> None:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in _environment().items()]
    (DEMO / "env").write_text("\n".join(lines) + "\n")
    print(
        f"\nDone in {time.monotonic() - started:.0f} s. What next?\n"
        "  make serve                   serve the repository; open the address it prints\n"
        "and while it runs, in another terminal:\n"
        "  . demo/env                   let opd mean the demo's headnode and images\n"
        "  opd info c3                  what an OPKG is\n"
        "  opd remove switcher          take one away; opd install brings it back\n"
        "  opd history 3                what a command changed, and what its scripts said\n"
        "  chroot demo/headnode         look around"
    )


# Serving


def _port() -> int:
    """The demo's own port: the same each time, as long as it is free."""
    kept = DEMO / "port"
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", int(kept.read_text()) if kept.exists() else 0))
        except OSError:
            listener.bind(("127.0.0.1", 0))
        kept.write_text(str(listener.getsockname()[1]))
    return int(kept.read_text())


@contextlib.contextmanager
def _serving() -> Iterator[str]:
    argv = ["opkg-repo", "serve", "demo/repository", "--port", str(_port())]
    print(f"$ {shlex.join(argv)} &", flush=True)
    with (DEMO / "serve.log").open("w") as log:
        process = subprocess.Popen(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            sys.exit(f"the server did not start: see {DEMO / 'serve.log'}")
        print(url, flush=True)
        yield url
    finally:
        process.terminate()
        process.wait()


def _serve_until_interrupted() -> None:
    if not (DEMO / "repository/live").exists():
        sys.exit("there is no repository yet: run make demo first")
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run(
            ["opkg-repo", "serve", "demo/repository", "--port", str(_port())], cwd=TOP, check=True
        )


# Talking


def _title(text: str) -> None:
    print(f"\n== {text}  [{time.monotonic() - started:.0f} s]", flush=True)


def _progress(text: str) -> None:
    print(f"   {text}", flush=True)


def _command(*argv: str) -> None:
    print(f"$ {shlex.join(argv)}", flush=True)
    status = subprocess.run(argv, cwd=TOP, check=False).returncode
    if status != 0:
        sys.exit(f"the demo stops here: {argv[0]} ended with exit status {status}")


if __name__ == "__main__":
    main()
