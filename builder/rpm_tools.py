# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs a recipe's staged files into RPMs with rpmbuild, so that automatic provides and requires
are rpm's own."""

from __future__ import annotations

import shlex
from pathlib import Path

from builder.stage import Staged
from builder.text import wrapped
from opkg.resolve import native_version
from opkg.run import run
from opkg.spec import Kind, Opkg, Part
from opkg.target import Target

_TAGS = {
    Kind.REQUIRES: "Requires",
    Kind.RECOMMENDS: "Recommends",
    Kind.SUGGESTS: "Suggests",
    Kind.CONFLICTS: "Conflicts",
    Kind.PROVIDES: "Provides",
}
_PAYLOADS = {"gzip": "w9.gzdio", "xz": "w6.xzdio", "zstd": "w3.zstdio"}
# The build host must not show in the package.
_MACROS = {
    "_buildhost": "opkgc",
    "_build_id_links": "none",
    "__os_install_post": "%{nil}",
    "debug_package": "%{nil}",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
}


def pack_rpms(
    opkg: Opkg, staged: tuple[Staged, ...], stage: Path, target: Target, work: Path
) -> list[Path]:
    """Make an RPM of each package below `work`. Raises CommandError when rpmbuild fails."""
    top = work / "rpm"
    top.mkdir()
    spec = top / "package.spec"
    spec.write_text(spec_text(opkg, staged, stage, target))
    macros = {
        **_MACROS,
        "_topdir": str(top),
        "_binary_payload": _PAYLOADS[target.distribution.package_compression],
    }
    defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
    run(
        ["rpmbuild", "-bb", "--target", target.native_architecture, *defines, spec],
        env={"SOURCE_DATE_EPOCH": str(int(opkg.changed.timestamp()))},
    )
    return sorted((top / "RPMS").glob("*/*.rpm"))


def spec_text(opkg: Opkg, staged: tuple[Staged, ...], stage: Path, target: Target) -> str:
    """The spec: a main package without files, which gives no RPM, and one package for each of
    the recipe's."""
    version = native_version(opkg.version, target)
    head = {
        "Name": Part.API.package(opkg.name),
        "Epoch": str(version.epoch or ""),
        "Version": version.upstream,
        "Release": version.release,
        "Summary": opkg.summary,
        "License": opkg.licence,
        "URL": opkg.uri,
        "Vendor": "OSCAR",
        "Packager": f"{opkg.maintainer.name} <{opkg.maintainer.email}>",
    }
    parts = [
        _tags(head),
        f"%description\n{_escape(wrapped(opkg.description))}\n",
        *(_package(entry, target, opkg) for entry in staged),
        f"%install\nmkdir -p %{{buildroot}}\ncp -a {shlex.quote(str(stage))}/. %{{buildroot}}/\n"
        + "".join(f"rm -f %{{buildroot}}{shlex.quote(path)}\n" for path in _unowned(stage, staged)),
        *(_files(entry) for entry in staged),
        _changelog(opkg, str(version)),
    ]
    return "\n".join(parts)


def _package(entry: Staged, target: Target, opkg: Opkg) -> str:
    package = entry.package
    tags = [
        ("Summary", package.summary[:1].upper() + package.summary[1:]),
        ("Group", opkg.groups[0]),
    ]
    if package.architecture == "all":
        tags.append(("BuildArch", "noarch"))
    for kind in Kind:
        tags += [(_TAGS[kind], str(r)) for r in package.relations(kind, target, opkg.names)]
    lines = "".join(f"{tag}: {_escape(value)}\n" for tag, value in tags)
    return (
        f"%package -n {package.name}\n{lines}"
        f"%description -n {package.name}\n{_escape(wrapped(package.description))}\n"
    )


def _files(entry: Staged) -> str:
    lines = [f"%files -n {entry.package.name}", "%defattr(-,root,root,-)"]
    lines += [f'%dir "{_escape(path)}"' for path in entry.folders]
    for path in entry.files:
        mark = "%config(noreplace) " if path in entry.config else ""
        lines.append(f'{mark}"{_escape(path)}"')
    return "\n".join(lines) + "\n"


def _changelog(opkg: Opkg, version: str) -> str:
    entries = []
    for release in opkg.releases:
        written = version if release is opkg.releases[0] else str(release.version)
        for change in sorted(release.changes, key=lambda change: change.date, reverse=True):
            items = "\n".join(f"- {_escape(item)}" for item in change.items)
            entries.append(
                f"* {change.date:%a %b %d %Y} {change.author} "
                f"<{opkg.email(change.author)}> - {written}\n{items}\n"
            )
    return "%changelog\n" + "\n".join(entries)


def _unowned(stage: Path, staged: tuple[Staged, ...]) -> list[str]:
    owned = {path for entry in staged for path in entry.files}
    found = ["/" + str(p.relative_to(stage)) for p in stage.rglob("*") if not p.is_dir()]
    return sorted(set(found) - owned)


def _tags(tags: dict[str, str]) -> str:
    return "".join(f"{tag}: {_escape(value)}\n" for tag, value in tags.items() if value)


def _escape(text: str) -> str:
    """Text as it stands in a spec: a percent sign would begin a macro."""
    return text.replace("%", "%%")
