# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading an apt repository of somebody else: its Release is signed and names the lists, these name
the packages (https://wiki.debian.org/DebianRepository/Format)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from debian.deb822 import Release, Sources

from opkg.errors import IntegrityError, OpkgError
from opkg.spec import Relation
from opkg.target import Family
from repo_server.forms import FORMS, unpack
from repo_server.mirrors.fetch import ALGORITHMS, Store, Upstream, Wanted
from repo_server.mirrors.listing import Alternatives, Listed, Listing, not_signed, together
from repo_server.openpgp import Verifier
from repo_server.package import SOURCE
from repo_server.repository import Progress

# apt asks for English descriptions where there are any.
_TEXTS = "i18n/Translation-en"
_FIELD = re.compile(r"^([!-9;-~]+):[ \t]*(.*)$", re.MULTILINE)
_RELATION = re.compile(r"\s*([^\s(:\[]+)(?::\w+)?\s*(?:\(\s*([<>=]+)\s*([^\s)]+)\s*\))?")
# RFC 4880, chapter 7.
_SIGNED = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----\r?\n.*\n-----END PGP SIGNATURE-----\s*", re.DOTALL
)
# Debian Policy, chapter 7.1.
_RELS = {"<<": "<", ">>": ">"}


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Which suites of an archive, in a folder of the upstream that ends with / or is none; all
    components and architectures, where none are named; with `sources`, source packages too. A
    suite that ends with / is the path of a flat one, as in apt's own lists (sources.list(5))."""

    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    folder: str = ""
    sources: bool = False


def read_archive(
    archive: Archive, upstream: Upstream, store: Store, signatures: Verifier, progress: Progress
) -> Listing:
    """What the archive has. Raises IntegrityError where signature, date or a digest is wrong."""
    return together(
        _read_suite(archive, suite, upstream, store, signatures, progress)
        for suite in archive.suites
    )


def _read_suite(
    archive: Archive,
    suite: str,
    upstream: Upstream,
    store: Store,
    signatures: Verifier,
    progress: Progress,
) -> Listing:
    folder = _folder(archive, suite)
    documents, text = _release(upstream, signatures, folder)
    where = upstream.address(folder)
    release = Release(text)
    valid_until = _valid_until(release, where)
    date = _date(release, "Date", where)
    lists = _lists(release, folder, _names(archive, suite, release, where))
    if not lists:
        raise IntegrityError(f"it names no list by {' or '.join(ALGORITHMS)}", where=where)
    files = [one for forms in lists.values() for one in forms.values()]
    gone = upstream.fetch(files, store, progress)
    for name, forms in lists.items():
        if all(one in gone for one in forms.values()):
            raise OpkgError("a list that it names is not there", where=f"{where}{name}")
    packages = {
        listed.files[0].paths: listed
        for name, forms in lists.items()
        if not name.endswith(_TEXTS)
        for listed in _packages(
            store, {form: one for form, one in forms.items() if one not in gone}, archive.folder
        )
        if _fits(archive, listed)
    }
    there = tuple(one for one in files if one not in gone)
    revisions = {folder: int(date.timestamp())} if date else {}
    return Listing(documents, there, tuple(packages.values()), valid_until, revisions)


def _folder(archive: Archive, suite: str) -> str:
    """Where a suite is: it ends with /, or is none for the top."""
    if not suite.endswith("/"):
        return f"{archive.folder}dists/{suite}/"
    return f"{archive.folder}{_plain(suite)}"


def _plain(path: str) -> str:
    """A folder's path without what means nothing: it ends with /, or is none."""
    return "".join(f"{part}/" for part in path.split("/") if part not in ("", "."))


def _names(archive: Archive, suite: str, release: Release, where: str) -> list[str]:
    """The lists that are wanted, as far as the suite has them."""
    if suite.endswith("/"):
        return ["Packages", *(["Sources"] if archive.sources else [])]
    architectures = {
        **dict.fromkeys(_chosen(release, "Architectures", archive.architectures, where)),
        "all": None,
    }
    names = [*(f"binary-{one}/Packages" for one in architectures), _TEXTS]
    names += ["source/Sources"] if archive.sources else []
    components = _chosen(release, "Components", archive.components, where)
    return [f"{component}/{name}" for component in components for name in names]


def _fits(archive: Archive, listed: Listed) -> bool:
    """Whether a package is for what was named: a flat suite has one list for all."""
    always = ("all", SOURCE[Family.DEB])
    return not archive.architectures or listed.architecture in (*archive.architectures, *always)


def _release(upstream: Upstream, signatures: Verifier, folder: str) -> tuple[dict[str, bytes], str]:
    """A suite's documents, and the text of its Release, of which the signature holds."""
    names = ("InRelease", "Release", "Release.gpg")
    found = {f"{folder}{name}": upstream.read(f"{folder}{name}") for name in names}
    documents = {path: data for path, data in found.items() if data is not None}
    inline, release, detached = (found[f"{folder}{name}"] for name in names)
    if inline is not None:
        # Around what is signed, nothing: clients would refuse it.
        text = signatures.signed_text(inline) if _SIGNED.fullmatch(inline) else None
    elif release is not None and detached is not None:
        text = signatures.signed_text(release, detached)
    else:
        raise OpkgError(
            "there is no signed Release",
            where=upstream.address(folder),
            hint="are the address and --suite right?",
        )
    if text is None:
        raise not_signed(upstream.address(folder))
    if inline is not None and release is not None and release.strip() != text.encode().strip():
        # A publication came between; apt reads InRelease alone where there is one.
        documents = {f"{folder}InRelease": inline}
    return documents, text


