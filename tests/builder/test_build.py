# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc build, looked at with dpkg-deb and rpm."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opkg.directory import digest
from opkg.manifest import read_manifest
from tests.builder.conftest import RECIPE, Write, opkgc, results

pytestmark = pytest.mark.slow

DEB, RPM = "debian-12-x86_64", "rocky-9-x86_64"
BOTH = ("-t", "debian-12", "-t", "rocky-9")

BODY = """
  <provides><pkg>greeter</pkg></provides>
  <conflicts><pkg>silence</pkg></conflicts>
  <serverDeps>
    <requires><pkg rel=">" version="1.2">alpha</pkg></requires>
    <requires>
      <filters><dist version="12">debian</dist></filters><pkg>for-new</pkg>
    </requires>
    <requires>
      <filters><dist version="11">debian</dist></filters><pkg>for-old</pkg>
    </requires>
    <requires>
      <filters><dist>rhel</dist></filters><pkg>For_EL</pkg>
    </requires>
    <suggests><pkg>maybe</pkg></suggests>
  </serverDeps>
  <clientDeps><requires><pkg>beta</pkg></requires></clientDeps>
  <commonDeps><requires><pkg>gamma</pkg></requires></commonDeps>
  <apiDeps><requires><pkg>delta</pkg></requires></apiDeps>
"""


def field(deb: Path, name: str) -> str:
    return subprocess.check_output(["dpkg-deb", "-f", deb, name], text=True).strip()


def query(rpm: Path, *words: str) -> list[str]:
    return subprocess.check_output(["rpm", "-qp", *words, rpm], text=True).splitlines()


def files_of(package: Path) -> set[str]:
    """The plain files in a package, by either family's own tool."""
    if package.suffix == ".rpm":
        return {line for line in query(package, "-l") if not line.startswith("(")}
    listing = subprocess.check_output(["dpkg-deb", "-c", package], text=True).splitlines()
    paths = (line.split(None, 5)[5].removeprefix(".") for line in listing)
    return {path for path in paths if not path.endswith("/")}


def test_an_opkg_becomes_three_packages_of_each_family(opkg: Write, tmp_path: Path) -> None:
    opkgc("build", opkg(), *BOTH, "-o", tmp_path / "out")
    made = {path.name for path in tmp_path.glob("out/*/*.[dr]*") if path.suffix != ".json"}
    assert made == {
        "opkg-sample_1.0-1~deb12_all.deb",
        "opkg-sample-server_1.0-1~deb12_all.deb",
        "opkg-sample-client_1.0-1~deb12_all.deb",
        "opkg-sample-1.0-1.el9.noarch.rpm",
        "opkg-sample-server-1.0-1.el9.noarch.rpm",
        "opkg-sample-client-1.0-1.el9.noarch.rpm",
    }


