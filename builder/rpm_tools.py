# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs a recipe's staged files into RPMs with rpmbuild, so that automatic provides and requires,
debug packages and compressed manuals are rpm's own; the source package does the same.

Source: the RPM Packaging Guide; rpm's spec reference.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from builder.room import HOME
from builder.scripts import embedded, recipe_scripts
from builder.stage import Staged, elf_files, kernels, own_kernels
from builder.steps import Work, as_program, build_requirements
from builder.text import wrapped
from opkg.resolve import native_version
from opkg.spec import Kind, Opkg, Part

_TAGS = {
    Kind.REQUIRES: "Requires",
    Kind.RECOMMENDS: "Recommends",
    Kind.SUGGESTS: "Suggests",
    Kind.CONFLICTS: "Conflicts",
    Kind.PROVIDES: "Provides",
}
_SCRIPTS = {
    "pre-install": "%pre",
    "post-install": "%post",
    "pre-uninstall": "%preun",
    "post-uninstall": "%postun",
}
_PAYLOADS = {"gzip": "w9.gzdio", "xz": "w6.xzdio", "zstd": "w3.zstdio"}
# The build host must not show in the package.
_MACROS = {
    "_topdir": str(HOME),
    "_buildhost": "opkgc",
    "_build_id_links": "none",
    "_source_payload": "w6.gzdio",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
}
# What rpm packs and strips by itself. Of a package without debug information nothing is listed.
_SPEC_MACROS = """\
%global _empty_manifest_terminate_build 0
%undefine __brp_python_bytecompile
%undefine __brp_elfperms
"""
_MANUAL = re.compile(r"/usr/share/(man/.+|info/.+\.info(-\d+)?)")
_LIBRARY = re.compile(r"\.so\.[\d.]+$")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_MODULE = re.compile(r"/usr/lib(64)?/python3[^/]*/.+\.py")


def pack_rpms(work: Work, staged: tuple[Staged, ...], log: Path) -> tuple[list[Path], list[Path]]:
    """Make the RPMs, those with debug symbols among them, and the source package. Raises
    CommandError when rpmbuild fails."""
    top = work.room.work
    name = Part.API.package(work.opkg.name)
    for folder in ("SOURCES", "SPECS"):
        (top / folder).mkdir()
    (top / "sources.tar.gz").rename(top / "SOURCES" / f"{work.room.tree}.tar.gz")
    (top / "SOURCES" / f"{name}.steps").write_text(as_program(work))
    (top / "SPECS" / f"{name}.spec").write_text(spec_text(work, staged))
    for folder in ("SOURCES", "SPECS"):
        work.room.own(top / folder)
    macros = {
        **_MACROS,
        "_binary_payload": _PAYLOADS[work.target.distribution.package_compression],
        "opkgc_stage": work.room.inside(work.stage),
    }
    defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
    work.room.run(
        # What the steps need is there: they have been run.
        ["rpmbuild", "-ba", "--nodeps", "--target", work.target.native_architecture, *defines,
         f"{HOME}/SPECS/{name}.spec"],
        env={"SOURCE_DATE_EPOCH": str(work.stamp)},
        log=log,
        hint="the packages could not be made",
    )  # fmt: skip
    return sorted((top / "RPMS").glob("*/*.rpm")), sorted((top / "SRPMS").glob("*.rpm"))


def spec_text(work: Work, staged: tuple[Staged, ...]) -> str:
    """The spec: a main package without files, which gives no RPM, and one package for each of
    the recipe's. With the macro opkgc_stage, the steps have been run already."""
    opkg, tree = work.opkg, work.room.tree
    version = native_version(opkg.version, work.target)
    name = Part.API.package(opkg.name)
    needed = build_requirements(work.recipe, work.target, opkg.names)
    head = [
        ("Name", name),
        ("Epoch", str(version.epoch or "")),
        ("Version", version.upstream),
        ("Release", version.release),
        ("Summary", opkg.summary),
        ("License", opkg.licence),
        ("Group", opkg.groups[0]),
        ("URL", opkg.uri),
        ("Vendor", "OSCAR"),
        ("Packager", f"{opkg.maintainer.name} <{opkg.maintainer.email}>"),
        ("Source0", f"{tree}.tar.gz"),
        ("Source1", f"{name}.steps"),
        *(("BuildRequires", str(relation)) for relation in needed),
    ]
    compiled = any(_has_debug_symbols(work, entry) for entry in staged)
    parts = [
        _SPEC_MACROS + ("" if compiled else "%global debug_package %{nil}\n"),
        _tags(head),
        f"%description\n{_escape(wrapped(opkg.description))}\n",
        "%{!?_enable_debug_packages:%{debug_package}}\n" if compiled else "",
        *(_package(entry, work) for entry in staged),
        _build(tree, work, staged),
        *(_files(entry) for entry in staged),
        *(_scripts(entry, work) for entry in staged),
        _changelog(opkg, str(version)),
    ]
    return "\n".join(filter(None, parts))


