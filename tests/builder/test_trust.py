# SPDX-License-Identifier: GPL-2.0-or-later
"""Bills of materials, signatures and provenance of what opkgc built."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from builder.roots import build_root
from opkg.manifest import read_manifest
from opkg.native import guest
from opkg.run import run
from opkg.target import known_targets
from tests.builder.conftest import RECIPE, Write, opkgc
from tests.builder.test_roots import BUILDING
from tests.lab.roots import overlay
from tests.lab.signing import throwaway_key
from tests.lab.standin import KEY_FILE, standin_repository
from tests.programs import forked

BOTH = ("-t", "debian-12", "-t", "rocky-9")
BODY = """<serverDeps><requires><pkg>alpha</pkg></requires>
<requires><pkg rel="=" version="2.0-1">beta</pkg></requires></serverDeps>"""


@dataclass(frozen=True, kw_only=True)
class Keys:
    secret: Path
    public: Path
    locked: Path
    other: Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A key, the same with the passphrase “open”, and another one's public half."""
    folder = tmp_path_factory.mktemp("keys")
    made = Keys(**{n: folder / n for n in ("secret", "public", "locked", "other")})
    with throwaway_key("Builder <build@sample.example>") as key:
        made.secret.write_text(key.secret())
        made.public.write_text(key.public())
        gpg = ["gpg", "--batch", "--quiet", "--homedir", key.home, "--pinentry-mode", "loopback"]
        at = ["--command-fd", "0", "--passphrase-fd", "0", "--change-passphrase", "build"]
        run([*gpg[:1], *gpg[2:], *at], stdin="open\n")
        run([*gpg, "--passphrase", "open", "--armor", "--output", made.locked,
             "--export-secret-keys"])  # fmt: skip
    with throwaway_key("Other <other@sample.example>") as key:
        made.other.write_text(key.public())
    return made


def boms(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*/sbom/*")}


def bom(out: Path, pattern: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(out.glob(f"*/sbom/{pattern}")).read_text())
    return found


def digests(out: Path) -> dict[str, str]:
    packages = [path for path in out.rglob("*.*") if path.suffix in (".deb", ".rpm")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in packages}


@pytest.mark.slow
def test_each_package_has_a_bill_of_materials(opkg: Write, tmp_path: Path) -> None:
    source, out = opkg(body=BODY), tmp_path / "out"
    opkgc("build", source, *BOTH, "-o", out)
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for data in boms(out).values():
        assert validator.validate_str(data.decode()) is None
    for manifest in map(read_manifest, out.glob("*/manifest.json")):
        told = {record.file: record.sha256 for record in manifest.records}
        assert told.keys() == {f"sbom/{artifact.file}.cdx.json" for artifact in manifest.artifacts}
        folder = out / manifest.target
        for file, sha256 in told.items():
            assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == sha256
    found = bom(out, "opkg-sample-server_*.deb.cdx.json")
    main = found["metadata"]["component"]
    assert main["purl"] == "pkg:deb/oscar/opkg-sample-server@1.0-1~deb12?arch=all&distro=debian-12"
    deb = next(out.glob("*/opkg-sample-server_*.deb"))
    assert main["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(deb.read_bytes()).hexdigest()}
    ]
    assert main["licenses"] == [{"license": {"name": "GPL"}}]
    assert {entry["purl"] for entry in found["components"]} == {
        "pkg:deb/debian/alpha?distro=debian-12",
        "pkg:deb/debian/beta@2.0-1?distro=debian-12",
        "pkg:deb/oscar/opkg-sample@1.0-1~deb12?distro=debian-12",
    }
    (needs,) = [entry for entry in found["dependencies"] if entry["ref"] == main["bom-ref"]]
    assert len(needs["dependsOn"]) == 3
    rpm = bom(out, "opkg-sample-server-*.rpm.cdx.json")
    purls = {entry.get("purl") for entry in rpm["components"]}
    assert "pkg:rpm/rocky/alpha?distro=rocky-9" in purls
    assert "pkg:rpm/rocky/beta@2.0-1?distro=rocky-9" in purls


@pytest.mark.slow
def test_bills_of_materials_are_the_same_twice_and_come_back(opkg: Write, tmp_path: Path) -> None:
    source = opkg(body=BODY)
    opkgc("build", source, *BOTH, "-o", tmp_path / "one")
    opkgc("build", source, *BOTH, "-o", tmp_path / "two")
    assert len(boms(tmp_path / "one")) == 6
    assert boms(tmp_path / "one") == boms(tmp_path / "two")
    # As a run leaves it that was killed before it wrote them.
    path = next(tmp_path.glob("one/debian*/manifest.json"))
    manifest = json.loads(path.read_text())
    for record in manifest["records"]:
        (path.parent / record["file"]).unlink()
    manifest["records"] = []
    path.write_text(json.dumps(manifest))
    assert "2 unchanged" in opkgc("build", source, *BOTH, "-o", tmp_path / "one").stderr
    assert boms(tmp_path / "one") == boms(tmp_path / "two")


@pytest.mark.slow
def test_a_bill_of_materials_names_the_sources(opkg: Write, tmp_path: Path) -> None:
    archive = tmp_path / "extra-1.0.txt"
    archive.write_text("extra\n")
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    recipe = RECIPE.format(name="sample").replace(
        "[[step]]", f'[source.extra]\nurl = "file://{archive}"\nsha256 = "{sha256}"\n\n[[step]]'
    )
    source, out = opkg(recipe=True, files={"build.toml": recipe}), tmp_path / "out"
    opkgc("build", source, "-t", "debian-12", "-o", out)
    parts = {entry["bom-ref"]: entry for entry in bom(out, "hello-sample_*")["components"]}
    extra = parts["source:extra"]
    assert extra["hashes"] == [{"alg": "SHA-256", "content": sha256}]
    assert extra["externalReferences"] == [
        {"type": "source-distribution", "url": f"file://{archive}"}
    ]
    assert parts["source:main"]["name"] == "src"
    assert "coreutils" in parts
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom(out, "hello*")))
    assert error is None


