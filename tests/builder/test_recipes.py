# SPDX-License-Identifier: GPL-2.0-or-later
"""build.toml: what steps can and cannot do, what is refused."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from opkg.manifest import read_manifest
from tests.builder.conftest import COPY, Write, opkgc
from tests.builder.written import built, refused, staged


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


@pytest.mark.slow
def test_variables_stand_in_relations_and_at_the_beginning_of_patterns(
    recipe: Write, tmp_path: Path
) -> None:
    build = 'variables = { KERNEL = "6.1.0-7-amd64", PLACE = { deb = "/usr/share" } }'
    package = 'requires = ["linux-image-${KERNEL}"]'
    source = recipe(build=build, package=package)
    text = source / "build.toml"
    text.write_text(text.read_text().replace('"/usr/share/thing', '"${PLACE}/thing'))
    built(source, tmp_path / "out")
    deb = next(tmp_path.glob("out/*/thing_*.deb"))
    field = subprocess.check_output(["dpkg-deb", "-f", deb, "Depends"], text=True)
    assert field == "linux-image-6.1.0-7-amd64\n"


@pytest.mark.slow
def test_a_word_chooses_what_holds_and_a_kernel_is_provided_by_name(
    recipe: Write, tmp_path: Path
) -> None:
    build = 'variables = { WAY = "this" }'
    step = """run = '''
install -D -m 644 thing "$DESTDIR/usr/share/thing/thing"
install -D -m 644 thing "$DESTDIR/boot/vmlinuz-6.1.5-own"
'''

[[step]]
name = "another"
run = "exit 1"
when = { WAY = "other" }"""
    package = (
        'requires = [{ name = "one", when = { WAY = "this" } }, '
        '{ name = "two", when = { WAY = "other" } }]'
    )
    source = recipe(build=build, step=step, package=package)
    text = source / "build.toml"
    text.write_text(text.read_text().replace('["/usr/share', '["/boot/*", "/usr/share'))
    built(source, tmp_path / "out")
    deb = next(tmp_path.glob("out/*/thing_*.deb"))
    fields = subprocess.check_output(["dpkg-deb", "-f", deb, "Depends", "Provides"], text=True)
    assert fields == "Depends: one\nProvides: linux-image-6.1.5-own\n"


@pytest.mark.slow
def test_a_script_can_be_for_some_targets_only(recipe: Write, tmp_path: Path) -> None:
    package = (
        'scripts = { post-install = [{ path = "a", on = ["rpm"] }, { path = "b", on = ["deb"] }],'
        ' pre-install = [{ path = "a", on = ["rpm"] }] }'
    )
    files = {"a": "#!/bin/sh\necho first\n", "b": "#!/bin/sh\necho second\n"}
    out = tmp_path / "out"
    opkgc("build", recipe(package=package, files=files), "-t", "debian-12", "-t", "demo-rpm",
          "-o", out)  # fmt: skip
    argv = ["dpkg-deb", "--ctrl-tarfile", next(out.glob("*/thing_*.deb"))]
    control = subprocess.run(argv, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(control)) as archive:
        assert "./preinst" not in archive.getnames()
        script = archive.extractfile("./postinst")
        assert script is not None
        assert "echo second" in script.read().decode()
    argv = ["rpm", "-qp", "--scripts", next(out.glob("*/thing-*.rpm"))]
    scripts = subprocess.check_output(argv, text=True)
    assert "echo second" not in scripts
    assert scripts.count("echo first") == 2


def test_a_module_for_a_kernel_that_is_not_there_names_what_has_its_headers(
    recipe: Write, tmp_path: Path
) -> None:
    source = recipe(build='variables = { KERNEL = "0.0.1-none" }', step="kind = 'kernel-module'")
    said = refused(source, tmp_path)
    assert "there are no headers of the kernel 0.0.1-none" in said
    assert "linux-headers-0.0.1-none" in said


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
        ("[build]", "[build]\nrequires = [{ name = 'a', when = { X = '' } }]", 6, "nothing sets X"),
        ("[build]", "[build]\nvariables = { TARGET = 'x' }", 6, "cannot be a variable"),
        ("files =", "scripts = { post-instal = 'src/thing' }\nfiles =", 17, "no such moment"),
        ("files =", "scripts = { pre-install = [{ path = 'no' }] }\nfiles =", 17, "no file “no”"),
        ('["/usr/share/thing/**"]', "['${OPKG_NAME}/x']", 17, "matches nothing"),
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


@pytest.mark.slow
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


def test_steps_run_as_nobody_in_particular(recipe: Write, tmp_path: Path) -> None:
    step = """run = '''
install -d "$DESTDIR/usr/share/thing"
{ id -u; cat /etc/shadow 2>/dev/null || echo secret; } > "$DESTDIR/usr/share/thing/thing"
'''"""
    said = staged(recipe(step=step), tmp_path / "work").split()
    assert said[0] != "0"
    assert said[1:] == ["secret"]


def test_steps_can_make_semaphores(recipe: Write, tmp_path: Path) -> None:
    locks = "python3 -c 'import multiprocessing; multiprocessing.Lock()'"
    source = recipe(step=f"run = '''\n{locks}\n{COPY}'''")
    assert staged(source, tmp_path / "work") == "here\n"


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
