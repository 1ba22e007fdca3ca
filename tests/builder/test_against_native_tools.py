# SPDX-License-Identifier: GPL-2.0-or-later
"""What is written in process, field by field beside what rpmbuild and dpkg-deb make of the same."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import rpm

from builder.deb_writer import deb_bytes, deb_name
from builder.rpm_writer import rpm_bytes, rpm_name
from builder.scripts import maintainer_scripts
from builder.text import wrapped
from opkg.directory import read_opkg
from opkg.resolve import NativePackage, native_packages
from opkg.spec import Kind, Opkg, Relation
from opkg.target import Family, Target, known_targets
from tests.builder.conftest import Write

BODY = """
  <provides><pkg>greeter</pkg></provides>
  <conflicts><pkg rel="&lt;" version="2.0">silence</pkg></conflicts>
  <serverDeps>
    <requires><pkg rel=">=" version="5">bash</pkg><pkg>coreutils</pkg></requires>
    <suggests><pkg>maybe</pkg></suggests>
  </serverDeps>
"""
FILES = {
    "scripts/server-pre-install": "#!/bin/sh\nexit 0\n",
    "scripts/server-post-install": "#!/bin/sh\necho 'it''s $HOME'\n",
    "scripts/server-pre-uninstall": "#!/bin/sh\n",
    "scripts/server-post-uninstall": "#!/bin/sh\n",
    "scripts/api-post-image": "#!/bin/sh\n",
    "doc/user.md": "Straße\n",
    "testing/data/one": "1\n",
}
# What of a header differs, and why that is right.
DIFFERENT = {
    "Archivesize": "rpm-rs does not pad the archive",
    "Sigsize": "spans the payload",
    "Sigmd5": "a digest over all of it",
    "Sha1header": "a digest over the header",
    "Sha256header": "a digest over the header",
    "Payloaddigest": "rpmbuild's archive is compressed by another library",
    "Payloaddigestalt": "as Payloaddigest",
    "Rpmversion": "says what wrote it",
    "Sourcerpm": "there is no source RPM",
    "Buildtime": "rpmbuild takes it from the changelog's day at noon",
    "Optflags": "nothing is compiled",
    "Preinprog": "rpm's default is /bin/sh, which is meant",
    "Postinprog": "as Preinprog",
    "Preunprog": "as Preinprog",
    "Postunprog": "as Preinprog",
    "Platform": "nothing is compiled",
    "Filecolors": "nothing is compiled",
    "Classdict": "says what file(1) thinks of each file",
    "Fileclass": "as Classdict",
    "Filemtimes": "rpmbuild keeps those of its build root",
}


def packages(opkg: Write, target: str) -> tuple[Opkg, Target, tuple[NativePackage, ...]]:
    read, _ = read_opkg(opkg(body=BODY, files=FILES, version="1:2.0-3"))
    found = known_targets().find(target)
    return read, found, native_packages(read, None, found)


@pytest.mark.slow
def test_debs_have_the_control_data_and_files_that_dpkg_makes(opkg: Write, tmp_path: Path) -> None:
    read, target, made = packages(opkg, "debian-12")
    for package in made:
        ours = tmp_path / deb_name(package)
        ours.write_bytes(deb_bytes(read, package, target))
        theirs = _by_dpkg(read, package, ours, tmp_path / package.name)
        assert _fields(ours) == _fields(theirs)
        assert _listing(ours) == _listing(theirs)


def _by_dpkg(opkg: Opkg, package: NativePackage, ours: Path, work: Path) -> Path:
    """The same files, with dpkg-gencontrol's control data, packed by dpkg-deb."""
    tree, debian = work / "tree", work / "debian"
    (tree / "DEBIAN").mkdir(parents=True)
    debian.mkdir()
    for file in package.files:
        place = tree / file.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.origin, place)
        place.chmod(file.mode)
    # The two documents that every package has are ours: their texts have no other maker.
    unpacked = work / "ours"
    subprocess.run(["dpkg-deb", "-x", ours, unpacked], check=True)
    docs = Path("usr/share/doc", package.name)
    shutil.copytree(unpacked / docs, tree / docs, dirs_exist_ok=True)
    maintainer = f"{opkg.maintainer.name} <{opkg.maintainer.email}>"
    fields = {Kind.REQUIRES: "Depends", Kind.PROVIDES: "Provides",
              Kind.CONFLICTS: "Conflicts", Kind.SUGGESTS: "Suggests"}  # fmt: skip
    relations = {
        field: ", ".join(_spelled(r) for kind, r in package.relations if kind is wanted)
        for wanted, field in fields.items()
    }
    text = "\n ".join(line or "." for line in wrapped(package.description).splitlines())
    (debian / "control").write_text(
        f"Source: opkg-sample\nMaintainer: {maintainer}\nPriority: optional\nSection: admin\n\n"
        f"Package: {package.name}\nArchitecture: all\n"
        + "".join(f"{field}: {value}\n" for field, value in relations.items() if value)
        + f"Description: {package.summary}\n {text}\n"
    )
    (debian / "changelog").write_text(
        f"opkg-sample ({package.version}) unstable; urgency=medium\n\n  * x\n\n"
        f" -- {maintainer}  Sun, 01 Mar 2026 12:00:00 +0100\n"
    )
    run = {"cwd": work, "check": True, "capture_output": True}
    subprocess.run(["dpkg-gencontrol", f"-p{package.name}", f"-P{tree}", "-Tnone"], **run)
    names = {"pre-install": "preinst", "post-install": "postinst",
             "pre-uninstall": "prerm", "post-uninstall": "postrm"}  # fmt: skip
    for moment, text in maintainer_scripts(package, opkg.name, Family.DEB).items():
        script = tree / "DEBIAN" / names[moment]
        script.write_text(f"#!/bin/sh\n{text}")
        script.chmod(0o755)
    for path in [tree, *tree.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    result = work / "theirs.deb"
    stamp = str(int(opkg.changed.timestamp()))
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, result],
        env={"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": stamp},
        check=True,
        capture_output=True,
    )
    return result