def rpm_says(rpm: Path, key: Path, database: Path) -> str:
    words = ["rpmkeys", "--dbpath", database]
    run([*words, "--import", key])
    return run([*words, "--define", "_pkgverify_level all", "-K", rpm], check=False).stdout


@pytest.mark.slow
def test_signed_packages_are_taken_by_rpm_and_the_same_without_it(
    opkg: Write, tmp_path: Path, keys: Keys
) -> None:
    source, out = opkg(body=BODY), tmp_path / "out"
    opkgc("build", source, *BOTH, "-o", tmp_path / "plain")
    opkgc("build", source, *BOTH, "-o", out, "--sign", keys.secret)
    rpm = next(out.glob("*/opkg-sample-server*.rpm"))
    assert rpm_says(rpm, keys.public, tmp_path / "db1").endswith(": digests signatures OK\n")
    assert "SIGNATURES NOT OK" in rpm_says(rpm, keys.other, tmp_path / "db2")
    plain, signed = digests(tmp_path / "plain"), digests(out)
    assert {name for name in plain if plain[name] == signed[name]} == {
        name for name in plain if name.endswith(".deb")
    }
    manifests = sorted(out.glob("*/manifest.json"))
    for manifest in map(read_manifest, manifests):
        assert all(signed[entry.file] == entry.sha256 for entry in manifest.artifacts)
    shown = opkgc("verify", *manifests, source, "--key", keys.public).stdout
    assert shown.count("the same") == 2
    done = opkgc("verify", *manifests, source, "--key", keys.other, check=False)
    assert done.returncode == 1
    assert "rpm does not take it as signed by" in done.stdout
    assert done.stdout.count("provenance/sample.dsse.json\n    no signature by") == 2