def _valid_until(release: Release, where: str) -> str:
    """Until when a Release is valid, ISO 8601, or nothing. Raises IntegrityError where it was."""
    end = _date(release, "Valid-Until", where)
    if end is None:
        return ""
    if end <= datetime.now(UTC):
        raise IntegrityError(
            f"what it signed was valid until {end.isoformat()}",
            where=where,
            hint="it is not kept up, or somebody shows an old copy; is this machine's clock right?",
        )
    return end.isoformat()


def _date(release: Release, field: str, where: str) -> datetime | None:
    """The date that a field of a Release gives, if any. Raises IntegrityError for another thing."""
    text = release.get(field, "")
    try:
        date = parsedate_to_datetime(text) if text else None
    except ValueError as error:
        raise IntegrityError(f"{field}: not a date: {text}", where=where) from error
    return date.replace(tzinfo=UTC) if date and not date.tzinfo else date


def _chosen(release: Release, field: str, names: Sequence[str], where: str) -> Sequence[str]:
    """The `names`, which are among those of a field; all of these, where there are none."""
    has = release.get(field, "").split()
    if missing := sorted(set(names) - set(has)):
        raise OpkgError(
            f"{field}: it has no {', '.join(missing)}", where=where, hint=f"it has {', '.join(has)}"
        )
    return names or has


def _lists(release: Release, folder: str, wanted: Sequence[str]) -> dict[str, dict[str, Wanted]]:
    """The lists among `wanted` that Release names, each in its compressed forms (plain, where that
    is all there is), by name and form."""
    algorithm = next((one for one in ALGORITHMS if one.upper() in release), "")
    by_name = {entry["name"]: entry for entry in release.get(algorithm.upper(), ())}
    by_hash = release.get("Acquire-By-Hash", "").lower() == "yes"
    other = {
        (entry["name"], field): entry[field.lower()]
        for field in (one.upper() for one in ALGORITHMS)
        for entry in (release.get(field, ()) if by_hash else ())
    }
    found: dict[str, dict[str, Wanted]] = {}
    for name in wanted:
        for form in (*FORMS, ""):
            entry = by_name.get(f"{name}.{form}" if form else name)
            if entry is None or (not form and name in found):
                continue
            path = f"{folder}{entry['name']}"
            beside = path[: path.rfind("/") + 1]
            digests = [(f, other[key]) for f in ("SHA256", "SHA512")
                       if (key := (entry["name"], f)) in other]  # fmt: skip
            hashed = [f"{beside}by-hash/{f}/{digest}" for f, digest in digests]
            found.setdefault(name, {})[form] = Wanted(
                # By digest first: a publication may come between.
                paths=(*hashed, path),
                size=int(entry["size"]),
                algorithm=algorithm,
                digest=entry[algorithm],
            )
    return found


def _packages(store: Store, forms: Mapping[str, Wanted], folder: str) -> Iterator[Listed]:
    """The packages of a list, of which some forms are in the store, in the archive's `folder`."""
    form, wanted = next(iter(forms.items()))
    data = store.path(wanted).read_bytes()
    text = (unpack(form, data) if form else data).decode(errors="replace")
    if wanted.paths[-1].removesuffix(f".{form}").endswith("Sources"):
        for source in Sources.iter_paragraphs(text, use_apt_pkg=False):
            yield _listed_source(source, folder, wanted.paths[-1])
        return
    for stanza in text.split("\n\n"):
        fields = {key.lower(): value for key, value in _FIELD.findall(stanza)}
        if fields:
            yield _listed(fields, folder, wanted.paths[-1])


def _listed(fields: Mapping[str, str], folder: str, where: str) -> Listed:
    algorithm = next((one for one in ALGORITHMS if one in fields), "md5 or sha1")
    try:
        return Listed(
            name=fields["package"],
            version=fields["version"],
            architecture=fields["architecture"],
            files=(
                Wanted(
                    paths=(folder + fields["filename"].removeprefix("./"),),
                    size=int(fields["size"]),
                    algorithm=algorithm,
                    digest=fields.get(algorithm, ""),
                ),
            ),
            requires=tuple(
                _alternatives(group)
                for key in ("pre-depends", "depends")
                for group in fields.get(key, "").split(",")
                if group.strip()
            ),
            provides=tuple(one.name for one in _alternatives(fields.get("provides", ""), ",")),
        )
    except (KeyError, ValueError) as error:
        raise IntegrityError(
            f"an entry of the list cannot be read: {error}", where=where
        ) from error


def _listed_source(source: Sources, folder: str, where: str) -> Listed:
    """A source package: its .dsc, and what that is of."""
    algorithm = next((one for one in ALGORITHMS if f"Checksums-{one}" in source), "")
    place = _plain(source.get("Directory", ""))
    try:
        return Listed(
            name=source["Package"],
            version=source["Version"],
            architecture=SOURCE[Family.DEB],
            files=tuple(
                Wanted(
                    paths=(f"{folder}{place}{entry['name']}",),
                    size=int(entry["size"]),
                    algorithm=algorithm,
                    digest=entry[algorithm],
                )
                for entry in source[f"Checksums-{algorithm}"]
            ),
        )
    except (KeyError, ValueError) as error:
        raise IntegrityError(
            f"an entry of the list cannot be read: {error}", where=where
        ) from error


def _alternatives(text: str, separator: str = "|") -> Alternatives:
    matches = [_RELATION.match(word) for word in text.split(separator)]
    return tuple(
        Relation(name=match[1], rel=_RELS.get(match[2], match[2]) or "", version=match[3] or "")
        for match in matches
        if match
    )