def _spelled(relation: Relation) -> str:
    doubled = {"<": "<<", ">": ">>"}.get(relation.rel, relation.rel)
    return f"{relation.name} ({doubled} {relation.version})" if doubled else relation.name


def _fields(deb: Path) -> dict[str, str]:
    text = subprocess.check_output(["dpkg-deb", "-f", deb], text=True)
    joined = re.sub(r"\n ", "\n\t", text)
    return dict(line.split(": ", 1) for line in joined.splitlines() if not line.startswith("\t"))


def _listing(deb: Path) -> list[list[str]]:
    """Modes, owners, sizes and names; not the times, which dpkg-deb takes from the files where
    they are older."""
    lines = subprocess.check_output(["dpkg-deb", "-c", deb], text=True).splitlines()
    rows = [line.split() for line in lines]
    return sorted([row[0], row[1], row[2], row[5]] for row in rows)


def test_rpms_have_the_header_that_rpmbuild_makes(opkg: Write, tmp_path: Path) -> None:
    read, target, made = packages(opkg, "rocky-9")
    theirs = _by_rpmbuild(read, made, tmp_path)
    for package in made:
        path = tmp_path / rpm_name(package)
        path.write_bytes(rpm_bytes(read, package, target))
        ours, other = _header(path), _header(theirs[package.name])
        assert ours.keys() ^ other.keys() <= set(DIFFERENT)
        differing = {n: (ours[n], other[n]) for n in ours.keys() & other.keys()
                     if ours[n] != other[n] and n not in DIFFERENT}  # fmt: skip
        assert not differing


