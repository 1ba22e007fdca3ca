# SPDX-License-Identifier: GPL-2.0-or-later
"""What the OPKG compiler of old got wrong, one behaviour a test: none of it may come back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builder.conftest import CONFIG, RECIPE, Write, opkgc
from tests.builder.test_build import BOTH, DEB, RPM, field, files_of, query

pytestmark = pytest.mark.slow

HOME = "/usr/lib/oscar/packages/sample"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def deb(out: Path, part: str = "") -> Path:
    return next(out.glob(f"{DEB}/opkg-sample{part}_*.deb"))


def rpm(out: Path, part: str = "", target: str = RPM) -> Path:
    return next(out.glob(f"{target}/opkg-sample{part}-[0-9]*.rpm"))


def depends(package: Path) -> set[str]:
    """What a package requires, by name alone, but for its own OPKG and rpm's own features."""
    if package.suffix == ".deb":
        listed = field(package, "Depends").split(", ")
    else:
        listed = query(package, "--requires")
    names = {entry.split()[0].partition("(")[0] for entry in listed if entry}
    return {n for n in names if n not in ("rpmlib", "/bin/sh") and not n.startswith("opkg-")}


def server(*, filters: str = "", kind: str = "requires", section: str = "serverDeps") -> str:
    return f"<{section}><{kind}>{filters}<pkg>wanted</pkg></{kind}></{section}>"


def test_1_native_scripts_become_the_packages_own(opkg: Write, out: Path) -> None:
    """(test_scripts.py runs them.)"""
    files = {f"scripts/{part}-pre-uninstall": "#!/bin/sh\n" for part in ("api", "server", "client")}
    opkgc("build", opkg(files=files), *BOTH, "-o", out)
    for part in ("", "-server", "-client"):
        control = subprocess.check_output(["dpkg-deb", "-I", deb(out, part), "prerm"], text=True)
        assert "-pre-uninstall" in control
        assert any("-pre-uninstall" in line for line in query(rpm(out, part), "--scripts"))


def test_2_every_native_script_is_in_its_own_part(opkg: Write, out: Path) -> None:
    names = [
        f"{part}-{when}-{what}install"
        for part in ("server", "client")
        for when in ("pre", "post")
        for what in ("", "un")
    ]
    opkgc("build", opkg(files={f"scripts/{n}": "#!/bin/sh\n" for n in names}), *BOTH, "-o", out)
    for part in ("server", "client"):
        mine = {f"{HOME}/{name}" for name in names if name.startswith(part)}
        assert mine <= files_of(deb(out, f"-{part}"))
        assert mine <= files_of(rpm(out, f"-{part}"))
        assert not mine & files_of(deb(out))
        assert not mine & files_of(rpm(out))


def test_3_common_dependencies_are_those_of_server_and_client(opkg: Write, out: Path) -> None:
    opkgc("build", opkg(body=server(section="commonDeps")), *BOTH, "-o", out)
    for part, wanted in (("", set()), ("-server", {"wanted"}), ("-client", {"wanted"})):
        assert depends(deb(out, part)) == wanted
        assert depends(rpm(out, part)) == wanted


def test_4_relations_between_opkgs_are_kept(opkg: Write, out: Path) -> None:
    body = (
        "<provides><pkg>mpi</pkg></provides><conflicts><pkg>lam</pkg></conflicts>"
        "<requires><pkg>base</pkg></requires>"
    )
    opkgc("build", opkg(body=body), *BOTH, "-o", out)
    for part in ("server", "client"):
        assert field(deb(out, f"-{part}"), "Provides") == f"opkg-mpi-{part}"
        assert field(deb(out, f"-{part}"), "Conflicts") == f"opkg-lam-{part}"
        assert f"opkg-base-{part}" in field(deb(out, f"-{part}"), "Depends")
        assert f"opkg-mpi-{part}" in query(rpm(out, f"-{part}"), "--provides")
        assert f"opkg-lam-{part}" in query(rpm(out, f"-{part}"), "--conflicts")
        assert f"opkg-base-{part}" in query(rpm(out, f"-{part}"), "--requires")
    assert not field(deb(out), "Conflicts")


def test_5_a_distributions_name_may_be_written_in_capitals(opkg: Write, out: Path) -> None:
    body = server(filters="<filters><dist>Debian</dist></filters>")
    opkgc("build", opkg(body=body), *BOTH, "-o", out)
    assert depends(deb(out, "-server")) == {"wanted"}
    assert depends(rpm(out, "-server")) == set()


