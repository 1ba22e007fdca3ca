# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory of an OPKG: its config.xml, and the files beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from opkg.config_xml import read_config
from opkg.errors import Diagnostic, InvalidInputError, OpkgError
from opkg.files import sha256_bytes, sha256_file
from opkg.findings import Findings, expected, likely, printable
from opkg.generation import CONVERT
from opkg.names import NAME as NAMES
from opkg.names import Names, read_names, shipped_names
from opkg.naming import NAME as PACKAGE_NAME
from opkg.naming import is_possible
from opkg.older import PHASE_SCRIPTS, distribution_words, older
from opkg.recipe import NAME as RECIPE
from opkg.spec import FileRole, Opkg, SourceFile
from opkg.target import Family, known_targets
from opkg.toml_file import TomlFile

_FOLDERS = {"scripts": FileRole.SCRIPT, "doc": FileRole.DOC, "testing": FileRole.TEST}
_METADATA = ("config.xml", "configurator.html", "configurator_image.html")
_UNREADABLE, _UNREADABLE_HINT = "cannot be read", "make it readable: chmod -R u+rX"
# Left by editors and version control; never part of a package.
_IGNORED = (".git", ".svn", "CVS", "__pycache__")
# All that has a meaning at the top of the directory.
_KNOWN = (*_FOLDERS, *_METADATA, NAMES, RECIPE)


def read_opkg(directory: Path) -> tuple[Opkg, tuple[Diagnostic, ...]]:
    """Read an OPKG directory. Returns the OPKG with its files, and the warnings.

    Raises InvalidInputError with all findings, or OpkgError where there is no such directory.
    """
    if not directory.is_dir():
        raise OpkgError("there is no such directory", where=printable(str(directory)))
    findings = Findings(directory)
    files = _Files(directory, findings).all()
    names = _names(directory, findings)
    try:
        opkg, found = read_config(directory / "config.xml", names)
    except InvalidInputError as error:
        findings.found[:0] = error.diagnostics
        raise findings.refusal() from error
    findings.found[:0] = found
    if findings.failed:
        raise findings.refusal()
    return replace(opkg, files=files, names=names), findings.sorted()


def script_renames(directory: Path) -> dict[str, str]:
    """Which scripts of an OPKG have an old name, and what they are called today."""
    folder = directory / "scripts"
    return older().renamed(path.name for path in folder.iterdir()) if folder.is_dir() else {}


