# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs a recipe's staged files into debs with Debian's own tools, so that dependencies on
libraries and the fields of control are theirs (dpkg-shlibdeps, dpkg-gencontrol, dpkg-deb)."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from builder.deb_writer import (
    changelog,
    changelog_gz,
    copyright_text,
    description,
    relation_fields,
)
from builder.stage import Staged, copy_package, elf_files
from opkg.names import Names
from opkg.recipe import RecipePackage
from opkg.resolve import DOC_DIR, native_version
from opkg.run import run
from opkg.spec import Kind, Opkg, Part
from opkg.target import Target


def pack_debs(
    opkg: Opkg, staged: tuple[Staged, ...], stage: Path, target: Target, work: Path
) -> list[Path]:
    """Make a .deb of each package below `work`. Raises CommandError when a tool fails."""
    debian = work / "deb" / "debian"
    debian.mkdir(parents=True)
    version = native_version(opkg.version, target)
    (debian / "changelog").write_text(changelog(opkg, version))
    stanzas = [
        _source_stanza(opkg),
        *(_stanza(entry.package, target, opkg.names) for entry in staged),
    ]
    (debian / "control").write_text("\n".join(stanzas))
    return [_pack(opkg, entry, stage, target, debian) for entry in staged]


def _source_stanza(opkg: Opkg) -> str:
    return (
        f"Source: {Part.API.package(opkg.name)}\n"
        f"Section: admin\nPriority: optional\n"
        f"Maintainer: {opkg.maintainer.name} <{opkg.maintainer.email}>\n"
    )


def _stanza(package: RecipePackage, target: Target, names: Names) -> str:
    relations = relation_fields(
        (kind, relation) for kind in Kind for relation in package.relations(kind, target, names)
    )
    depends = ", ".join(filter(None, [relations.pop("Depends", ""), "${shlibs:Depends}"]))
    fields = {
        "Package": package.name,
        "Architecture": "all" if package.architecture == "all" else target.native_architecture,
        "Section": package.section,
        "Depends": depends,
        **relations,
        "Description": description(package.summary, package.description),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _pack(opkg: Opkg, entry: Staged, stage: Path, target: Target, debian: Path) -> Path:
    name = entry.package.name
    stamp = int(opkg.changed.timestamp())
    tree = debian / name
    copy_package(stage, entry, tree)
    _add_docs(opkg, target, tree, name)
    control = tree / "DEBIAN"
    control.mkdir()
    substvars = f"-Tdebian/{name}.substvars"
    compiled = [tree / path.lstrip("/") for path in elf_files(stage, entry)]
    if compiled:
        run(["dpkg-shlibdeps", substvars, *compiled], cwd=debian.parent)
    run(["dpkg-gencontrol", f"-p{name}", f"-Pdebian/{name}", substvars], cwd=debian.parent)
    (control / "md5sums").write_text(_md5sums(tree))
    if entry.config:
        (control / "conffiles").write_text("".join(f"{path}\n" for path in entry.config))
    run(
        ["dpkg-deb", "--root-owner-group", f"-Z{target.distribution.package_compression}",
         "--build", tree, debian.parent],
        env={"SOURCE_DATE_EPOCH": str(stamp)},
    )  # fmt: skip
    shutil.rmtree(tree)
    return next(debian.parent.glob(f"{name}_*.deb"))


def _add_docs(opkg: Opkg, target: Target, tree: Path, name: str) -> None:
    docs = tree / DOC_DIR.lstrip("/") / name
    docs.mkdir(parents=True, exist_ok=True)
    history = changelog_gz(opkg, native_version(opkg.version, target))
    (docs / "changelog.Debian.gz").write_bytes(history)
    (docs / "copyright").write_text(copyright_text(opkg))


def _md5sums(tree: Path) -> str:
    lines = []
    for path in sorted(tree.rglob("*")):
        inside = path.relative_to(tree)
        if path.is_file() and not path.is_symlink() and inside.parts[0] != "DEBIAN":
            digest = hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 (the format's digest)
            lines.append(f"{digest}  {inside}\n")
    return "".join(lines)