@pytest.mark.parametrize(
    ("dist", "on"),
    [
        ('<dist version="12">debian</dist>', {"debian-12"}),
        ('<dist version="12" rel=">">debian</dist>', {"debian-13"}),
        ('<dist version="8.5" rel=">=">rhel</dist>', {"rocky-9", "rocky-10"}),
        ('<dist version="10" rel="&lt;">rhel</dist>', {"rocky-9"}),
        ("<dist>fc</dist>", set()),
    ],
)
def test_6_the_targets_release_decides_and_never_the_build_hosts(
    opkg: Write, out: Path, dist: str, on: set[str]
) -> None:
    targets = ("debian-12", "debian-13", "rocky-9", "rocky-10")
    words = [word for target in targets for word in ("-t", f"{target}-x86_64")]
    body = server(filters=f"<filters>{dist}</filters>")
    opkgc("build", opkg(body=body), *words, "-o", out)
    found = {
        path.parent.name.removesuffix("-x86_64")
        for path in out.glob("*/opkg-sample-server[_-]*")
        if "wanted" in depends(path)
    }
    assert found == on


def test_6_so_it_does_for_the_whole_opkg(opkg: Write, out: Path) -> None:
    body = '<filters><dist version="12" rel=">">debian</dist></filters>'
    opkgc("build", opkg(body=body), "-t", "debian-12", "-t", "debian-13", "-o", out)
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["debian-13-x86_64"]


def test_7_architectures_are_the_targets_by_any_spelling(opkg: Write, out: Path) -> None:
    body = server(section="clientDeps", filters="<filters><arch>amd64</arch></filters>")
    targets = ("debian-12-x86_64", "debian-12-aarch64", "rocky-9-x86_64", "rocky-9-aarch64")
    words = [word for target in targets for word in ("-t", target)]
    opkgc("build", opkg(body=body), *words, "-o", out)
    clients = {path.name: depends(path) for path in out.glob("*/opkg-sample-client[_-]*")}
    assert clients == {
        "opkg-sample-client_1.0-1~deb12_amd64.deb": {"wanted"},
        "opkg-sample-client_1.0-1~deb12_arm64.deb": set(),
        "opkg-sample-client-1.0-1.el9.x86_64.rpm": {"wanted"},
        "opkg-sample-client-1.0-1.el9.aarch64.rpm": set(),
    }


def test_7_an_opkg_for_another_architecture_is_not_built(opkg: Write, out: Path) -> None:
    body = "<filters><arch>ia64</arch></filters>"
    done = opkgc("build", opkg(body=body), *BOTH, "-o", out)
    assert "2 skipped" in done.stderr
    assert not list(out.glob("*/*"))


def test_8_optional_elements_may_be_left_out(opkg: Write, out: Path) -> None:
    source = opkg(body=server(kind="suggests"))
    text = (source / "config.xml").read_text()
    for tag in ("class", "description"):
        text = text.replace(text[text.index(f"<{tag}>") : text.index(f"</{tag}>")], "")
        text = text.replace(f"</{tag}>", "")
    latin = text.replace("UTF-8", "ISO-8859-1").replace("Max", "Jérôme").encode("latin-1")
    (source / "config.xml").write_bytes(latin)
    opkgc("build", source, *BOTH, "-o", out)
    assert field(deb(out, "-server"), "Suggests") == "wanted"
    assert query(rpm(out, "-server"), "--suggests") == ["wanted"]
    assert field(deb(out), "Maintainer").startswith("Jérôme <")


def test_8_a_name_that_is_none_is_taken_from_the_directory(opkg: Write, out: Path) -> None:
    source = opkg()
    config = source / "config.xml"
    config.write_text(config.read_text().replace("<name>sample<", "<name>A Sample_<"))
    opkgc("build", source, *BOTH, "-o", out)
    assert field(deb(out), "Package") == "opkg-sample"
    assert query(rpm(out), "--qf", "%{NAME}") == ["opkg-sample"]


def test_9_names_are_mapped_by_a_table(opkg: Write, out: Path) -> None:
    names = '[Py_MPI]\ndeb = "python3-mpi"\nrpm = "pyMPI"\n'
    body = "<serverDeps><requires><pkg>Py_MPI</pkg></requires></serverDeps>"
    opkgc("build", opkg(body=body, files={"names.toml": names}), *BOTH, "-o", out)
    assert depends(deb(out, "-server")) == {"python3-mpi"}
    assert depends(rpm(out, "-server")) == {"pyMPI"}


def test_9_and_11_paragraphs_stay_paragraphs(opkg: Write, out: Path) -> None:
    source = opkg()
    config = source / "config.xml"
    config.write_text(config.read_text().replace("What it does.", "One\n  line.\n\n\n  Two."))
    opkgc("build", source, *BOTH, "-o", out)
    assert field(deb(out), "Description") == "A sample\n One line.\n .\n Two."
    assert query(rpm(out), "--qf", "%{DESCRIPTION}") == ["One line.", "", "Two."]


def test_9_debian_has_one_maintainer_and_dates_with_their_weekday(opkg: Write, out: Path) -> None:
    source = opkg()
    config = source / "config.xml"
    second = '<author cat="maintainer"><name>Eva</name><email>eva@sample.example</email></author>'
    config.write_text(config.read_text().replace("</authors>", f"{second}</authors>"))
    opkgc("build", source, *BOTH, "-o", out)
    assert field(deb(out), "Maintainer") == "Max <max@sample.example>"
    changelog = "zcat usr/share/doc/opkg-sample/changelog.Debian.gz"
    script = f"cd $(mktemp -d) && dpkg-deb -x {deb(out)} . && {changelog}"
    text = subprocess.check_output(["sh", "-c", script], text=True)
    assert text.endswith(" -- Max <max@sample.example>  Sun, 01 Mar 2026 12:00:00 +0100\n")