class _Files:
    """Looks through a directory for the files of an OPKG."""

    def __init__(self, directory: Path, findings: Findings) -> None:
        self.directory = directory
        self.top = directory.resolve()
        self.findings = findings

    def all(self) -> tuple[SourceFile, ...]:
        """The files that go into packages, in the order of their folders and names."""
        self.look_alikes()
        found = [
            SourceFile(role=FileRole.METADATA, path=name, origin=path, executable=False)
            for name in _METADATA
            if os.path.lexists(path := self.directory / name) and self.is_good(path)
        ]
        for name in (NAMES, RECIPE):
            if os.path.lexists(self.directory / name):
                self.is_good(self.directory / name)
        for folder, role in _FOLDERS.items():
            if os.path.lexists(self.directory / folder):
                found += self.below(self.directory / folder, role)
        return tuple(found)

    def look_alikes(self) -> None:
        """Warn of what stands beside config.xml under a name that means nothing, but almost."""
        for path in sorted(self.directory.iterdir()):
            ours = path.name in _KNOWN or path.name.startswith(".")
            meant = None if ours else likely(path.name, _KNOWN, alike=0.7)
            if meant and not path.name.startswith((f"{meant}.", f"{meant}~")):
                hint = f"perhaps {meant} is meant"
                self.findings.warn(0, "has no meaning, and goes into no package", hint, path=path)

    def below(self, folder: Path, role: FileRole) -> Iterator[SourceFile]:
        """The files below one of the folders."""
        if not self.is_good(folder, is_folder=True):
            return
        renamed = script_renames(self.directory) if role is FileRole.SCRIPT else {}
        for here, folders, names in os.walk(folder, onerror=self.unreadable):
            folders[:] = sorted(name for name in folders if name not in _IGNORED)
            links = [name for name in folders if Path(here, name).is_symlink()]
            for name in sorted([*names, *links]):
                path = Path(here, name)
                if name.endswith("~") or not self.is_good(path):
                    continue
                inside = str(path.relative_to(folder))
                if role is FileRole.SCRIPT:
                    self.look_at_script(path, inside, renamed)
                yield SourceFile(
                    role=role,
                    path=renamed.get(inside, inside),
                    origin=path,
                    executable=role is FileRole.SCRIPT or os.access(path, os.X_OK),
                )

    def is_good(self, path: Path, *, is_folder: bool = False) -> bool:
        """Whether a file or a folder can be packaged; else an error says why it cannot."""
        if not path.name.isprintable():
            # What is not UTF-8 is none of the characters that can be seen either.
            return self.refuse(path, "the name has characters that cannot be seen", "rename it")
        if path.is_symlink() and not self.leads_inside(path):
            return False
        if not (path.is_dir() if is_folder else path.is_file()):
            kind = "folder" if is_folder else "plain file"
            return self.refuse(path, f"is no {kind}", f"put a {kind} here")
        if not is_folder and not os.access(path, os.R_OK):
            return self.refuse(path, _UNREADABLE, _UNREADABLE_HINT)
        return True

    def unreadable(self, error: OSError) -> None:
        """Refuse a folder that could not be looked into: its files would be lost."""
        self.refuse(Path(error.filename), _UNREADABLE, _UNREADABLE_HINT)

    def leads_inside(self, link: Path) -> bool:
        """Whether a link leads to something in the OPKG."""
        hint = "put here what it leads to"
        try:
            inside = link.resolve(strict=True).is_relative_to(self.top)
        except FileNotFoundError:
            return self.refuse(link, "is a link to nothing", hint)
        except (OSError, RuntimeError):
            return self.refuse(link, "is a link that leads round in circles", hint)
        return inside or self.refuse(link, "is a link that leads out of the OPKG", hint)

    def refuse(self, path: Path, message: str, hint: str) -> bool:
        self.findings.error(0, message, hint, path=path)
        return False

    def look_at_script(self, path: Path, name: str, renamed: dict[str, str]) -> None:
        """Warn of a script that no phase will run as it stands."""
        table = older().scripts
        if name in renamed:
            message = f"the old name of {renamed[name]}, which it is packaged as"
            self.findings.warn(0, message, f"{CONVERT} renames it", path=path)
        elif name in table:
            message = f"{table[name]} is there as well, and runs first"
            self.findings.warn(0, message, "make one script of the two", path=path)
        elif name not in PHASE_SCRIPTS:
            # Scripts of an OPKG's own have names of all kinds: only a slip is meant here.
            if meant := likely(name, PHASE_SCRIPTS, alike=0.85):
                self.findings.warn(0, "is no script of a phase", f"perhaps {meant}", path=path)
            return
        with path.open("rb") as stream:
            if stream.read(2) != b"#!":
                hint = "write #!/bin/sh, or what else runs it, into the first line"
                self.findings.warn(1, "the script does not say what runs it", hint, path=path)


def _names(directory: Path, findings: Findings) -> Names:
    """The shipped table of names with the OPKG's own laid over it, as far as that is good."""
    own = Findings(directory / NAMES)
    document = read_names(own)
    usable = document is not None and not own.failed
    if document and usable:
        _check_names(document)
    findings.found += own.found
    return shipped_names().laid_under(document) if document and usable else shipped_names()


def _check_names(document: TomlFile) -> None:
    """Look at the words and the native names of a table that has the right form."""
    strict = _strict_words()
    for generic, words in document.values.items():
        for word, native in words.items():
            place = (generic, word)
            if word not in distribution_words():
                document.warn(place, f"no target is “{word}”", expected(word, distribution_words()))
            for name in _spelled(native):
                if not is_possible(name) or (word in strict and not PACKAGE_NAME.fullmatch(name)):
                    hint = "write the name of one package, or a list of names"
                    document.error(place, f"“{name}” is not the name of a package there", hint)


def _spelled(native: object) -> list[str]:
    """The names in an entry of the table; "" stands for none."""
    if isinstance(native, dict):
        native = native["name"]
    return [str(name) for name in (native if isinstance(native, list) else [native]) if name]


def _strict_words() -> frozenset[str]:
    """The words that mean targets of the family that is strict about names, and no others."""
    table = known_targets()
    words: dict[Family, set[str]] = {family: set() for family in Family}
    for platform, distribution in table.distributions.items():
        for architecture in table.architectures:
            target = table.find(f"{platform}-{architecture}")
            words[distribution.family] |= set(target.ordered_words)
    return frozenset(words[Family.DEB] - words[Family.RPM])


def digest(directory: Path) -> str:
    """One SHA-256 over all that an OPKG directory holds: names, modes and contents."""
    lines = []
    for here, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in _IGNORED)
        links = [name for name in folders if Path(here, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(here, name)
            if path.is_symlink():
                content = str(path.readlink())
            else:
                content = sha256_file(path) if path.is_file() else "no plain file"
            executable = "x" if os.access(path, os.X_OK) else "-"
            lines.append(f"{content} {executable} {path.relative_to(directory)}\n")
    return sha256_bytes("".join(lines).encode(errors="surrogateescape"))
