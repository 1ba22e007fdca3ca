# SPDX-License-Identifier: GPL-2.0-or-later
"""All that stands in a package, as facts that can be compared.

Sources: deb(5); the RPM V4 package format; rpm's Python bindings.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import rpm
from debian.arfile import ArError, ArFile
from debian.deb822 import Deb822
from debian.debfile import DebError, DebFile

from opkg.errors import IntegrityError

Value = str | bytes | tuple[str, ...]
# Of each thing in a package (a file, a field): its aspects by their names.
Facts = dict[str, dict[str, Value]]

# Of an RPM: its lead, and of each header the magic number, the fixed part and an index entry.
_LEAD, _MAGIC, _HEAD, _ENTRY = 96, b"\x8e\xad\xe8\x01", 16, 16
_RELATIONS = ("requires", "provides", "conflicts", "obsoletes", "recommends", "suggests",
              "supplements", "enhances")  # fmt: skip
# The tags of relations and files, which are shown otherwise, and those that only sum up others.
_FOLLOWS = (
    *(name.rstrip("s").upper() for name in _RELATIONS),
    "FILE", "BASENAMES", "DIRNAMES", "DIRINDEXES", "CLASSDICT", "DEPENDSDICT", "LONG",
    "SIG", "SHA", "RSA", "DSA", "OPENPGP", "MD5", "PAYLOADDIGEST", "PAYLOADSIZE", "HEADER",
    "ARCHIVESIZE", "SIZE", "PROVIDE", "ENCODING",
)  # fmt: skip
# What reading a damaged package comes to.
_DAMAGE = (ArError, DebError, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, rpm.error,
           OSError)  # fmt: skip


def unsigned(path: Path) -> bytes:
    """The bytes of a package; of an RPM, all but its signature header."""
    data = path.read_bytes()
    head = data[_LEAD : _LEAD + _HEAD]
    if path.suffix != ".rpm" or head[:4] != _MAGIC:
        return data
    entries, size = int.from_bytes(head[8:12], "big"), int.from_bytes(head[12:16], "big")
    end = _LEAD + _HEAD + entries * _ENTRY + size
    # The main header begins at a multiple of eight.
    return data[:_LEAD] + data[end + -end % 8 :]


def facts_of(path: Path) -> Facts:
    """What stands in a package, or in another file. Raises IntegrityError for a package that
    cannot be read."""
    try:
        if path.suffix == ".deb":
            return _facts_of_deb(path)
        if path.suffix == ".rpm":
            return _facts_of_rpm(path)
    except _DAMAGE as error:
        raise IntegrityError(f"not a whole package: {error}", where=str(path)) from error
    return {"contents": {"": path.read_bytes()}}


def _facts_of_deb(path: Path) -> Facts:
    with path.open("rb") as stream:
        facts: Facts = {"members": {"": tuple(ArFile(fileobj=stream).getnames())}}
    deb = DebFile(str(path))
    for name, aspects in _members(deb.control.tgz()):
        if name == "control":
            fields = Deb822(aspects["content"])
            facts |= {f"field {name}": {"": _listed(fields[name])} for name in fields}
        elif name != "md5sums":  # follows from the files
            facts[f"control file {name}"] = aspects
    facts |= {f"/{name}": aspects for name, aspects in _members(deb.data.tgz())}
    return facts


def _listed(value: str) -> Value:
    return value if "\n" in value or ", " not in value else tuple(value.split(", "))


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, dict[str, Value]]]:
    for member in archive:
        plain = archive.extractfile(member) if member.isfile() else None
        yield (
            member.name.removeprefix("./").removeprefix("/"),
            {
                "mode": f"{member.mode:04o}",
                "owner": f"{member.uname or member.uid}:{member.gname or member.gid}",
                "time": _time(int(member.mtime)),
                "kind": _KINDS.get(member.type, "special"),
                "leads to": member.linkname,
                **({"content": plain.read()} if plain else {}),
            },
        )


_KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link",
          tarfile.LNKTYPE: "hard link"}  # fmt: skip


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _facts_of_rpm(path: Path) -> Facts:
    checks = rpm.TransactionSet()
    # Who wants to know whether a package is whole asks rpmkeys.
    checks.setVSFlags(rpm.RPMVSF_MASK_NOSIGNATURES | rpm.RPMVSF_MASK_NODIGESTS)
    with path.open("rb") as stream:
        header = checks.hdrFromFdno(stream)
        facts: Facts = {}
        for tag in header.keys():  # noqa: SIM118 (a header is no mapping)
            name = rpm.tagnames.get(tag, str(tag))
            if not str(name).startswith(_FOLLOWS):
                facts[f"tag {str(name).capitalize()}"] = {"": _shown(header[tag])}
        for relation in _RELATIONS:
            entries = tuple(ds.DNEVR()[2:] for ds in rpm.ds(header, relation))
            facts[f"tag {relation.capitalize()}"] = {"": entries}
        facts |= {file.name: _aspects(file) for file in rpm.files(header)}
        payload = rpm.fd(stream, "r", header["payloadcompressor"] or "gzip")
        archive = rpm.files(header).archive(payload)
        for file in archive:
            if archive.hascontent():
                facts[file.name]["content"] = archive.read()
    return facts


def _aspects(file: rpm.file) -> dict[str, Value]:
    return {
        "mode": stat.filemode(file.mode),
        "owner": f"{file.user}:{file.group}",
        "time": _time(file.mtime),
        "leads to": file.linkto,
        "marks": str(file.fflags),
    }


def _shown(value: object) -> Value:
    if isinstance(value, list):
        return tuple(str(entry) for entry in value)
    return value if isinstance(value, bytes) else str(value)