@pytest.mark.slow
def test_the_provenance_is_signed_and_speaks_of_all_packages(
    opkg: Write, tmp_path: Path, keys: Keys
) -> None:
    source, out = opkg(), tmp_path / "out"
    opkgc("build", source, "-t", "debian-12", "-o", out)
    # What was built before is signed too.
    opkgc("build", source, "-t", "debian-12", "-o", out, "--sign", keys.secret)
    path = next(out.glob("*/provenance/sample.dsse.json"))
    envelope = json.loads(path.read_text())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    (signature,) = envelope["signatures"]
    # As the DSSE protocol puts it, and gpgv checks it.
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    (tmp_path / "signed").write_bytes(encoded)
    (tmp_path / "signature").write_bytes(base64.b64decode(signature["sig"]))
    run(["gpg", "--homedir", tmp_path, "--batch", "--output", tmp_path / "ring", "--dearmor",
         keys.public])  # fmt: skip
    gpgv = ["gpgv", "--keyring", tmp_path / "ring", tmp_path / "signature", tmp_path / "signed"]
    assert signature["keyid"].upper() in run(gpgv).stderr
    statement = json.loads(payload)
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    made = digests(out)
    assert {name: subjects[name] for name in made} == made
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["target"] == "debian-12-x86_64"
    (folder,) = [e for e in definition["resolvedDependencies"] if e["name"] == "directory"]
    manifest = read_manifest(next(out.glob("*/manifest.json")))
    assert folder["digest"] == {"opkgDirectory": manifest.inputs[0].directory}


@pytest.mark.slow
def test_provenance_that_is_not_the_manifests_is_found_out(
    opkg: Write, tmp_path: Path, keys: Keys
) -> None:
    source, out = opkg(), tmp_path / "out"
    words = ("build", source, "-t", "debian-12", "-o", out)
    opkgc(*words)
    manifest = next(out.glob("*/manifest.json"))
    done = opkgc("verify", manifest, source, "--key", keys.public, check=False)
    assert "there is no signed provenance; opkgc build --sign makes it" in done.stdout
    opkgc(*words, "--sign", keys.secret)
    path = next(out.glob("*/provenance/sample.dsse.json"))
    good = path.read_text()
    envelope = json.loads(good)
    payload = base64.b64decode(envelope["payload"]).replace(b"debian-12", b"debian-13")
    envelope["payload"] = base64.b64encode(payload).decode()
    for bad, found in (
        (json.dumps(envelope), "no signature by"),
        (json.dumps({**envelope, "signatures": []}), "no signed statement"),
        ("{}", "no DSSE envelope"),
        ("garbage", "no DSSE envelope"),
    ):
        path.write_text(bad)
        done = opkgc("verify", manifest, source, "--key", keys.public, check=False)
        assert done.returncode == 1
        assert found in done.stdout, done.stdout
    path.write_text(good)
    manifest.write_text(manifest.read_text().replace('"sbom/opkg-sample_', '"sbom/opkg-other_'))
    done = opkgc("verify", manifest, source, "--key", keys.public, check=False)
    assert "does not speak of sbom/opkg-other_" in done.stdout


