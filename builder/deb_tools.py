# SPDX-License-Identifier: GPL-2.0-or-later
"""Packs a recipe's staged files into debs with Debian's own tools (debhelper, and through it
dpkg-shlibdeps, dpkg-gencontrol and dpkg-deb), and writes the source package that does the same.

Sources: Debian Policy, chapters 4, 5 and 8; debhelper(7); deb-triggers(5).
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

from builder.deb_writer import changelog, copyright_text, description, relation_fields
from builder.scripts import recipe_scripts, trigger_script
from builder.stage import Staged, elf_files, kernels, own_kernels
from builder.steps import Work, as_program, build_requirements
from opkg.recipe import RecipePackage
from opkg.resolve import native_version
from opkg.run import run
from opkg.spec import Kind, Part

_SCRIPTS = {
    "pre-install": "preinst",
    "post-install": "postinst",
    "pre-uninstall": "prerm",
    "post-uninstall": "postrm",
}
_PYTHON = ("/usr/lib/python3/", "/usr/lib/python3.")


def pack_debs(work: Work, staged: tuple[Staged, ...], log: Path) -> tuple[list[Path], list[Path]]:
    """Make the .debs, those with debug symbols among them, and the files of the source package.
    Raises CommandError when a tool fails."""
    tree = work.room.sources
    name = f"opkg-{work.opkg.name}"
    upstream = native_version(work.opkg.version, work.target).upstream
    # The steps have left their traces in the tree; the source package is made from the archive.
    sources = work.room.work / "source"
    fresh = sources / tree.name
    _write_debian(work, staged, fresh / "debian")
    run(["cp", "--archive", fresh / "debian", tree / "debian"])
    (work.room.work / "sources.tar.gz").rename(sources / f"{name}_{upstream}.orig.tar.gz")
    run(["tar", "--extract", "--file", sources / f"{name}_{upstream}.orig.tar.gz"], cwd=sources)
    work.room.own(sources)
    work.room.own(tree / "debian")
    environment = {
        "SOURCE_DATE_EPOCH": str(work.stamp),
        "STAGE": work.room.inside(work.stage),
        "DEB_RULES_REQUIRES_ROOT": "no",  # as dpkg-buildpackage says it
    }
    work.room.run(
        ["debian/rules", "binary", "STAGED=yes"],
        cwd=work.room.inside(tree),
        env=environment,
        log=log,
        hint="the packages could not be made",
    )
    work.room.run(
        ["dpkg-source", "--build", tree.name],
        cwd=work.room.inside(sources),
        env=environment,
        log=log.with_stem(f"{log.stem}-source"),
        hint="the source package could not be made",
    )
    kept = [path for path in sources.iterdir() if path.is_file()]
    return sorted(tree.parent.glob("*.deb")), sorted(kept)


def _write_debian(work: Work, staged: tuple[Staged, ...], debian: Path) -> None:
    """Write the folder `debian` of the source package."""
    (debian / "source").mkdir(parents=True)
    texts = {
        "source/format": "3.0 (quilt)\n",
        "changelog": changelog(work.opkg, native_version(work.opkg.version, work.target)),
        "control": _control(work, staged),
        "copyright": copyright_text(work.opkg),
        "rules": _rules(work, staged),
        "steps": as_program(work),
    }
    for entry in staged:
        name = entry.package.name
        paths = [path.lstrip("/") for path in (*entry.folders, *entry.files)]
        texts[f"{name}.staged"] = "".join(f"{path}\n" for path in paths)
        # debhelper knows those in /etc by itself.
        further = [path for path in entry.config if not path.startswith("/etc/")]
        if further:
            texts[f"{name}.conffiles"] = "".join(f"{path}\n" for path in further)
        texts |= _scripts(work, entry.package)
    for path, text in texts.items():
        (debian / path).write_text(text)
    (debian / "rules").chmod(0o755)


def _control(work: Work, staged: tuple[Staged, ...]) -> str:
    opkg, target = work.opkg, work.target
    needed = build_requirements(work.recipe, target, opkg.names)
    fields = relation_fields((Kind.REQUIRES, relation) for relation in needed)
    packers = ["debhelper-compat (= 13)", *(["dh-python"] if _python(staged) else [])]
    requirements = ", ".join(filter(None, [*packers, fields.get("Depends", "")]))
    source = (
        f"Source: {Part.API.package(opkg.name)}\n"
        f"Section: admin\nPriority: optional\n"
        f"Maintainer: {opkg.maintainer.name} <{opkg.maintainer.email}>\n"
        f"Build-Depends: {requirements}\n"
        "Rules-Requires-Root: no\nStandards-Version: 4.6.2\n"
        + (f"Homepage: {opkg.uri}\n" if opkg.uri else "")
    )
    return "\n".join([source, *(_stanza(entry, work) for entry in staged)])


def _stanza(entry: Staged, work: Work) -> str:
    package = entry.package
    relations = relation_fields(
        (kind, relation)
        for kind in Kind
        for relation in package.relations(kind, work.target, work.opkg.names)
    )
    # Other variables of other helpers would be empty, and dpkg-gencontrol say so.
    automatic = ["${shlibs:Depends}"] if package.architecture == "native" else []
    automatic += ["${misc:Depends}", *kernels(entry, work.target)]
    depends = ", ".join([*filter(None, [relations.pop("Depends", "")]), *automatic])
    provides = [*filter(None, [relations.pop("Provides", "")]), *own_kernels(entry, work.target)]
    fields = {
        "Package": package.name,
        "Architecture": "all" if package.architecture == "all" else "any",
        "Section": package.section,
        "Depends": depends,
        **({"Provides": ", ".join(provides)} if provides else {}),
        **relations,
        "Description": description(package.summary, package.description),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _python(staged: tuple[Staged, ...]) -> list[str]:
    """The packages with modules of Python."""
    return [e.package.name for e in staged if any(path.startswith(_PYTHON) for path in e.files)]


def _rules(work: Work, staged: tuple[Staged, ...]) -> str:
    compiled = any(elf_files(work.stage, entry) for entry in staged)
    template = Template(files("builder").joinpath("templates", "debian-rules").read_text())
    return template.safe_substitute(
        packages=" ".join(entry.package.name for entry in staged),
        compiled="\tdh_strip\n\tdh_makeshlibs\n\tdh_shlibdeps\n" if compiled else "",
        python="".join(f"\tdh_python3 -p{name}\n" for name in _python(staged)),
        compression=work.target.distribution.package_compression,
    )


def _scripts(work: Work, package: RecipePackage) -> dict[str, str]:
    """The package's own scripts, and its triggers."""
    texts = recipe_scripts(package, work.directory, work.target)
    triggered = [
        trigger_script(work.directory / path, folder) for folder, path in package.triggers.items()
    ]
    if triggered:
        texts["post-install"] = texts.get("post-install", "") + "".join(triggered)
    found = {
        f"{package.name}.{_SCRIPTS[moment]}": f"#!/bin/sh\nset -e\n{text}#DEBHELPER#\n"
        for moment, text in texts.items()
    }
    if triggered:
        found[f"{package.name}.triggers"] = "".join(
            f"interest-noawait {folder.rstrip('/')}\n" for folder in package.triggers
        )
    return found