def test_relations_are_those_of_the_target(opkg: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    opkgc("build", opkg(body=BODY), *BOTH, "-o", out)
    server = out / DEB / "opkg-sample-server_1.0-1~deb12_all.deb"
    depends = field(server, "Depends").split(", ")
    assert depends == ["alpha (>> 1.2)", "for-new", "gamma", "opkg-sample (= 1.0-1~deb12)"]
    assert field(server, "Provides") == "opkg-greeter-server"
    assert field(server, "Conflicts") == "opkg-silence-server"
    assert field(server, "Suggests") == "maybe"
    client = out / DEB / "opkg-sample-client_1.0-1~deb12_all.deb"
    assert field(client, "Depends") == "beta, gamma"
    api = out / DEB / "opkg-sample_1.0-1~deb12_all.deb"
    assert field(api, "Depends") == "delta"
    assert field(api, "Conflicts") == ""
    rpm = out / RPM / "opkg-sample-server-1.0-1.el9.noarch.rpm"
    requires = [line for line in query(rpm, "--requires") if not line.startswith("rpmlib")]
    assert sorted(requires) == ["For_EL", "alpha > 1.2", "gamma", "opkg-sample = 1.0-1.el9"]
    assert "opkg-greeter-server" in query(rpm, "--provides")
    assert query(rpm, "--suggests") == ["maybe"]


def test_names_that_debian_cannot_have_are_refused_with_proposals(
    opkg: Write, tmp_path: Path
) -> None:
    body = "<clientDeps><requires><pkg>Java</pkg></requires></clientDeps>"
    body = "<serverDeps><requires><pkg>Py_MPI</pkg></requires></serverDeps>" + body
    recipe = RECIPE.format(name="sample").replace('"bash"', '"Gnu_Bash"')
    source = opkg(body=body, recipe=True, files={"build.toml": recipe})
    done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "“Py_MPI”, “Java”, “Gnu_Bash” cannot be the name of a package" in done.stderr
    assert "perhaps py-mpi, java, gnu-bash" in done.stderr


def test_files_go_where_their_role_says(opkg: Write, tmp_path: Path) -> None:
    files = {
        "configurator.html": "<html/>",
        "scripts/api-post-image": "#!/bin/sh\n",
        "scripts/server-post-install": "#!/bin/sh\n",
        "scripts/client-pre-uninstall": "#!/bin/sh\n",
        "doc/user.md": "# User\n",
        "testing/test_root": "#!/bin/sh\n",
        "testing/apitests.d/sample.apt": "<testDef/>",
        "testing/data/one": "1",
        "testing/data/two": "2",
        "SRPMS/junk.src.rpm": "junk",
        "scripts/backup~": "junk",
    }
    out = tmp_path / "out"
    opkgc("build", opkg(files=files), *BOTH, "-o", out)
    home = "/usr/lib/oscar/packages/sample"
    api = {
        f"{home}/config.xml",
        f"{home}/configurator.html",
        f"{home}/api-post-image",
        f"{home}/testing/test_root",
        "/usr/lib/oscar/testing/apitests.d/sample.apt",
        "/usr/lib/oscar/testing/data/sample/one",
        "/usr/lib/oscar/testing/data/sample/two",
        "/usr/share/doc/opkg-sample/user.md",
    }
    folders = {home, "/usr/share/doc/opkg-sample", f"{home}/testing"}
    assert files_of(out / RPM / "opkg-sample-1.0-1.el9.noarch.rpm") == api | folders
    deb_docs = {
        f"/usr/share/doc/opkg-sample/{name}" for name in ("changelog.Debian.gz", "copyright")
    }
    assert files_of(out / DEB / "opkg-sample_1.0-1~deb12_all.deb") == api | deb_docs
    server = files_of(out / RPM / "opkg-sample-server-1.0-1.el9.noarch.rpm")
    assert f"{home}/server-post-install" in server
    client = files_of(out / RPM / "opkg-sample-client-1.0-1.el9.noarch.rpm")
    assert f"{home}/client-pre-uninstall" in client
    modes = query(
        out / RPM / "opkg-sample-1.0-1.el9.noarch.rpm",
        "--qf",
        "[%{FILEMODES:perms} %{FILENAMES}\n]",
    )
    assert f"-rwxr-xr-x {home}/api-post-image" in modes


def test_the_same_input_gives_the_same_bytes(opkg: Write, tmp_path: Path) -> None:
    """In another folder, at another time, with other times on the files."""
    digests = []
    for place in ("here", "there/deeper"):
        files = {"scripts/server-post-install": "#!/bin/sh\n", "doc/user.md": "text\n"}
        source = opkg(recipe=True, where=tmp_path / place, files=files)
        for path in source.rglob("*"):
            os.utime(path, (time.time() - len(place) * 1e6,) * 2)
        opkgc("build", source, *BOTH, "-o", tmp_path / place / "out")
        packages = sorted((tmp_path / place).glob("out/*/*.*"))
        digests.append(
            {
                p.name: hashlib.sha256(p.read_bytes()).hexdigest()
                for p in packages
                if p.suffix in (".deb", ".rpm")
            }
        )
        time.sleep(1.1)  # Time stamps in packages have whole seconds.
    assert len(digests[0]) == 8
    assert digests[0] == digests[1]


def test_the_source_directory_is_never_written_to(opkg: Write, tmp_path: Path) -> None:
    source = opkg(recipe=True)

    def look() -> list[tuple[str, int]]:
        return sorted((str(p), p.stat().st_mtime_ns) for p in [source, *source.rglob("*")])

    before = look()
    opkgc("build", source, *BOTH, "-o", tmp_path / "out")
    assert look() == before


def test_the_manifest_says_what_was_made(opkg: Write, tmp_path: Path) -> None:
    opkgc("build", opkg(recipe=True), "-t", "debian-12", "-o", tmp_path / "out")
    folder = tmp_path / "out" / DEB
    manifest = read_manifest(folder / "manifest.json")
    assert manifest.target == DEB
    assert [(a.name, a.part) for a in manifest.artifacts] == [
        ("hello-sample", None),
        ("opkg-sample-client", "client"),
        ("opkg-sample-server", "server"),
        ("opkg-sample", "api"),
    ]
    for artifact in manifest.artifacts:
        data = (folder / artifact.file).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact.size, artifact.sha256)