@pytest.mark.slow
def test_a_passphrase_comes_from_the_environment_or_the_terminal(
    opkg: Write, tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPKG_PASSPHRASE", raising=False)
    words = ["build", opkg(), "-t", "rocky-9", "--sign", keys.locked, "-o"]
    done = opkgc(*words, tmp_path / "none", check=False)
    assert done.returncode == 1
    assert "put the passphrase into the environment as OPKG_PASSPHRASE" in done.stderr
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("OPKG_PASSPHRASE", "wrong")
    assert "the passphrase is not the key's" in opkgc(*words, tmp_path / "no", check=False).stderr
    monkeypatch.setenv("OPKG_PASSPHRASE", "open")
    opkgc(*words, tmp_path / "one")
    monkeypatch.delenv("OPKG_PASSPHRASE")
    opkgc_line = Path(__file__).parents[2] / ".venv/bin/opkgc"
    child = pexpect.spawn(str(opkgc_line), [*map(str, words), str(tmp_path / "two")], timeout=60)
    child.expect("Passphrase of .*: ")
    child.sendline("open")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    for number, out in enumerate(("one", "two")):
        rpm = next(tmp_path.glob(f"{out}/*/opkg-sample-server*.rpm"))
        assert "signatures OK" in rpm_says(rpm, keys.public, tmp_path / f"db{number}")


@pytest.mark.parametrize("name", ["public", "nothing"])
def test_what_is_no_secret_key_is_refused(
    opkg: Write, tmp_path: Path, keys: Keys, name: str
) -> None:
    key = keys.public.parent / name
    out = tmp_path / "out"
    done = opkgc("build", opkg(), "-t", "rocky-9", "-o", out, "--sign", key, check=False)
    assert done.returncode == 1
    assert str(key) in done.stderr
    assert "Traceback" not in done.stderr
    assert "backtrace" not in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_a_package_that_somebody_changed_is_not_signed(
    opkg: Write, tmp_path: Path, keys: Keys
) -> None:
    source, out = opkg(), tmp_path / "out"
    opkgc("build", source, "-t", "rocky-9", "-o", out)
    rpm = next(out.glob("*/opkg-sample-server*.rpm"))
    with rpm.open("r+b") as stream:
        stream.seek(-10, os.SEEK_END)
        stream.write(b"0123456789")
    words = ("build", source, "-t", "rocky-9", "-o", out, "--sign", keys.secret)
    done = opkgc(*words, check=False)
    assert done.returncode == 1
    assert "not the file that its manifest means, so it is not signed" in done.stderr


@pytest.mark.slow
def test_a_repository_with_the_same_key_takes_signed_packages(opkg: Write, tmp_path: Path) -> None:
    repository, out = tmp_path / "repository", tmp_path / "out"

    def opkg_repo(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return forked("repo_server", *words)

    assert opkg_repo("init", repository).returncode == 0
    key = next(repository.rglob("*.key"))
    opkgc("build", opkg(), *BOTH, "-o", out, "--sign", key)
    manifests = sorted(out.glob("*/manifest.json"))
    done = opkg_repo("add", repository, "--channel", "stable", *manifests)
    assert done.returncode == 0, done.stderr
    assert opkg_repo("publish", repository).returncode == 0
    published = repository / "live"
    signed = digests(out)
    assert {name: signed[name] for name in digests(published)} == digests(published)
    assert len(digests(published)) == 6


@pytest.mark.slow
def test_the_targets_own_rpm_takes_signed_packages(
    opkg: Write, tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a recipe, made by rpmbuild, among them; and the source package."""
    repository = standin_repository(BUILDING)
    table = tmp_path / "targets.toml"
    table.write_text(
        '[distributions.demo-rpm-9]\nmirrors = [{ name = "demo", '
        f'url = "file://{repository}", key = "file://{repository / KEY_FILE}" }}]\n'
    )
    monkeypatch.setenv("OPKG_TARGETS", str(table))
    known_targets.cache_clear()
    try:
        out = tmp_path / "out"
        words = ("--root", "host", "-o", out, "--sign", keys.secret)
        opkgc("build", opkg(recipe=True), "-t", "demo-rpm-9", *words)
        folder = next(out.glob("demo-rpm-9-*"))
        with overlay(build_root(known_targets().find("demo-rpm-9"), [], (), print)) as root:
            (root / "key").write_bytes(keys.public.read_bytes())

            def rpmkeys(*argv: str) -> str:
                line = ("rpmkeys", "--dbpath", "/var/lib/keys", *argv)
                return run(guest.inside(root, *line, binds={Path("/mnt"): folder})).stdout

            rpmkeys("--import", "/key")
            rpms = [f"/mnt/{path.relative_to(folder)}" for path in folder.rglob("*.rpm")]
            assert len(rpms) == 5
            shown = rpmkeys("--define", "_pkgverify_level all", "-K", *rpms)
        assert shown.count(": digests signatures OK") == len(rpms)
    finally:
        known_targets.cache_clear()
