# SPDX-License-Identifier: GPL-2.0-or-later
"""A recipe as it is for one target: `${NAME}` written out, and what is for others left out."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from opkg.errors import OpkgError
from opkg.recipe import Recipe, RecipePackage, RecipeRelation, RecipeSource, Relations, is_on
from opkg.resolve import native_version
from opkg.spec import Kind, Opkg
from opkg.target import Target

# The variables that every recipe has, in texts and in the environment of its steps.
GIVEN = ("OPKG_NAME", "OPKG_VERSION", "PACKAGE_VERSION", "TARGET", "FAMILY", "ARCH", "LIBDIR")


_USE = re.compile(r"\$\{([^}]*)\}")


def used(text: str) -> tuple[str, ...]:
    """The names of the variables in a text."""
    return tuple(_USE.findall(text))


def variables(opkg: Opkg, recipe: Recipe, target: Target) -> dict[str, str]:
    """The variables of a recipe on a target. PACKAGE_VERSION is the version of its packages, in
    the family's spelling. Raises OpkgError for one that has no value there."""
    given = {
        "OPKG_NAME": opkg.name,
        "OPKG_VERSION": opkg.version.upstream,
        "PACKAGE_VERSION": str(native_version(opkg.version, target)),
        "TARGET": target.name,
        "FAMILY": target.family.value,
        "ARCH": target.native_architecture,
        "LIBDIR": target.libraries,
    }
    for name, value in recipe.build.variables.items():
        if isinstance(value, str):
            given[name] = value
            continue
        chosen = [value[word] for word in target.ordered_words if word in value]
        if not chosen:
            raise OpkgError(
                f"the variable {name} has no value on {target.name}",
                where=f"{opkg.name}: build.toml",
                hint=f"add {target.family.value} to it",
            )
        given[name] = chosen[0]
    return given


def for_target(recipe: Recipe, opkg: Opkg, target: Target) -> Recipe:
    """The recipe for one target. Raises OpkgError."""
    values = variables(opkg, recipe, target)
    return Recipe(
        source={name: _source(source, values) for name, source in recipe.source.items()},
        package=tuple(
            _package(package, values)
            for package in recipe.package
            if is_on(package.on, target) and _is_so(package.when, values)
        ),
        step=tuple(
            msgspec.structs.replace(step, options=_each(step.options, values))
            for step in recipe.step
            if is_on(step.on, target) and _is_so(step.when, values)
        ),
        build=msgspec.structs.replace(
            recipe.build,
            leave_out=_each(recipe.build.leave_out, values),
            requires=_relations(recipe.build.requires, values),
        ),
    )


def _source(source: RecipeSource, values: Mapping[str, str]) -> RecipeSource:
    return msgspec.structs.replace(
        source,
        url=_text(source.url, values),
        version=_text(source.version, values),
        mirrors=_each(source.mirrors, values),
    )


def _package(package: RecipePackage, values: Mapping[str, str]) -> RecipePackage:
    relations = {kind.value: _relations(getattr(package, kind.value), values) for kind in Kind}
    return msgspec.structs.replace(
        package,
        files=_each(package.files, values),
        config=_each(package.config, values),
        triggers={_text(folder, values): path for folder, path in package.triggers.items()},
        **relations,
    )


def _relations(listed: Relations, values: Mapping[str, str]) -> Relations:
    return tuple(
        msgspec.structs.replace(
            entry, name=_text(entry.name, values), version=_text(entry.version, values)
        )
        if isinstance(entry, RecipeRelation)
        else _text(entry, values)
        for entry in listed
        if isinstance(entry, str) or _is_so(entry.when, values)
    )


def _is_so(when: Mapping[str, str], values: Mapping[str, str]) -> bool:
    """Whether all variables that a `when` names have the values that it says."""
    return all(values[name] == value for name, value in when.items())


def _each(texts: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_text(text, values) for text in texts)


def _text(text: str, values: Mapping[str, str]) -> str:
    return _USE.sub(lambda found: values[found[1]], text)
