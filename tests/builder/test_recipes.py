# SPDX-License-Identifier: GPL-2.0-or-later
"""build.toml: where sources come from, what steps can and cannot do, what is refused."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.steps import run_steps
from opkg.directory import read_opkg
from opkg.errors import OpkgError
from opkg.manifest import read_manifest
from opkg.recipe_reader import read_recipe
from opkg.target import known_targets
from tests.builder.conftest import Write, opkgc

RECIPE = """
[source.main]
{source}

[build]
{build}

[[step]]
name = "install"
{step}

[[package]]
name = "thing"
summary = "a thing"
description = "It is installed, and that is all."
architecture = "all"
files = ["/usr/share/thing/**"]
{package}
"""
INSTALL = """run = 'install -D -m 644 -t "$DESTDIR/usr/share/thing" thing'"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPKG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def recipe(opkg: Write) -> Write:
    """Writes an OPKG whose recipe is put together from parts."""

    def write(
        source: str = 'path = "src"',
        *,
        build: str = "",
        step: str = INSTALL,
        package: str = "",
        files: dict[str, str] | None = None,
    ) -> Path:
        text = RECIPE.format(source=source, build=build, step=step, package=package)
        return opkg("thing", files={"build.toml": text, "src/thing": "here\n", **(files or {})})

    return write


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Ranges, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Gives the rest of a file to who asks for it, and notes who asked for what."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        path = Path(self.translate_path(self.path))
        with Path(self.directory, "log").open("a") as log:
            log.write(f"{self.path} {wanted}\n")
        if not wanted or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()[int(wanted.removeprefix("bytes=").rstrip("-")) :]
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


def archive(path: Path, text: str = "fetched\n") -> str:
    """Write an archive with a file `thing` in a folder; its SHA-256."""
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("thing-1.0/thing")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def built(source: Path, out: Path, *words: str) -> str:
    """Build for Debian 12; what the package's file holds."""
    opkgc("build", source, "-t", "debian-12", "-o", out, *words)
    deb = next(out.glob("*/thing_*.deb"))
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(tar.stdout)) as archive:
        member = archive.extractfile("./usr/share/thing/thing")
        assert member is not None
        return member.read().decode()


def staged(source: Path, work: Path) -> str:
    """Follow the steps alone; what they install."""
    recipe = read_recipe(source)
    assert recipe is not None
    work.mkdir()
    opkg, _ = read_opkg(source)
    stage = run_steps(opkg, recipe, source, known_targets().find("debian-12"), work)
    return (stage / "usr/share/thing/thing").read_text()


def refused(source: Path, tmp_path: Path, *words: str) -> str:
    done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", *words, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_source_is_fetched_once_from_the_first_place_that_has_it(
    recipe: Write, served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    digest = archive(folder / "thing-1.0.tar.gz")
    source = recipe(
        f'url = "{url}/gone/thing-${{OPKG_VERSION}}.tar.gz"\nsha256 = "{digest}"\n'
        f'mirrors = ["{url}/thing-${{OPKG_VERSION}}.tar.gz"]'
    )
    assert staged(source, tmp_path / "one") == "fetched\n"
    (folder / "thing-1.0.tar.gz").unlink()
    assert staged(source, tmp_path / "two") == "fetched\n"


