# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads build.toml, and finds everything that is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from opkg.errors import Diagnostic, InvalidInputError
from opkg.findings import Findings, expected
from opkg.kinds import step_kinds
from opkg.naming import NAME as PACKAGE_NAME
from opkg.naming import is_possible, legal_name
from opkg.older import distribution_words
from opkg.recipe import (
    NAME,
    Recipe,
    RecipePackage,
    RecipeRelation,
    RecipeScript,
    RecipeSource,
    Relations,
    Step,
)
from opkg.resolve import MOMENTS
from opkg.spec import Kind
from opkg.toml_file import Place, TomlFile, read_toml
from opkg.variables import GIVEN, used
from opkg.version import is_comparable

_RESERVED = "opkg-"
# What goes with each way to name a source, and whether it must be there.
_WAYS: dict[str, dict[str, bool]] = {
    "path": {},
    "url": {"sha256": True, "mirrors": False},
    "git": {"commit": True, "mirrors": False},
    "debian": {"version": True, "sha256": True, "mirrors": False},
}
_FORMS = {
    "sha256": (re.compile(r"[0-9a-f]{64}"), "64 digits: sha256sum says them"),
    "commit": (re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"), "the full one: git rev-parse says it"),
    "url": (re.compile(r"(https?|file)://\S+"), "https://…"),
    "debian": (PACKAGE_NAME, "the name of a source package"),
}
# It becomes the name of a folder, and of a variable of the shell.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def read_recipe(directory: Path) -> Recipe | None:
    """The recipe of an OPKG directory, or None where it has none. Raises InvalidInputError."""
    recipe, found = check_recipe(directory)
    if any(finding.severity == "error" for finding in found):
        raise InvalidInputError(f"{directory / NAME} cannot be used", found)
    return recipe


def check_recipe(directory: Path) -> tuple[Recipe | None, tuple[Diagnostic, ...]]:
    """The recipe of an OPKG directory, and all that is found wrong with it. None where there is
    no recipe, or where it has errors."""
    findings = Findings(directory / NAME)
    document = read_toml(findings)
    if document:
        document.check(document.values, Recipe)
    if document is None or findings.failed:
        return None, findings.sorted()
    recipe = msgspec.convert(document.values, Recipe)
    check = _Check(document, recipe, directory)
    check.all()
    return (None if findings.failed else recipe), findings.sorted()


class _Check:
    """Looks at what the types alone do not say."""

    def __init__(self, document: TomlFile, recipe: Recipe, directory: Path) -> None:
        self.document = document
        self.recipe = recipe
        self.directory = directory

    def all(self) -> None:
        recipe = self.recipe
        if not recipe.source or not recipe.package:
            hint = "add [source.NAME] and [[package]]"
            self.document.error((), "at least one source and one package are needed", hint)
        for name, source in recipe.source.items():
            self.source(name, source)
        self.build()
        for number, step in enumerate(recipe.step):
            self.step(step, ("step", number))
        for number, package in enumerate(recipe.package):
            self.package(package, ("package", number))
            if any(
                package.name == other.name
                and (not package.on or not other.on)
                and (not package.when or not other.when)
                for other in recipe.package[:number]
            ):
                hint = "give it a name of its own, or put the files into one"
                place = ("package", number, "name")
                self.document.error(place, f"a second package {package.name}", hint)

    def source(self, name: str, source: RecipeSource) -> None:
        place = ("source", name)
        if not _PLAIN_NAME.fullmatch(name):
            self.document.error(place, f"“{name}” cannot be a source's name", "letters and digits")
        ways = [way for way in _WAYS if getattr(source, way)]
        if len(ways) != 1:
            message = "comes from nowhere" if not ways else f"has {' and '.join(ways)}"
            hint = f"write one of {', '.join(_WAYS)}"
            self.document.error(place, f"the source {name} {message}", hint)
            return
        self.companions(place, ways[0], source)
        if source.path:
            self.inside((*place, "path"), source.path, folder=True)
        for patch in source.patches:
            self.inside((*place, "patches"), patch, folder=False)
        self.texts((*place, "url"), (source.url, *source.mirrors, source.version))

    def companions(self, place: Place, way: str, source: RecipeSource) -> None:
        """Look at what must, or may, stand beside a source's place."""
        for key in ("sha256", "commit", "version", "mirrors"):
            value = getattr(source, key)
            if value and key not in _WAYS[way]:
                self.document.error((*place, key), f"{key} says nothing of a {way}", "remove it")
            elif not value and _WAYS[way].get(key):
                hint = f'add {key} = "…"'
                self.document.error(place, f"a {way} needs its {key}", hint)
        for key, (form, hint) in _FORMS.items():
            value = getattr(source, key)
            if value and (key == way or key in _WAYS[way]) and not form.fullmatch(value):
                self.document.error((*place, key), f"“{value}” is no {key} of a source", hint)

    def inside(self, place: Place, name: str, *, folder: bool) -> None:
        """Say so where a name is none of a file, or of a folder, in the OPKG."""
        try:
            path = (self.directory / name).resolve()
            good = path.is_relative_to(self.directory.resolve())
            good = good and (path.is_dir() if folder else path.is_file())
        except (OSError, RuntimeError, ValueError):
            good = False  # a loop of links, or no path at all
        if not good:
            word = "folder" if folder else "file"
            hint = f"name a {word} beside build.toml" + (", and what is in it" if folder else "")
            self.document.error(place, f"there is no {word} “{name}” in the OPKG", hint)

    def build(self) -> None:
        build = self.recipe.build
        self.relations(build.requires, ("build", "requires"))
        self.patterns(("build", "leave_out"), build.leave_out)
        for name, value in build.variables.items():
            place = ("build", "variables", name)
            if not _VARIABLE.fullmatch(name) or name in GIVEN:
                hint = "capital letters, digits and _; not " + ", ".join(GIVEN)
                self.document.error(place, f"“{name}” cannot be a variable", hint)
            self.words(place, tuple(value) if isinstance(value, dict) else ())
        for key in ("minutes", "memory_mb"):
            if getattr(build, key) < 1:
                self.document.error(("build", key), f"{key} is less than one", "write more")

    def step(self, step: Step, place: Place) -> None:
        if bool(step.run.strip()) == bool(step.kind):
            kinds = ", ".join(step_kinds())
            hint = f"write run, or kind, which is one of {kinds}"
            self.document.error(place, f"the step {step.name} does nothing, or two things", hint)
        if step.kind and step.kind not in step_kinds():
            hint = expected(step.kind, step_kinds())
            self.document.error((*place, "kind"), f"there is no kind “{step.kind}”", hint)
        if step.options and not step.kind:
            self.document.error((*place, "options"), "options are for kinds", "write them into run")
        if step.source and step.source not in self.recipe.source:
            hint = expected(step.source, self.recipe.source)
            self.document.error((*place, "source"), f"there is no source “{step.source}”", hint)
        self.texts((*place, "options"), step.options)
        self.limits(place, step)

    def package(self, package: RecipePackage, place: Place) -> None:
        name = package.name
        if not PACKAGE_NAME.fullmatch(name):
            hint = f"small letters, digits, + - and .: perhaps {legal_name(name)}"
            message = f"“{name}” cannot be the name of a package everywhere"
            self.document.error((*place, "name"), message, hint)
        if name.startswith(_RESERVED):
            hint = f"take another name: perhaps {name.removeprefix(_RESERVED)}"
            message = f"{_RESERVED}… are the packages of OPKGs themselves"
            self.document.error((*place, "name"), message, hint)
        if not package.files:
            hint = "name patterns of files"
            self.document.error((*place, "files"), f"{name} has no files", hint)
        self.patterns((*place, "files"), package.files)
        self.patterns((*place, "config"), package.config)
        for kind in Kind:
            self.relations(getattr(package, kind.value), (*place, kind.value))
        for moment, listed in package.scripts.items():
            at = (*place, "scripts", moment)
            if moment not in MOMENTS:
                self.document.error(at, "no such moment", expected(moment, MOMENTS))
            for script in (RecipeScript(path=listed),) if isinstance(listed, str) else listed:
                self.inside(at, script.path, folder=False)
                self.words(at, script.on)
        for folder, path in package.triggers.items():
            self.patterns((*place, "triggers", folder), (folder,))
            self.inside((*place, "triggers", folder), path, folder=False)
        self.limits(place, package)

    def patterns(self, place: Place, patterns: tuple[str, ...]) -> None:
        for pattern in patterns:
            if not self.is_absolute(pattern):
                hint = f"write it as the file is installed: /{pattern}"
                self.document.error(place, f"“{pattern}” matches nothing", hint)
        self.texts(place, patterns)

    def is_absolute(self, pattern: str) -> bool:
        """Whether a pattern begins with a slash, or with a variable that does everywhere."""
        name, _, _ = pattern.removeprefix("${").partition("}")
        if not pattern.startswith("${") or name == "LIBDIR":
            return pattern.startswith(("/", "${LIBDIR}"))
        value = self.recipe.build.variables.get(name, "")
        values = [value] if isinstance(value, str) else list(value.values())
        return all(each.startswith("/") for each in values)

    def texts(self, place: Place, texts: tuple[str, ...]) -> None:
        """Look for variables that nobody sets."""
        known = {*GIVEN, *self.recipe.build.variables}
        for text in texts:
            for name in used(text):
                if name not in known:
                    hint = expected(name, known)
                    self.document.error(place, f"“{text}”: nothing sets {name or '$'}", hint)

    def relations(self, listed: Relations, place: Place) -> None:
        for number, entry in enumerate(listed):
            self.relation(entry, (*place, number))

    def relation(self, entry: str | RecipeRelation, place: Place) -> None:
        name = entry if isinstance(entry, str) else entry.name
        self.texts(place, (name,))
        if not is_possible(name):
            hint = '{ name = "…", rel = ">=", version = "…" } says which version'
            self.document.error(place, f"“{name}” is not the name of a package", hint)
        if isinstance(entry, str):
            return
        if bool(entry.rel) != bool(entry.version):
            message = f"{name}: rel and version belong together"
            self.document.error(place, message, "write both, or none")
        if entry.version and not used(entry.version) and not is_comparable(entry.version):
            hint = "letters, digits and . + ~ - only, a colon behind an epoch"
            message = f"“{entry.version}” is not a version to compare with"
            self.document.error(place, message, hint)
        self.texts(place, (entry.version,))
        self.limits(place, entry)

    def limits(self, place: Place, limited: RecipeRelation | Step | RecipePackage) -> None:
        """Look at where, and with which variables, something holds."""
        self.words((*place, "on"), limited.on)
        known = {*GIVEN, *self.recipe.build.variables}
        for name in limited.when:
            if name not in known:
                hint = expected(name, known)
                self.document.error((*place, "when"), f"nothing sets {name}", hint)

    def words(self, place: Place, words: tuple[str, ...]) -> None:
        for word in words:
            if word not in distribution_words():
                hint = expected(word, distribution_words())
                self.document.error(place, f"no target is “{word}”", hint)
