# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages and archives: reading a .deb, writing what apt reads.

The archive's form is that of https://wiki.debian.org/DebianRepository/Format.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path

from debian.arfile import ArError
from debian.deb822 import Deb822
from debian.debfile import DebFile, DebPart

from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_bytes
from opkg.target import Family, Target
from repo_server.draft import Draft, compress
from repo_server.package import Package, check_words

STANZA = "stanza"
COMPONENT = "main"

# What the archive says of a package, not the package itself.
_OURS = ("Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512")
_CHUNK = 1 << 20


def read_deb(path: Path, sha256: str, *, where: str) -> Package:
    """Read a .deb whose digest is `sha256`, every byte of both of its archives. Raises
    IntegrityError where it is damaged; `where` is how the operator calls it."""
    try:
        with DebFile(str(path)) as deb:
            control = Deb822(deb.control.get_content("control"))
            _read_through(deb.control)
            _read_through(deb.data)
    except (ArError, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
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
        fragments={STANZA: stanza(control, place, size, sha256)},
    )


def _read_through(part: DebPart) -> None:
    """Read an archive of a .deb to the end of its compressed stream, where the checksum is."""
    archive = part.tgz()
    archive.getmembers()
    while archive.fileobj.read(_CHUNK):
        pass


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
    return str(fields)


def release_text(
    *,
    origin: str,
    suite: str,
    architectures: Sequence[str],
    date: datetime,
    valid_until: datetime,
    files: Mapping[str, bytes],
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
    digests = [
        f" {sha256_bytes(data)} {len(data):>12} {path}" for path, data in sorted(files.items())
    ]
    return "\n".join([*lines, "SHA256:", *digests, ""])


def write_suite(
    draft: Draft,
    channel: str,
    targets: Sequence[Target],
    packages: Iterable[tuple[str, str]],
) -> None:
    """Write the suite of one platform into a channel's archive. `targets` are the platform's that
    the channel has; `packages` are pairs of an architecture and a stanza."""
    suite = targets[0].platform
    folder = f"deb/{channel}/dists/{suite}"
    rows = list(packages)
    lists: dict[str, bytes] = {}
    for target in targets:
        fitting = (target.native_architecture, target.independent)
        text = "\n".join(text for architecture, text in rows if architecture in fitting).encode()
        path = f"{COMPONENT}/binary-{target.native_architecture}/Packages"
        lists[path] = text
        for form in target.distribution.index_compression:
            lists[f"{path}.{form}"] = compress(form, text)
    for path, data in lists.items():
        draft.write(f"{folder}/{path}", data)
        by_hash = f"{path.rpartition('/')[0]}/by-hash/SHA256/{sha256_bytes(data)}"
        draft.link(f"{folder}/{by_hash}", draft.root / folder / path, lasting=True)
    release = release_text(
        origin=draft.repository.origin,
        suite=suite,
        architectures=[target.native_architecture for target in targets],
        date=draft.date,
        valid_until=draft.valid_until,
        files=lists,
    )
    draft.write(f"{folder}/Release", release)
    draft.write(f"{folder}/Release.gpg", draft.keys.detached(release, draft.date))
    draft.write(f"{folder}/InRelease", draft.keys.clearsign(release, draft.date))
