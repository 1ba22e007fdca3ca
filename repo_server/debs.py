# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages and archives: reading a .deb, writing what apt reads.

The archive's form is that of https://wiki.debian.org/DebianRepository/Format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path

from debian.deb822 import Deb822
from sqlalchemy.orm import Session

from opkg.errors import IntegrityError, OpkgError
from opkg.target import Family, Target
from repo_server import catalog, chunks, deb_file
from repo_server.draft import Digest, Draft, measure
from repo_server.forms import PLAIN, joined
from repo_server.package import SOURCE, Package, check_words

STANZA = "stanza"
# Which package has which file, where the repository tells that.
CONTENTS = "contents"
COMPONENT = "main"

# What the archive says of a package, not the package itself.
_OURS = ("Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512")


def read_deb(path: Path, sha256: str, *, where: str) -> Package:
    """Read a .deb whose digest is `sha256`, every byte of both of its archives. Raises
    IntegrityError where it is damaged; `where` is how the operator calls it."""
    try:
        inside = deb_file.read(path)
        control = Deb822(inside.control)
    except deb_file.DAMAGES as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise IntegrityError(
            f"not a whole Debian package: {reason}", where=where, hint="copy or build it again"
        ) from error
    missing = [name for name in ("Package", "Version", "Architecture") if not control.get(name)]
    if missing:
        raise OpkgError(f"its control file has no {' and no '.join(missing)}", where=where)
    name, version, architecture = (control[n] for n in ("Package", "Version", "Architecture"))
    source = control.get("Source", name).split()[0]
    check_words(name, version, architecture, source, where=where)
    place = pool_folder(source) + "/" + file_name(name, version, architecture)
    size = path.stat().st_size
    return Package(
        family=Family.DEB,
        name=name,
        version=version,
        architecture=architecture,
        path=place,
        size=size,
        sha256=sha256,
        source_sha256=sha256,
        fragments={
            STANZA: stanza(control, place, size, sha256),
            CONTENTS: _contents(control, inside.paths),
        },
    )


def file_name(name: str, version: str, architecture: str) -> str:
    """A package's file name, as dpkg-name would give it: without the epoch."""
    return f"{name}_{version.partition(':')[2] or version}_{architecture}.deb"


def pool_folder(source: str) -> str:
    """Where a source's packages are in the archive: pool/t/tool, pool/libt/libtool."""
    return f"pool/{source[:4] if source.startswith('lib') else source[:1]}/{source}"


def stanza(control: Mapping[str, str], place: str, size: int, sha256: str) -> str:
    """What Packages says of one package."""
    fields = Deb822({key: value for key, value in control.items() if key not in _OURS})
    fields["Filename"] = place
    fields["Size"] = str(size)
    fields["SHA256"] = sha256
    # An empty line ends it.
    return f"{fields}\n"


def _contents(control: Mapping[str, str], paths: Iterable[str]) -> str:
    """What Contents says of one package: a line for each of its files. A name that is not UTF-8, or
    has a line's end in it, is told with escapes."""
    location = "/".join(filter(None, (control.get("Section"), control["Package"])))
    names = (path.encode(errors="backslashreplace").decode().replace("\n", r"\n") for path in paths)
    return "".join(f"{name} {location}\n" for name in names)


def merged(contents: Iterable[str]) -> str:
    """What Contents says of several packages: one line for a file that more than one has."""
    locations: dict[str, set[str]] = {}
    for text in contents:
        for line in text.split("\n")[:-1]:
            path, _, location = line.rpartition(" ")
            locations.setdefault(path, set()).add(location)
    return "".join(
        f"{path} {','.join(sorted(found))}\n" for path, found in sorted(locations.items())
    )


# How the lists are made of what they say of single packages; without Contents, and with it.
PLAIN_LISTS: Mapping[str, catalog.Join] = {STANZA: "".join}
LISTS: Mapping[str, catalog.Join] = {**PLAIN_LISTS, CONTENTS: merged}


def release_text(
    *,
    origin: str,
    suite: str,
    architectures: Sequence[str],
    date: datetime,
    valid_until: datetime,
    files: Mapping[str, Digest],
) -> str:
    """The text of Release: what the suite is, and the digest of each of its lists (`files`)."""
    head = {
        "Origin": origin,
        "Label": origin,
        "Suite": suite,
        "Codename": suite,
        "Date": format_datetime(date, usegmt=True),
        "Valid-Until": format_datetime(valid_until, usegmt=True),
        "Acquire-By-Hash": "yes",
        "Architectures": " ".join(architectures),
        "Components": COMPONENT,
    }
    lines = [f"{key}: {value}" for key, value in head.items()]
    # SHA256 alone: apt asks by-hash for the strongest digest that stands here.
    digests = [f" {file.sha256} {file.size:>12} {path}" for path, file in sorted(files.items())]
    return "\n".join([*lines, "SHA256:", *digests, ""])


def group(channel: str, platform: str, architecture: str) -> str:
    """The group (see `chunks`) of a suite's packages for one architecture."""
    return f"deb/{channel}/{platform}/{architecture}"


def write_suite(draft: Draft, session: Session, channel: str, targets: Sequence[Target]) -> None:
    """Write the suite of one platform into a channel's archive. `targets` are the platform's that
    the channel has."""
    suite = targets[0].platform
    folder = suite_folder(channel, suite)
    files: dict[str, Digest] = {}
    for target in targets:
        architectures = (target.independent, target.native_architecture)
        groups = [group(channel, suite, architecture) for architecture in architectures]
        architecture = target.native_architecture
        forms = target.distribution.index_compression
        path = f"{COMPONENT}/binary-{architecture}/Packages"
        files |= _write_list(draft, session, folder, path, groups, forms)
        if draft.repository.contents:
            for each in groups:
                chunks.fill(session, each, CONTENTS, catalog.render(session, LISTS))
            path = f"{COMPONENT}/Contents-{architecture}"
            files |= _write_list(draft, session, folder, path, groups, forms, CONTENTS)
    path = f"{COMPONENT}/source/Sources"
    groups = [group(channel, suite, SOURCE[Family.DEB])]
    files |= _write_list(draft, session, folder, path, groups, forms)
    release = release_text(
        origin=draft.repository.origin,
        suite=suite,
        architectures=[target.native_architecture for target in targets],
        date=draft.date,
        valid_until=draft.valid_until,
        files=files,
    )
    draft.write(f"{folder}/Release", release)
    draft.write(f"{folder}/Release.gpg", draft.keys.detached(release))
    draft.write(f"{folder}/InRelease", draft.keys.clearsign(release))


def suite_folder(channel: str, suite: str) -> str:
    """Where in the tree a suite is."""
    return f"deb/{channel}/dists/{suite}"


def _write_list(
    draft: Draft,
    session: Session,
    folder: str,
    path: str,
    groups: Sequence[str],
    forms: Sequence[str],
    kind: str = STANZA,
) -> dict[str, Digest]:
    """Write one list of a suite in all `forms`, and return what Release says of each. The plain
    list stands there too, since apt checks what it unpacked, but is no file: nobody asks for it."""
    chunks.complete(session, groups, kind, forms)
    files = {path: measure(chunks.pieces(session, groups, kind, PLAIN))}
    for form in forms:
        parts = joined(form, chunks.pieces(session, groups, kind, form))
        by_hash = f"{folder}/{path.rpartition('/')[0]}/by-hash/SHA256"
        place, files[f"{path}.{form}"] = draft.write_named(by_hash, "", parts)
        draft.link(f"{folder}/{path}.{form}", draft.root / place)
    return files
