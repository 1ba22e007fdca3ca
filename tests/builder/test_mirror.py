# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc lint --mirror, by the real apt and dnf against small archives of packages made here."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.builder.conftest import CONFIG, RECIPE, Write, opkgc
from tests.builder.test_build import BOTH, DEB, RPM

pytestmark = pytest.mark.slow

PLATFORMS = {"debian-12": DEB, "rocky-9": RPM}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive for each family, with hello-world 2.0 in it, which provides a greeter."""
    folder = tmp_path_factory.mktemp("archives")
    for path, text in {
        "config.xml": CONFIG.format(name="world", version="2.0-1", body=""),
        "build.toml": RECIPE.format(name="world") + 'provides = ["greeter"]\n',
        "src/hello": "#!/bin/sh\n",
        "src/hello.conf": "",
        "src/data": "",
    }.items():
        (folder / "world" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "world" / path).write_text(text)
    opkgc("build", folder / "world", *BOTH, "-o", folder)
    listed = subprocess.check_output(["apt-ftparchive", "packages", "."], cwd=folder / DEB)
    (folder / DEB / "Packages").write_bytes(listed)
    subprocess.run(["createrepo_c", "--quiet", folder / RPM], check=True)
    return folder


@pytest.fixture
def archives(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archives, named as the mirrors of the two targets."""
    folder = tmp_path / "archives"
    shutil.copytree(made, folder)
    table = tmp_path / "targets.toml"
    table.write_text(
        f'[distributions.debian-12]\nmirrors = ["deb [trusted=yes] file:{folder / DEB} ./"]\n'
        "[[distributions.rocky-9.mirrors]]\n"
        f'name = "here"\nurl = "{(folder / RPM).as_uri()}"\nkey = ""\n'
    )
    monkeypatch.setenv("OPKG_TARGETS", str(table))
    monkeypatch.setenv("OPKG_CACHE", str(tmp_path / "cache"))
    return folder


def deps(*packages: str, kind: str = "requires") -> str:
    return f"<serverDeps>\n<{kind}>" + "\n".join(packages) + f"</{kind}></serverDeps>"


def findings(*words: str | Path) -> list[tuple[str, str]]:
    done = opkgc("lint", "--mirror", "--json", *words, check=False)
    return [(found["severity"], found["message"]) for found in json.loads(done.stdout)]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_the_archive_has_is_found_by_its_name_or_as_what_it_provides(
    opkg: Write, archives: Path, platform: str
) -> None:
    body = deps("<pkg>hello-world</pkg>", "<pkg>greeter</pkg>")
    done = opkgc("lint", "--mirror", opkg(body=body), "-t", platform)
    assert done.stdout == ""
    assert f"{PLATFORMS[platform]}: 2 names looked up, 0 not found" in done.stderr


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_it_has_not_is_an_error_at_the_line_that_names_it(
    opkg: Write, archives: Path, platform: str
) -> None:
    source = opkg(body=deps("<pkg>hello-world</pkg>", "<pkg>hello-wrold</pkg>"))
    done = opkgc("lint", "--mirror", source, "-t", platform, check=False)
    assert done.returncode == 1
    assert done.stdout == (
        f"{source}/config.xml:14: error: “hello-wrold” is not in the archive of {platform}\n"
        "  say in names.toml what hello-wrold is called there\n"
    )