def test_a_source_with_other_contents_is_refused(
    recipe: Write, served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    digest = archive(folder / "thing.tar.gz")
    archive(folder / "thing.tar.gz", "something else\n")
    source = recipe(f'url = "{url}/thing.tar.gz"\nsha256 = "{digest}"')
    assert f"the recipe says {digest}" in refused(source, tmp_path)


def test_an_interrupted_download_goes_on(
    recipe: Write, served: tuple[Path, str], tmp_path: Path, cache: Path
) -> None:
    folder, url = served
    digest = archive(folder / "thing.tar.gz")
    part = cache / f"builder/sources/{digest}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes((folder / "thing.tar.gz").read_bytes()[:40])
    source = recipe(f'url = "{url}/thing.tar.gz"\nsha256 = "{digest}"')
    assert staged(source, tmp_path / "out") == "fetched\n"
    assert (folder / "log").read_text() == "/thing.tar.gz bytes=40-\n"


def test_a_commit_is_taken_from_git(recipe: Write, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    identity = {"GIT_AUTHOR_NAME": "M", "GIT_AUTHOR_EMAIL": "m@sample.example"}
    identity |= {"GIT_COMMITTER_NAME": "M", "GIT_COMMITTER_EMAIL": "m@sample.example"}

    def git(*words: str) -> str:
        argv = ["git", "-C", str(upstream), *words]
        env = {**os.environ, **identity}
        return subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout

    git("init", "--quiet")
    commits = []
    for text in ("old\n", "new\n"):
        (upstream / "thing").write_text(text)
        git("add", "thing")
        git("commit", "--quiet", "-m", "change")
        commits.append(git("rev-parse", "HEAD").strip())
    source = recipe(f'git = "file://{upstream}"\ncommit = "{commits[0]}"')
    assert staged(source, tmp_path / "out") == "old\n"
    never = "0" * 40
    source = recipe(f'git = "file://{upstream}"\ncommit = "{never}"')
    assert f"no place gives the commit {never}" in refused(source, tmp_path)


def test_a_source_package_of_debian_is_taken_by_name_and_version(
    recipe: Write, tmp_path: Path
) -> None:
    pool = tmp_path / "archive/pool/main/t/thing"
    tree = pool / "thing-1.0"
    (tree / "debian/source").mkdir(parents=True)
    (tree / "thing").write_text("debian\n")
    (tree / "debian/source/format").write_text("3.0 (native)\n")
    (tree / "debian/control").write_text(
        "Source: thing\nMaintainer: M <m@sample.example>\n\n"
        "Package: thing\nArchitecture: all\nDescription: a thing\n"
    )
    (tree / "debian/changelog").write_text(
        "thing (1.0) unstable; urgency=low\n\n  * New.\n\n"
        " -- M <m@sample.example>  Sun, 01 Mar 2026 12:00:00 +0000\n"
    )
    subprocess.run(["dpkg-source", "-b", tree.name], cwd=pool, check=True, capture_output=True)
    digest = hashlib.sha256((pool / "thing_1.0.dsc").read_bytes()).hexdigest()
    source = recipe(
        f'debian = "thing"\nversion = "1.0"\nsha256 = "{digest}"\n'
        f'mirrors = ["file://{tmp_path}/archive"]'
    )
    assert staged(source, tmp_path / "out") == "debian\n"


def test_patches_are_applied_and_one_that_does_not_fit_is_named(
    recipe: Write, tmp_path: Path
) -> None:
    patch = "--- a/thing\n+++ b/thing\n@@ -1 +1 @@\n-{old}\n+patched\n"
    files = {"one.patch": patch.format(old="here")}
    source = recipe('path = "src"\npatches = ["one.patch"]', files=files)
    assert staged(source, tmp_path / "out") == "patched\n"
    (source / "one.patch").write_text(patch.format(old="elsewhere"))
    assert "one.patch does not fit" in refused(source, tmp_path)
    assert (source / "src/thing").read_text() == "here\n"


@pytest.mark.slow
def test_a_source_can_be_replaced(recipe: Write, tmp_path: Path) -> None:
    source, out, mine = recipe(), tmp_path / "out", tmp_path / "mine"
    mine.mkdir()
    (mine / "thing").write_text("mine\n")
    assert built(source, out) == "here\n"
    assert built(source, out, "--source", f"main={mine}") == "mine\n"
    (mine / "thing").write_text("changed\n")
    assert built(source, out, "--source", f"main={mine}") == "changed\n"
    assert "no recipe has a source “mani”" in refused(source, tmp_path, "--source", f"mani={mine}")


@pytest.mark.slow
def test_variables_are_those_of_the_target(recipe: Write, tmp_path: Path) -> None:
    build = 'variables = { COLOUR = { deb = "red", rpm = "blue" }, PLACE = "thing" }'
    step = """run = '''
mkdir -p "$DESTDIR/usr/share/$PLACE"
echo "$COLOUR $LIBDIR $PACKAGE_VERSION" > "$DESTDIR/usr/share/$PLACE/thing"
'''"""
    package = 'provides = [{ name = "it", rel = "=", version = "${PACKAGE_VERSION}" }]'
    source = recipe(build=build, step=step, package=package)
    text = source / "build.toml"
    text.write_text(text.read_text().replace("/usr/share/thing", "/usr/share/${PLACE}"))
    assert built(source, tmp_path / "out") == "red /usr/lib/x86_64-linux-gnu 1.0-1~deb12\n"
    deb = next(tmp_path.glob("out/*/thing_*.deb"))
    field = subprocess.check_output(["dpkg-deb", "-f", deb, "Provides"], text=True)
    assert field == "it (= 1.0-1~deb12)\n"


@pytest.mark.parametrize(
    ("old", "new", "line", "fault"),
    [
        ('path = "src"', 'url = "https://x.example/a"', 2, "a url needs its sha256"),
        ('path = "src"', 'path = "src"\ngit = "g"', 2, "has path and git"),
        ('path = "src"', 'path = "src"\npatches = ["no"]', 4, "there is no file “no”"),
        ('path = "src"', 'git = "g"\ncommit = "abc"', 4, "“abc” is no commit"),
        ("run = ", "kind = 'cmake'\nrun = ", 8, "does nothing, or two things"),
        ("run = ", "kind = 'cmaek' #", 10, "there is no kind “cmaek”"),
        ("thing/**", "${PLCE}/**", 17, "nothing sets PLCE"),
        ("[build]", "[build]\nrequires = [{ name = 'a', on = ['fish'] }]", 6, "no target is"),
        ("[build]", "[build]\nvariables = { TARGET = 'x' }", 6, "cannot be a variable"),
        ("files =", "scripts = { post-instal = 'src/thing' }\nfiles =", 17, "no such moment"),
        ("files =", "colour = 1\nfiles =", 17, "colour is not known"),
        ("thing/**", "nothing/**", 17, "matches no staged file"),
    ],
)
def test_faults_are_named_with_their_line(
    recipe: Write, tmp_path: Path, old: str, new: str, line: int, fault: str
) -> None:
    source = recipe()
    path = source / "build.toml"
    path.write_text(path.read_text().replace(old, new.replace("'", '"') if "**" in old else new))
    said = refused(source, tmp_path)
    assert f"build.toml:{line}: error: " in said
    assert fault in said


def test_a_file_in_two_packages_is_named_with_the_line_of_its_pattern(
    recipe: Write, tmp_path: Path
) -> None:
    source = recipe()
    path = source / "build.toml"
    second = (
        '[[package]]\nname = "two"\narchitecture = "all"\nsummary = "s"\ndescription = "d"\n'
        'files = ["/usr/**"]\n'
    )
    path.write_text(path.read_text() + second)
    line = path.read_text().splitlines().index('files = ["/usr/**"]') + 1
    said = refused(source, tmp_path)
    assert f"build.toml:{line}: error: /usr/share/thing/thing is in thing and in two" in said


def test_each_step_has_a_log_and_none_may_fail_in_the_midst(recipe: Write, tmp_path: Path) -> None:
    source = recipe(step="run = '''\nfalse | true\necho never\n'''")
    said = refused(source, tmp_path)
    log = tmp_path / "out/debian-12-x86_64/logs/thing/1-install.log"
    assert str(log) in said
    assert "never" not in log.read_text().splitlines()


def test_a_shell_opens_where_a_build_failed(recipe: Write, tmp_path: Path) -> None:
    source = recipe(step="run = 'echo left > trace; false'")
    refused(source, tmp_path)
    argv = [sys.executable, "-m", "builder", "shell", source, "-t", "debian-12"]
    done = subprocess.run(
        [*argv, "-o", tmp_path / "out"],
        input='cat main/trace; echo "$DESTDIR"; id -u; exit 3\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["left", "/tmp/build/stage", "61000"]
    assert done.returncode == 3


@pytest.mark.slow
def test_a_step_that_runs_forever_is_ended(recipe: Write, tmp_path: Path) -> None:
    source = recipe(build="minutes = 1", step="run = 'sleep 1000 & sleep 1000'")
    text = source / "build.toml"
    started = time.monotonic()
    argv = [sys.executable, "-c", _SHORT_MINUTES, "build", source, "-t", "debian-12"]
    done = subprocess.run(
        [*argv, "-o", tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "took longer than" in done.stderr
    assert time.monotonic() - started < 60
    assert text.exists()


# Minutes of a second, so that the test does not take one.
_SHORT_MINUTES = """
import builder.room as room
real = room.run
room.run = lambda *a, timeout=None, **k: real(*a, timeout=timeout and timeout / 30, **k)
from builder.cli import main
main()
"""


def test_memory_is_bounded(recipe: Write, tmp_path: Path) -> None:
    hog = "python3 -c 'x = bytearray(1 << 30)'"
    source = recipe(build="memory_mb = 256", step=f'run = "{hog}"')
    with pytest.raises(OpkgError, match="bash failed"):
        staged(source, tmp_path / "work")
    assert "MemoryError" in (tmp_path / "work/logs/1-install.log").read_text()


def test_steps_run_as_nobody_in_particular(recipe: Write, tmp_path: Path) -> None:
    step = """run = '''
install -d "$DESTDIR/usr/share/thing"
{ id -u; cat /etc/shadow 2>/dev/null || echo secret; } > "$DESTDIR/usr/share/thing/thing"
'''"""
    said = staged(recipe(step=step), tmp_path / "work").split()
    assert said[0] != "0"
    assert said[1:] == ["secret"]


def test_an_interrupt_leaves_nothing_running(recipe: Write, tmp_path: Path) -> None:
    mark = f"sleep {os.getpid()}.25"
    source = recipe(step=f'run = "{mark} & {mark}"')
    argv = [sys.executable, "-m", "builder", "build", source, "-t", "debian-12"]
    process = subprocess.Popen([*argv, "-o", tmp_path / "out"], stderr=subprocess.PIPE, text=True)

    def sleeping() -> bool:
        found = (
            path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
        )
        return any(line == mark.replace(" ", "\0").encode() + b"\0" for line in found)

    while not sleeping():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 1
    deadline = time.monotonic() + 10
    while sleeping():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not list(tmp_path.glob("out/*/.build-*"))


@pytest.mark.slow
def test_the_source_package_builds_the_same(recipe: Write, tmp_path: Path) -> None:
    """By dpkg-buildpackage and rpmbuild alone."""
    out = tmp_path / "out"
    opkgc("build", recipe(), "-t", "debian-12", "-t", "demo-rpm", "-o", out)
    assert len(read_manifest(out / "debian-12-x86_64/manifest.json").sources) == 3
    again = tmp_path / "again"
    again.mkdir()
    dsc = next(out.glob("*/source/*.dsc"))
    quiet = {"check": True, "capture_output": True}
    subprocess.run(["dpkg-source", "-x", dsc, again / "tree"], **quiet)
    subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=again / "tree", **quiet)
    made = next(again.glob("thing_*.deb"))
    assert made.read_bytes() == next(out.glob("*/thing_*.deb")).read_bytes()
    source = next(out.glob("*/source/*.src.rpm"))
    subprocess.run(["rpmbuild", "--define", f"_topdir {again}/rpm", "--rebuild", source], **quiet)
    rebuilt = next(again.glob("rpm/RPMS/noarch/thing-*.rpm"))
    query = ["rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEDIGESTS}\n]"]
    first = next(out.glob("*/thing-*.rpm"))
    assert subprocess.check_output([*query, rebuilt]) == subprocess.check_output([*query, first])


@pytest.mark.slow
def test_what_a_checker_calls_an_error_is_one(recipe: Write, tmp_path: Path) -> None:
    source = recipe(package='requires = ["dpkg"]')
    done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", check=False, lint=True)
    assert done.returncode == 1
    assert "depends-on-essential-package-without-using-version" in done.stderr
    assert not list(tmp_path.glob("out/*/*.deb"))
