# SPDX-License-Identifier: GPL-2.0-or-later
"""The same bytes come of a build on another machine, at another time: opkgc verify finds no
difference there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builder.conftest import CONFIG, opkgc

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="mounts")]

# Each file and step would tell where and when it was made, if it could.
MAKEFILE = """\
OBJECTS := $(patsubst %.c,%.o,$(wildcard part*.c))
all: libmany.so.1 many
libmany.so.1: $(OBJECTS)
\t$(CC) -shared -Wl,-soname,$@ $(LDFLAGS) -o $@ $^
many: main.c libmany.so.1
\t$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
%.o: %.c
\t$(CC) $(CFLAGS) -fPIC -c -o $@ $<
"""
PART = """\
const char *part{0}(void) {{ return __FILE__ " " __DATE__ " " __TIME__; }}
int sum{0}(int n) {{ int s = {0}; for (int i = 0; i < n; i++) s += i * {0} % 7; return s; }}
"""
RECIPE = """
[source.main]
path = "src"

[[step]]
name = "build"
run = '''
make -j"$JOBS"
ls *.c *.txt | sort > listed
printf '%s\\n' b a B A i I | sort >> listed
gzip -9 < main.c > main.c.gz
install -D -m 755 many "$DESTDIR/usr/bin/many"
install -D -m 644 libmany.so.1 "$DESTDIR$LIBDIR/libmany.so.1"
mkdir -p "$DESTDIR/usr/share/many/made"
cp listed main.c.gz *.txt "$DESTDIR/usr/share/many/made"
install -D -m 644 many.py "$DESTDIR/usr/lib/python3/dist-packages/many.py"
'''

[[package]]
name = "many"
summary = "many parts"
description = "A library of many parts, and a program that uses it."
files = ["/usr/bin/*", "${LIBDIR}/*", "/usr/share/many/**", "/usr/lib/python3/**"]
"""
FILES = {
    "build.toml": RECIPE,
    "src/Makefile": MAKEFILE,
    "src/main.c": "int sum1(int);\nint main(int n, char **v) { (void)v; return sum1(n); }\n",
    "src/many.py": "def many():\n    return 1\n",
    **{f"src/part{number}.c": PART.format(number) for number in range(12)},
    **{f"src/{name}.txt": f"{name}\n" for name in ("one", "Two", "ölf", "zwölf")},
}
ABOUT = {"version": "1.0-1", "body": ""}
OPKGC = (sys.executable, "-m", "builder")
BOTH = ("-t", "debian-12", "-t", "rocky-9", "--root", "host")

# Every program that is linked with it finds itself so many seconds later than it is. (libfaketime
# keeps a semaphore that steps, which run as another user, cannot open.)
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
#define AHEAD (500 * 86400)
int clock_gettime(clockid_t which, struct timespec *now)
{
	int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	int status = real(which, now);
	if (status == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
		now->tv_sec += AHEAD;
	return status;
}
int gettimeofday(struct timeval *now, void *zone)
{
	int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
	int status = real(now, zone);
	now->tv_sec += AHEAD;
	return status;
}
time_t time(time_t *now)
{
	time_t (*real)(time_t *) = dlsym(RTLD_NEXT, "time");
	time_t later = real(NULL) + AHEAD;
	if (now)
		*now = later;
	return later;
}
"""
# In namespaces of its own: a machine of another name with seven processors. Its clock is ahead for
# all programs, those that steps run too. Words: a user's number, the clock, a folder that is shown
# as /mnt/shown, and what is to be run.
ELSEWHERE = """
user=$1 clock=$2 shown=$3
shift 3
mount -t tmpfs tmpfs /mnt
mkdir /mnt/etc /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work overlay /etc
cp "$clock" /etc/clock.so
echo /etc/clock.so > /etc/ld.so.preload
echo 0-6 > /mnt/online
mount --bind /mnt/online /sys/devices/system/cpu/online
hostname elsewhere
cp -r "$shown" /mnt/shown
mkdir -m 777 /mnt/tmp
umask 077
cd /
exec env -i PATH="$PATH" PYTHONPATH="$PYTHONPATH" TMPDIR=/mnt/tmp HOME=/mnt/tmp \\
    OPKG_CACHE=/mnt/tmp/cache LC_ALL=tr_TR.UTF-8 LANG=de_DE.UTF-8 TZ=Asia/Tokyo USER=somebody \\
    CFLAGS=-O0 MAKEFLAGS=-k DEB_BUILD_OPTIONS=nostrip \\
    setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
"""
ROOT, SOMEBODY = 0, 61234


def backwards(source: Path, target: Path) -> None:
    """Copy a folder, the last file first: some file systems list the newest one first."""
    for path in sorted(source.rglob("*"), reverse=True):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
            os.utime(copy, (time.time() - 4e8,) * 2)


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Another machine; `shown` is a folder that it sees as /mnt/shown."""

    clock: Path
    shown: Path

    def run(self, user: int, *words: str) -> subprocess.CompletedProcess[str]:
        place = [str(user), self.clock, self.shown]
        argv = ["unshare", "--mount", "--uts", "sh", "-euc", ELSEWHERE, "sh", *place, *words]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """With `out`, what was built of an OPKG here, and a copy of that OPKG."""
    folder = tmp_path_factory.mktemp("elsewhere")
    clock, shown, source = folder / "clock.so", folder / "shown", folder / "many"
    compiler = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", clock, "-ldl"]
    subprocess.run(compiler, input=CLOCK, text=True, check=True)
    for path, text in {**FILES, "config.xml": CONFIG.format(name="many", **ABOUT)}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    opkgc("build", source, *BOTH, "-o", shown / "out")
    backwards(source, shown / "other/many")
    return Elsewhere(clock=clock, shown=shown)


@pytest.mark.parametrize("user", [ROOT, SOMEBODY])
def test_another_machine_at_another_time_gives_the_same(machine: Elsewhere, user: int) -> None:
    if user == SOMEBODY:
        for words in (["bwrap", "--ro-bind", "/", "/", "true"], [*OPKGC, "--version"]):
            if machine.run(user, *words).returncode:
                pytest.skip(f"here, no other user can run {' '.join(words)}")
    about = "import os, time; print(time.localtime().tm_year, os.uname()[1], os.cpu_count())"
    year, *rest = machine.run(user, "env", "-i", sys.executable, "-c", about).stdout.split()
    assert int(year) > time.localtime().tm_year
    assert rest == ["elsewhere", "7"]
    manifests = [
        f"/mnt/shown/{path.relative_to(machine.shown)}"
        for path in sorted(machine.shown.glob("out/*/manifest.json"))
    ]
    done = machine.run(user, *OPKGC, "verify", "-j", "1", *manifests, "/mnt/shown/other/many")
    shown = [line for line in done.stdout.splitlines() if "note: " not in line]
    assert done.returncode == 0, "\n".join(shown) + done.stderr
    assert [line.split()[:4] for line in shown] == [
        ["the", "same", "many", "debian-12-x86_64"],
        ["the", "same", "many", "rocky-9-x86_64"],
    ]