def test_the_manifest_says_what_it_was_made_from(opkg: Write, tmp_path: Path) -> None:
    out, patch = tmp_path / "out", "--- a/data\n+++ b/data\n@@ -1 +1 @@\n-data\n+other\n"
    recipe = RECIPE.format(name="sample").replace("[[step]]", 'patches = ["other.diff"]\n[[step]]')
    source = opkg(recipe=True, files={"build.toml": recipe, "other.diff": patch})
    opkgc("build", source, "-t", "debian-12", "-o", out)
    manifest = read_manifest(out / DEB / "manifest.json")
    (made_from,) = manifest.inputs
    assert made_from.directory == digest(source)
    assert made_from.tools.keys() == {"opkgc", "dpkg-deb", "rpm", "rpm-rs"}
    (main,) = made_from.sources
    assert (main.name, main.kind, main.place) == ("main", "path", "src")
    assert main.sha256 == digest(source / "src")
    assert main.patches[0].sha256 == hashlib.sha256(patch.encode()).hexdigest()
    record = next(each for each in manifest.records if each.kind == "packages")
    data = (out / DEB / record.file).read_bytes()
    assert (record.kind, record.sha256) == ("packages", hashlib.sha256(data).hexdigest())
    dpkg = subprocess.check_output(["dpkg-query", "-W", "-f", "dpkg ${Version}", "dpkg"], text=True)
    assert dpkg in data.decode().splitlines()
    replaced = tmp_path / "elsewhere"
    replaced.mkdir()
    for name in ("hello", "hello.conf", "data"):
        (replaced / name).write_text("data\n")
    opkgc("build", source, "-t", "debian-12", "-o", out, "--source", f"main={replaced}")
    (main,) = read_manifest(out / DEB / "manifest.json").inputs[0].sources
    assert (main.replaced, main.place, main.sha256) == (True, "src", digest(replaced))


def test_what_has_not_changed_is_not_built_again(opkg: Write, tmp_path: Path) -> None:
    source, out = opkg(), tmp_path / "out"
    opkgc("build", source, *BOTH, "-o", out)
    again = results(opkgc("build", source, *BOTH, "-o", out, "--json").stdout)
    assert [row["status"] for row in again] == ["unchanged", "unchanged"]
    (out / DEB / "opkg-sample_1.0-1~deb12_all.deb").unlink()
    (source / "scripts").mkdir()
    third = json.loads(opkgc("plan", source, "-t", "debian-12", "-o", out, "--json").stdout)
    assert [row["action"] for row in third] == ["build"]


