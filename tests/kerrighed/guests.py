# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines in software that run Debian's kernel, with the module and the tools."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.kerrighed.building import Built, run_in

# How long anything may take on a machine that has much else to do.
PATIENCE = 300
DRIVERS = ("virtio_pci", "virtio_net")
# Commands come line by line on the console; each answer ends with the command's status.
INIT = """#!/bin/sh
/bin/busybox --install -s 2> /dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
modprobe virtio_pci
modprobe virtio_net
ip link set lo up
ip link set eth0 up
stty -echo
echo "@ ready"
while IFS= read -r line; do
    sh -c "$line" < /dev/null 2>&1
    echo "@ $?"
done
"""
# What the kernel calls to switch a machine off; there is no init here that could do it in order.
POWEROFF = """#!/bin/sh
exec /bin/busybox poweroff -f
"""
ARTIFACTS = Path(__file__).parents[2] / "build/artifacts/kerrighed"
# On a machine that has much else to do, a kernel takes the timers of QEMU for broken.
APPEND = "console=ttyS0 quiet loglevel=1 panic=1 no_timer_check"
PROGRAMS = ("usr/sbin/krgadm", "usr/sbin/krgboot", "usr/bin/krgcapset")


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What a machine starts: a kernel, its initrd, what it is told, and with how much memory."""

    kernel: Path
    initrd: Path
    append: str = APPEND
    megabytes: int = 256


def _needed(modules: Path, names: tuple[str, ...]) -> list[str]:
    """The files of modules and of all that they need, as modules.dep has them."""
    lines = (modules / "modules.dep").read_text().splitlines()
    needs = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
    wanted = [path for path in needs if Path(path).name.partition(".")[0] in names]
    return sorted({file for path in wanted for file in (path, *needs[path])})


def small_boot(built: Built, path: Path) -> Boot:
    """Write the initrd of small guests: busybox, network drivers, the module, the tools."""
    with tempfile.TemporaryDirectory(dir=path.parent) as place:
        top = Path(place)
        for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "dev", "proc", "sys", "etc", "tmp"):
            (top / folder).mkdir(parents=True)
        shutil.copy(built.root / "usr/bin/busybox", top / "bin/busybox")
        (top / "bin/sh").symlink_to("busybox")
        for name, text in {"init": INIT, "sbin/poweroff": POWEROFF}.items():
            (top / name).write_text(text)
            (top / name).chmod(0o755)
        _add_modules(built, top / "lib/modules" / built.release)
        for name in PROGRAMS:
            shutil.copy(built.tools / name, top / name)
        _add_libraries(built, top)
        names = "\n".join(str(file.relative_to(top)) for file in sorted(top.rglob("*")))
        with path.open("wb") as stream:
            subprocess.run(
                [built.root / "usr/bin/busybox", "cpio", "-o", "-H", "newc"],
                cwd=top,
                input=names.encode(),
                stdout=stream,
                stderr=subprocess.DEVNULL,
                check=True,
            )
    return Boot(kernel=built.system / "boot" / f"vmlinuz-{built.release}", initrd=path)


def _add_modules(built: Built, folder: Path) -> None:
    modules = built.system / "usr/lib/modules" / built.release
    (folder / "extra").mkdir(parents=True)
    shutil.copy(built.module, folder / "extra")
    for name in _needed(modules, DRIVERS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules / name, folder / name)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(modules / name, folder / name)
    run_in(built.root, folder.parents[2], f"depmod -b /mnt {built.release}")


def _add_libraries(built: Built, top: Path) -> None:
    lib = "usr/lib/x86_64-linux-gnu"
    (top / lib).mkdir(parents=True)
    (top / "lib64").mkdir()
    shutil.copy(built.root / lib / "ld-linux-x86-64.so.2", top / "lib64")
    shutil.copy(built.root / lib / "libc.so.6", top / lib)
    shutil.copy(built.tools / lib / "libkerrighed.so.2", top / lib)
    shutil.copytree(built.newer, top / "newer", symlinks=True)


@dataclass(kw_only=True)
class Guest:
    """A machine that runs; `console` is where all that it says is kept."""

    name: str
    process: subprocess.Popen[str]
    console: Path
    lines: queue.Queue[str] = field(default_factory=queue.Queue)

    def listen(self) -> None:
        assert self.process.stdout is not None
        with self.console.open("a") as kept:
            for line in self.process.stdout:
                kept.write(line.replace("\r", ""))
                kept.flush()
                self.lines.put(line.rstrip("\r\n"))
        self.lines.put("@ gone")

    def answer(self) -> tuple[str, str]:
        """What was said up to the next mark, and the mark."""
        said = []
        while True:
            line = self.lines.get(timeout=PATIENCE)
            if mark := re.fullmatch(r"(.*)@ (\S+)", line):
                return "\n".join([*said, *filter(None, [mark[1]])]), mark[2]
            said.append(line)

    def wait_until_ready(self) -> None:
        said, mark = self.answer()
        assert mark == "ready", said

    def run(self, command: str) -> tuple[int, str]:
        """The status of a piece of shell, and what it said."""
        assert self.process.stdin is not None
        with self.console.open("a") as kept:
            kept.write(f"{self.name}# {command}\n")
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        said, mark = self.answer()
        assert mark.isdigit(), f"{self.name} is gone: {said}"
        return int(mark), said

    def check(self, command: str) -> str:
        status, said = self.run(command)
        assert status == 0, f"{self.name}: {command}: {said}"
        return said

    def write(self, path: str, text: str) -> None:
        quoted = text.replace("\\", "\\\\").replace("\n", "\\n").replace("'", "'\\''")
        self.check(f"mkdir -p {Path(path).parent}; printf '{quoted}' > {path}")

    def wait_for(self, command: str, wanted: str) -> None:
        """Wait until a command says something."""
        end = time.monotonic() + PATIENCE
        while (said := self.run(command)[1]) != wanted:
            assert time.monotonic() < end, f"{self.name}: {command}: {said}"
            time.sleep(0.2)

    def cut_power(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def guest(boot: Boot, name: str, number: int, wire: Path, consoles: Path) -> Iterator[Guest]:
    """A machine that starts. Its network is the socket `wire`/NAME; what it sends goes to
    `wire`/other-NAME. Its console is kept in the folder `consoles`."""
    ends = f"local.path={wire / name},remote.type=unix,remote.path={wire / f'other-{name}'}"
    card = f"virtio-net-pci,netdev=n0,mac=52:54:00:00:00:{number:02x},romfile="
    argv: list[str | Path] = [
        "nice", "qemu-system-x86_64", "-accel", "tcg", "-m", str(boot.megabytes), "-nographic",
        "-nodefaults", "-no-reboot", "-serial", "stdio",
        "-kernel", boot.kernel, "-initrd", boot.initrd, "-append", boot.append,
        "-netdev", f"dgram,id=n0,local.type=unix,{ends}", "-device", card,
    ]  # fmt: skip
    (wire / name).unlink(missing_ok=True)
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    made = Guest(name=name, process=process, console=consoles / f"{name}.txt")
    listener = threading.Thread(target=made.listen, daemon=True)
    listener.start()
    try:
        yield made
    finally:
        process.kill()
        process.wait()
        listener.join()


@contextmanager
def wire() -> Iterator[Path]:
    """A folder for the sockets of guests; the path of a socket must be short."""
    with tempfile.TemporaryDirectory(prefix="krg") as folder:
        yield Path(folder)


def join(place: Path, one: str, other: str) -> None:
    """Let two guests be the two ends of one cable."""
    (place / f"other-{one}").symlink_to(other)
    (place / f"other-{other}").symlink_to(one)


def keep_consoles(folder: Path, name: str) -> None:
    """Keep what machines said, whose consoles are in a folder."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for console in folder.glob("*.txt"):
        shutil.copy(console, ARTIFACTS / f"{name}-{console.name}")