def test_10_the_server_part_needs_its_own_api_part(opkg: Write, out: Path) -> None:
    opkgc("build", opkg(version="3:1.0-1"), *BOTH, "-o", out)
    assert field(deb(out, "-server"), "Depends") == "opkg-sample (= 3:1.0-1~deb12)"
    assert "opkg-sample = 3:1.0-1.el9" in query(rpm(out, "-server"), "--requires")


def test_11_the_epoch_is_kept(opkg: Write, out: Path) -> None:
    opkgc("build", opkg(version="3:1.0-1"), *BOTH, "-o", out)
    assert field(deb(out), "Version") == "3:1.0-1~deb12"
    assert query(rpm(out), "--qf", "%{EPOCH}") == ["3"]


def test_12_nothing_of_testing_is_lost(opkg: Write, out: Path) -> None:
    files = {
        f"testing/{path}": "#!/bin/sh\n"
        for path in ("test_user", "test_root", "helper.pl", "sub/deep", "data/a", "data/b/c",
                     "tests.d/run", "apitests.d/x.apt")
    }  # fmt: skip
    opkgc("build", opkg(files=files), *BOTH, "-o", out)
    tests = "/usr/lib/oscar/testing"
    wanted = {
        *(f"{HOME}/testing/{name}" for name in ("test_user", "test_root", "helper.pl", "sub/deep")),
        *(f"{tests}/{name}" for name in ("data/sample/a", "data/sample/b/c", "tests.d/run")),
        f"{tests}/apitests.d/x.apt",
    }
    assert wanted <= files_of(deb(out))
    assert wanted <= files_of(rpm(out))


def test_13_the_output_is_relative_to_where_one_stands(opkg: Write, tmp_path: Path) -> None:
    """And nothing is written elsewhere: not beside the sources, not into a person's home."""
    source, home = opkg(files={"doc/README": "Read me.\n"}), tmp_path / "home"
    home.mkdir()
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    for _ in range(2):
        argv = [sys.executable, "-m", "builder", "build", source, *BOTH, "-o", "there"]
        env = {**os.environ, "HOME": str(home)}
        subprocess.run(argv, cwd=tmp_path, env=env, check=True, capture_output=True)
    assert len(list(tmp_path.glob("there/*/opkg-*"))) == 6
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before
    assert list(home.iterdir()) == []


def test_13_an_opkg_whose_name_begins_another_leaves_that_alone(opkg: Write, out: Path) -> None:
    longer, shorter = opkg("sample-nat"), opkg("sample")
    opkgc("build", longer, shorter, *BOTH, "-o", out)
    opkgc("build", opkg("sample", version="1.1-1"), *BOTH, "-o", out)
    assert len(list(out.glob("*/opkg-sample-nat*"))) == 6
    assert not list(out.glob("*/opkg-sample_1.0*"))


def test_14_a_failure_is_seen_in_the_exit_status(opkg: Write, out: Path) -> None:
    """(test_build.py has: the same bytes twice, several targets at once, -j.)"""
    source = opkg()
    (source / "config.xml").write_text(CONFIG.format(name="sample", body="", version="none"))
    done = opkgc("build", source, *BOTH, "-o", out, check=False)
    assert done.returncode == 1
    assert "config.xml:14: error:" in done.stderr


def test_14_so_is_one_that_only_the_build_meets(opkg: Write, out: Path) -> None:
    recipe = RECIPE.format(name="sample").replace("install -D", "false; install -D")
    source = opkg(recipe=True, files={"build.toml": recipe})
    done = opkgc("build", source, opkg("other"), *BOTH, "-o", out, check=False)
    assert done.returncode == 1
    assert "2 built, 2 failed" in done.stderr
    assert not list(out.glob("*/opkg-sample*"))


def test_15_scripts_bring_no_dependencies_and_file_names_mean_nothing(
    opkg: Write, out: Path
) -> None:
    files = {
        "scripts/api-post-image": "#!/usr/bin/perl\nuse OSCAR::Database;\n",
        "scripts/distro-check": "#!/bin/sh\n",
        "doc/SRPMS.txt": "text\n",
        "doc/config.xml": "<x/>\n",
    }
    opkgc("build", opkg(files=files), *BOTH, "-o", out)
    assert depends(deb(out)) == depends(rpm(out)) == set()
    docs = "/usr/share/doc/opkg-sample"
    wanted = {f"{HOME}/distro-check", f"{docs}/SRPMS.txt", f"{docs}/config.xml"}
    assert wanted <= files_of(deb(out))
    assert wanted <= files_of(rpm(out))