def test_building_some_opkgs_keeps_the_others_in_the_manifest(opkg: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    opkgc("build", opkg("one"), opkg("two"), "-t", "rocky-9", "-o", out)
    opkgc("build", opkg("two", version="1.1-1"), "-t", "rocky-9", "-o", out)
    manifest = read_manifest(out / RPM / "manifest.json")
    assert {(o.name, o.version) for o in manifest.opkgs} == {("one", "1.0-1"), ("two", "1.1-1")}
    there = {path.name for path in (out / RPM).glob("*.rpm")}
    assert there == {artifact.file for artifact in manifest.artifacts}


def test_an_opkg_that_is_not_for_the_target_is_skipped(opkg: Write, tmp_path: Path) -> None:
    only = "<filters><dist>debian</dist></filters>"
    done = opkgc("build", opkg(body=only), *BOTH, "-o", tmp_path / "out", "--json")
    status = {row["target"]: row["status"] for row in results(done.stdout)}
    assert status == {DEB: "built", RPM: "skipped"}


def test_one_that_fails_does_not_stop_the_others(opkg: Write, tmp_path: Path) -> None:
    broken = opkg("broken", recipe=True)
    recipe = broken / "build.toml"
    recipe.write_text(recipe.read_text().replace("install -D -m 755", "echo oh no; false;"))
    done = opkgc("build", broken, opkg("fine"), *BOTH, "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "oh no" in done.stderr
    assert "the step “install”" in done.stderr
    assert "2 built, 2 failed" in done.stderr
    assert {o.name for o in read_manifest(tmp_path / "out" / DEB / "manifest.json").opkgs} == {
        "fine"
    }
    assert not list(tmp_path.glob("out/*/.build-*"))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"/etc/*"]', '"/etc/passwd"]', "“/etc/passwd” matches no staged file"),
        ('"/etc/*"]', '"/usr/share/*"]', "/etc/hello-sample.conf is in no package"),
        ("architecture", "archytecture", "archytecture"),
        ('part = "server"', 'part = "middle"', "middle"),
        ('path = "src"', 'path = "../.."', "there is no folder “../..”"),
        ("[source.main]", "[source.main", "build.toml"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(
    opkg: Write, tmp_path: Path, old: str, new: str, fault: str
) -> None:
    source = opkg(recipe=True)
    recipe = source / "build.toml"
    recipe.write_text(recipe.read_text().replace(old, new))
    done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


def _with_step(source: Path, step: str) -> Path:
    recipe = source / "build.toml"
    recipe.write_text(recipe.read_text().replace("run = '''", f"run = '''\n{step}"))
    return source


def test_steps_cannot_write_outside(opkg: Write, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    source = _with_step(opkg(recipe=True), f"touch {outside}/file")
    done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert not list(outside.iterdir())


def test_steps_reach_no_network(opkg: Write, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        subprocess.run([sys.executable, "-c", probe], check=True)
        source = _with_step(opkg(recipe=True), f'python3 -c "{probe}"')
        done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_a_link_that_leads_out_of_the_opkg_is_refused(opkg: Write, tmp_path: Path) -> None:
    source = opkg(files={"doc/user.md": "text"})
    (source / "doc/passwd").symlink_to("/etc/passwd")
    done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "leads out of the OPKG" in done.stderr
    assert not (tmp_path / "out" / DEB / "manifest.json").exists()


def test_a_script_that_no_package_can_carry_is_refused(opkg: Write, tmp_path: Path) -> None:
    source = opkg(files={"scripts/client-pre-install": ""})
    (source / "scripts/client-pre-install").write_bytes("#!/bin/sh\n# é\n".encode("latin-1"))
    done = opkgc("build", source, "-t", "debian-12", "-o", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "the script is not in UTF-8" in done.stderr
    assert "Traceback" not in done.stderr


def test_configuration_files_are_kept_as_such(opkg: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    opkgc("build", opkg(recipe=True), *BOTH, "-o", out)
    deb, rpm = next(out.glob("*/hello-*.deb")), next(out.glob("*/hello-*.rpm"))
    conffiles = subprocess.check_output(["dpkg-deb", "-I", deb, "conffiles"], text=True)
    assert conffiles == "/etc/hello-sample.conf\n"
    assert query(rpm, "-c") == ["/etc/hello-sample.conf"]
    assert field(deb, "Depends") == "bash, coreutils"
    assert "coreutils" not in query(rpm, "--requires")
    server = next(out.glob("*/opkg-sample-server_*.deb"))
    assert "hello-sample (= 1.0-1~deb12)" in field(server, "Depends")


def test_wrong_usage_is_exit_status_2(opkg: Write) -> None:
    assert opkgc("build", opkg(), check=False).returncode == 2
    assert opkgc("nonsense", check=False).returncode == 2
    done = opkgc("build", opkg(), "-t", "beos-5", check=False)
    assert done.returncode == 1
    assert "known are" in done.stderr


def test_a_new_opkg_is_valid_and_builds(tmp_path: Path) -> None:
    opkgc("new", tmp_path / "fresh")
    opkgc("lint", tmp_path / "fresh")
    opkgc("build", tmp_path / "fresh", *BOTH, "-o", tmp_path / "out")
    assert opkgc("new", tmp_path / "fresh", check=False).returncode == 1


def test_show_tells_what_would_be_made(opkg: Write) -> None:
    shown = json.loads(opkgc("show", opkg(body=BODY), "-t", "debian-12", "--json").stdout)
    assert [package["name"] for package in shown] == [
        "opkg-sample",
        "opkg-sample-server",
        "opkg-sample-client",
    ]
    assert "requires   alpha > 1.2" in opkgc("show", opkg(body=BODY), "-t", "debian-12").stdout


def test_two_builds_into_one_folder_at_once(opkg: Write, tmp_path: Path) -> None:
    sources = [opkg(f"opkg{number}") for number in range(8)]
    out = tmp_path / "out"
    running = [
        subprocess.Popen(
            [".venv/bin/opkgc", "build", *sources[half::2], *BOTH, "-o", out],
            cwd=Path(__file__).parents[2],
            stderr=subprocess.DEVNULL,
        )
        for half in (0, 1)
    ]
    assert [process.wait() for process in running] == [0, 0]
    for target in (DEB, RPM):
        manifest = read_manifest(out / target / "manifest.json")
        assert {o.name for o in manifest.opkgs} == {source.name for source in sources}
        assert all((out / target / artifact.file).is_file() for artifact in manifest.artifacts)