def _by_rpmbuild(opkg: Opkg, made: tuple[NativePackage, ...], work: Path) -> dict[str, Path]:
    tags = {Kind.REQUIRES: "Requires", Kind.PROVIDES: "Provides", Kind.CONFLICTS: "Conflicts",
            Kind.SUGGESTS: "Suggests", Kind.RECOMMENDS: "Recommends"}  # fmt: skip
    sections = {"pre-install": "pre", "post-install": "post", "pre-uninstall": "preun",
                "post-uninstall": "postun"}  # fmt: skip
    found = {}
    for package in made:
        top = work / f"rpm-{package.name}"
        scripts = maintainer_scripts(package, opkg.name, Family.RPM)
        lines = [f"{tags[kind]}: {relation}" for kind, relation in package.relations]
        own = (f"/usr/lib/oscar/packages/{opkg.name}", f"/usr/share/doc/{package.name}")
        folders = sorted(
            {
                str(up)
                for f in package.files
                for up in Path(f.path).parents
                if str(up).startswith(own)
            }
        )
        install = [
            f"install -D -m {f.mode:o} {f.origin} %{{buildroot}}{f.path}" for f in package.files
        ]
        change = opkg.releases[0].changes[0]
        spec = "\n".join([
            f"Name: {package.name}", f"Epoch: {package.version.epoch}",
            f"Version: {package.version.upstream}", f"Release: {package.version.release}",
            f"Summary: {package.summary}", f"License: {opkg.licence}", f"Group: {opkg.groups[0]}",
            "BuildArch: noarch", "Vendor: OSCAR", "AutoReqProv: no",
            f"Packager: {opkg.maintainer.name} <{opkg.maintainer.email}>", *lines,
            "%description", wrapped(package.description), "%install", "mkdir -p %{buildroot}",
            *install,
            *(part for moment, text in scripts.items() for part in (f"%{sections[moment]}", text)),
            "%files", "%defattr(-,root,root,-)", *(f"%dir {folder}" for folder in folders),
            *(f"%doc {f.path}" if f.path.startswith("/usr/share/doc") else f.path
              for f in package.files),
            "%changelog",
            (
                f"* {change.date:%a %b %d %Y} {change.author} "
                f"<{opkg.email(change.author)}> - {package.version}"
            ),
            *(f"- {item.replace('%', '%%')}" for item in change.items),
        ])  # fmt: skip
        (work / "package.spec").write_text(spec)
        defines = {"_topdir": str(top), "_binary_payload": "w3.zstdio", "_buildhost": "opkgc",
                   "__os_install_post": "%{nil}", "_build_id_links": "none"}  # fmt: skip
        words = [
            word for name, value in defines.items() for word in ("--define", f"{name} {value}")
        ]
        done = subprocess.run(
            ["rpmbuild", "-bb", *words, work / "package.spec"], capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        found[package.name] = next(top.glob("RPMS/*/*.rpm"))
    return found


def _header(path: Path) -> dict[str, Any]:
    """All tags of a package by name; relations and files as sets, since their order is free."""
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm.RPMVSF_MASK_NOSIGNATURES | rpm.RPMVSF_MASK_NODIGESTS)
    with path.open("rb") as stream:
        header = transaction.hdrFromFdno(stream)
    found: dict[str, Any] = {}
    for tag in header:
        name = rpm.tagnames.get(tag, str(tag)).capitalize()
        if not name.startswith(("Require", "Provide", "Conflict", "Suggest", "Dirindex")):
            found[name] = header[tag]
    for kind in ("REQUIRE", "PROVIDE", "CONFLICT", "SUGGEST"):
        found[kind] = sorted(
            f"{name} {flags & 15} {version}"
            for name, flags, version in zip(
                header[f"{kind}NAME"], header[f"{kind}FLAGS"], header[f"{kind}VERSION"], strict=True
            )
        )
    return found


@pytest.mark.parametrize("target", ["debian-12", "ubuntu-24.04", "rocky-9", "sles-15"])
def test_the_native_tools_accept_every_compression(
    opkg: Write, tmp_path: Path, target: str
) -> None:
    read, found, made = packages(opkg, target)
    for package in made:
        if found.family is Family.DEB:
            path = tmp_path / deb_name(package)
            path.write_bytes(deb_bytes(read, package, found))
            subprocess.run(["dpkg-deb", "-x", path, tmp_path / "x"], check=True)
        else:
            path = tmp_path / rpm_name(package)
            path.write_bytes(rpm_bytes(read, package, found))
            done = subprocess.run(["rpmkeys", "-K", path], capture_output=True, text=True)
            assert done.stdout.endswith("digests OK\n")