def _build(tree: str, work: Work, staged: tuple[Staged, ...]) -> str:
    """How the files come into the build root."""
    modules = any(_MODULE.fullmatch(path) for entry in staged for path in entry.files)
    compiling = 'python3 -m compileall -q -s "%{buildroot}" --invalidation-mode checked-hash'
    lines = [
        "%prep",
        # rpm 4.20 and later has a folder of its own below BUILD.
        f"%{{?opkgc_stage:[ -d {tree} ] || ln -s {HOME}/BUILD/{tree} .}}",
        f"%setup -q %{{?opkgc_stage:-D -T}} -n {tree}",
        "",
        "%install",
        'mkdir -p "%{buildroot}"',
        '%if "%{?opkgc_stage}" != ""',
        'cp -a "%{opkgc_stage}/." "%{buildroot}/"',
        "%else",
        'SOURCES="$PWD" DESTDIR="%{buildroot}" bash "%{SOURCE1}"',
        "%endif",
        *(f'rm -f "%{{buildroot}}{_quoted(path)}"' for path in _unowned(work.stage, staged)),
        *([f"find %{{buildroot}}/usr/lib* -maxdepth 1 -name 'python3*' -exec {compiling} {{}} +"]
          if modules else []),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _package(entry: Staged, work: Work) -> str:
    package, opkg = entry.package, work.opkg
    tags = [
        ("Summary", package.summary[:1].upper() + package.summary[1:]),
        ("Group", opkg.groups[0]),
    ]
    if package.architecture == "all":
        tags.append(("BuildArch", "noarch"))
    for kind in Kind:
        relations = package.relations(kind, work.target, opkg.names)
        tags += [(_TAGS[kind], str(relation)) for relation in relations]
    tags += [("Requires", relation) for relation in kernels(entry, work.target)]
    tags += [("Provides", relation) for relation in own_kernels(entry, work.target)]
    return (
        f"%package -n {package.name}\n{_tags(tags)}"
        f"%description -n {package.name}\n{_escape(wrapped(package.description))}\n"
    )


def _files(entry: Staged) -> str:
    lines = [f"%files -n {entry.package.name}", "%defattr(-,root,root,-)"]
    lines += [f'%dir "{_quoted(path)}"' for path in entry.folders]
    for path in entry.files:
        mark = "%config(noreplace) " if path in entry.config else ""
        # rpm compresses manuals when the steps did not.
        plain = _MANUAL.fullmatch(path) and not path.endswith(_COMPRESSED)
        lines.append(f'{mark}"{_quoted(path)}{".gz" if plain else ""}"')
        if _MODULE.fullmatch(path):
            place = PurePosixPath(path)
            lines.append(f"{_escape(str(place.parent))}/__pycache__/{place.stem}.*.pyc")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _scripts(entry: Staged, work: Work) -> str:
    package = entry.package
    texts = recipe_scripts(package, work.directory, work.target)
    if _has_libraries(entry, work):
        # Not every distribution's glibc does that by itself.
        for moment in ("post-install", "post-uninstall"):
            texts[moment] = "ldconfig\n" + texts.get(moment, "")
    found = [
        f"{_SCRIPTS[moment]} -n {package.name}\nset -e\n{_escape(text)}"
        for moment, text in texts.items()
    ]
    for folder, path in package.triggers.items():
        text = _escape(embedded(work.directory / path))
        found += [
            f"{when} -n {package.name} -- {folder.rstrip('/')}\nset -e\n{text}"
            for when in ("%transfiletriggerin", "%transfiletriggerpostun")
        ]
    return "\n".join(found)


def _has_libraries(entry: Staged, work: Work) -> bool:
    """Whether the loader's cache is to know of the package's files."""
    folder = PurePosixPath(work.target.libraries)
    return any(
        PurePosixPath(path).parent == folder and _LIBRARY.search(path)
        for path in elf_files(work.stage, entry)
    )


def _has_debug_symbols(work: Work, entry: Staged) -> bool:
    """Whether rpm finds something to strip; it leaves modules of kernels alone."""
    return any(not path.endswith(".ko") for path in elf_files(work.stage, entry))


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


def _tags(tags: list[tuple[str, str]]) -> str:
    return "".join(f"{tag}: {_escape(value)}\n" for tag, value in tags if value)


def _escape(text: str) -> str:
    """Text as it stands in a spec: a percent sign would begin a macro."""
    return text.replace("%", "%%")


def _quoted(path: str) -> str:
    """A path between double quotes, for rpm and for a shell."""
    return re.sub(r'(["\\$`])', r"\\\1", _escape(path))
