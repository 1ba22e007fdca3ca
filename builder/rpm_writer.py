# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes an RPM in process, for packages that hold nothing compiled (rpm-rs; format version 4,
which every rpm in use reads)."""

from __future__ import annotations

from datetime import UTC
from pathlib import PurePosixPath

import rpm_rs

from builder.scripts import maintainer_scripts
from builder.text import wrapped
from opkg.resolve import DOC_DIR, PACKAGES_DIR, NativePackage
from opkg.spec import Kind, Opkg, Relation
from opkg.target import Family, Target

# With a level: the default one of zstd takes 60 ms a package, for nothing on scripts and docs.
_COMPRESSION = {
    "gzip": (rpm_rs.CompressionType.Gzip, 9),
    "xz": (rpm_rs.CompressionType.Xz, 6),
    "zstd": (rpm_rs.CompressionType.Zstd, 3),
}
_SENSE = {
    "": None,
    "=": rpm_rs.DependencyFlags.EQUAL,
    "<": rpm_rs.DependencyFlags.LESS,
    "<=": rpm_rs.DependencyFlags.LESS | rpm_rs.DependencyFlags.EQUAL,
    ">": rpm_rs.DependencyFlags.GREATER,
    ">=": rpm_rs.DependencyFlags.GREATER | rpm_rs.DependencyFlags.EQUAL,
}


def rpm_name(package: NativePackage) -> str:
    """The file's name: name-version-release.architecture.rpm."""
    return f"{package.name}-{package.version.without_epoch}.{package.architecture}.rpm"


def rpm_bytes(opkg: Opkg, package: NativePackage, target: Target) -> bytes:
    """The whole package. The same OPKG and target give the same bytes."""
    stamp = int(opkg.changed.timestamp())
    builder = rpm_rs.PackageBuilder(
        package.name,
        package.version.upstream,
        opkg.licence,
        package.architecture,
        package.summary,
    )
    compression, level = _COMPRESSION[target.distribution.package_compression]
    builder.using_config(
        rpm_rs.BuildConfig(
            format=rpm_rs.RpmFormat.V4,
            compression=compression,
            compression_level=level,
            source_date=stamp,
        )
    )
    builder.release(package.version.release)
    if package.version.epoch:
        builder.epoch(package.version.epoch)
    builder.description(wrapped(package.description))
    builder.group(opkg.groups[0])
    if opkg.uri:
        builder.url(opkg.uri)
    builder.packager(f"{opkg.maintainer.name} <{opkg.maintainer.email}>")
    builder.vendor("OSCAR")
    builder.build_host("opkgc")
    _add_relations(builder, package)
    _add_files(builder, package, opkg.name)
    _add_scripts(builder, package, opkg.name)
    _add_changelog(builder, opkg, package)
    return bytes(builder.build().to_bytes())


def _add_relations(builder: rpm_rs.PackageBuilder, package: NativePackage) -> None:
    add = {
        Kind.REQUIRES: builder.requires,
        Kind.PROVIDES: builder.provides,
        Kind.CONFLICTS: builder.conflicts,
        Kind.RECOMMENDS: builder.recommends,
        Kind.SUGGESTS: builder.suggests,
    }
    for kind, relation in package.relations:
        _add_relation(add[kind], relation)


def _add_relation(add: rpm_rs.PackageBuilder, relation: Relation) -> None:
    add(relation.name, relation.version or None, _SENSE[relation.rel])


def _add_files(builder: rpm_rs.PackageBuilder, package: NativePackage, opkg: str) -> None:
    docs = f"{DOC_DIR}/"
    own = (f"{PACKAGES_DIR}/{opkg}", f"{DOC_DIR}/{package.name}")
    folders = {str(up) for f in package.files for up in PurePosixPath(f.path).parents}
    for folder in sorted(folders):
        if folder.startswith(own):
            builder.with_dir_entry(
                rpm_rs.FileOptions.dir(folder, user="root", group="root", permissions=0o755)
            )
    for file in package.files:
        options = rpm_rs.FileOptions.new(
            file.path,
            user="root",
            group="root",
            permissions=file.mode,
            doc=file.path.startswith(docs),
        )
        builder.with_file_contents(file.origin.read_bytes(), options)


def _add_scripts(builder: rpm_rs.PackageBuilder, package: NativePackage, opkg: str) -> None:
    setters = {
        "pre-install": builder.pre_install_script,
        "post-install": builder.post_install_script,
        "pre-uninstall": builder.pre_uninstall_script,
        "post-uninstall": builder.post_uninstall_script,
    }
    for moment, text in maintainer_scripts(package, opkg, Family.RPM).items():
        setters[moment](text.rstrip("\n"))


def _add_changelog(builder: rpm_rs.PackageBuilder, opkg: Opkg, package: NativePackage) -> None:
    for release in opkg.releases:
        newest = release is opkg.releases[0]
        version = package.version if newest else release.version
        for change in release.changes:
            builder.add_changelog_entry(
                f"{change.author} <{opkg.email(change.author)}> - {version}",
                "\n".join(f"- {item}" for item in change.items),
                # Noon of its day, as rpmbuild makes of a date.
                int(change.date.replace(hour=12, minute=0, second=0, tzinfo=UTC).timestamp()),
            )