@pytest.mark.parametrize("kind", ["recommends", "suggests"])
def test_what_is_only_recommended_is_missed_with_a_warning(
    opkg: Write, archives: Path, kind: str
) -> None:
    source = opkg(body=deps("<pkg>nonesuch</pkg>", kind=kind))
    said = ("warning", "“nonesuch” is not in the archive of debian-12")
    assert findings(source, "-t", "debian-12") == [said]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("package", "good"),
    [
        ('<pkg rel=">=" version="1.9">hello-world</pkg>', True),
        ('<pkg rel="&lt;" version="2.0">hello-world</pkg>', False),
        ('<pkg rel=">" version="10">hello-world</pkg>', False),
        ('<pkg rel=">=" version="1">greeter</pkg>', False),
    ],
)
def test_the_archives_version_has_to_keep_to_the_bound(
    opkg: Write, archives: Path, platform: str, package: str, good: bool
) -> None:
    found = findings(opkg(body=deps(package)), "-t", platform)
    assert [severity for severity, _ in found] == ([] if good else ["error"])
    assert all(f" on {platform}" in message for _, message in found)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_name_that_nobody_checked_is_verified_or_not_found(
    opkg: Write, archives: Path, platform: str
) -> None:
    native = '{ name = "%s", checked = false }'
    names = "".join(
        f"[{generic}]\ndebian-12 = {native % name}\nrocky-9 = {native % name}\n"
        for generic, name in (("world", "hello-world"), ("moon", "hello-moon"))
    )
    source = opkg(body=deps("<pkg>world</pkg>", "<pkg>moon</pkg>"), files={"names.toml": names})
    tag = "~deb12" if platform == "debian-12" else ".el9"
    there = f"which world is called there, is in the archive of {platform}: 2.0-1{tag}"
    assert findings(source, "-t", platform) == [
        ("note", f"“hello-world”, {there}"),
        ("error", f"“hello-moon”, which moon is called there, is not in the archive of {platform}"),
    ]


def test_what_the_opkgs_make_themselves_need_not_be_there(opkg: Write, archives: Path) -> None:
    maker = opkg("maker", recipe=True)
    user = opkg("user", body=deps("<pkg>hello-maker</pkg>"))
    missing = ("error", "“hello-maker” is not in the archive of debian-12")
    assert missing in findings(user, "-t", "debian-12")
    assert missing not in findings(user, maker, "-t", "debian-12")


def test_packages_of_a_recipe_are_looked_up_too(opkg: Write, archives: Path) -> None:
    found = findings(opkg(recipe=True), "-t", "debian-12")
    assert {message.split()[0] for _, message in found} == {"“bash”", "“coreutils”"}


def test_an_archive_out_of_reach_is_one_clear_warning(opkg: Write, archives: Path) -> None:
    (archives / DEB / "Packages").unlink()
    source = opkg(body=deps("<pkg>hello-world</pkg>"))
    done = opkgc("lint", "--mirror", source, "-t", "debian-12", "-t", "rocky-10")
    debian, hint, rocky, add = done.stdout.splitlines()
    assert debian.startswith(f"{DEB}: warning: its archive cannot be looked into: apt-get failed")
    assert hint == "  is the mirror within reach?"
    assert rocky.endswith("rocky-10-x86_64: warning: its archive cannot be looked into: "
                          "no mirror is named")  # fmt: skip
    assert add == '  add mirrors to [distributions."rocky-10"] in /etc/oscar/targets.toml'


def test_an_opkg_that_is_not_meant_for_a_target_asks_for_nothing(
    opkg: Write, archives: Path
) -> None:
    only = "<filters><dist>debian</dist></filters>" + deps("<pkg>nonesuch</pkg>")
    assert findings(opkg(body=only), "-t", "rocky-9") == []


def test_a_target_alone_is_a_mistake(opkg: Write) -> None:
    done = opkgc("lint", opkg(), "-t", "debian-12", check=False)
    assert done.returncode == 2
    assert "--mirror" in done.stderr


@pytest.mark.parametrize("platform", ["debian-12", "debian-13"])
def test_the_librarys_names_are_in_debians_own_archive(platform: str) -> None:
    library = Path(__file__).parents[2] / "opkg_specs"
    opkgs = sorted(path for path in library.iterdir() if path.is_dir())
    done = opkgc("lint", "--mirror", *opkgs, "-t", platform)
    assert "archive cannot be looked into" not in done.stdout
    assert " 0 not found" in done.stderr
