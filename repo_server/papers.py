# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents and the changelog of an OPKG, read from its published package for the web pages.

What somebody wrote is shown, and never obeyed: Markdown is rendered without its HTML, and HTML
keeps its text, headings, lists and tables alone.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile

import nh3
import rpm_rs
from debian.arfile import ArError
from debian.debfile import DebFile
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from repo_server.pool import url_of

# Of what is looked at: a package with documents is small.
_PACKAGE = 8 << 20
_DOCUMENT = 256 << 10
_CHANGELOG = "changelog.Debian.gz"
# They are in every package, and said elsewhere on the page.
_LEFT_OUT = {"copyright", "COPYING", "LICENSE", "NEWS.gz", _CHANGELOG}
_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "pre", "code", "kbd", "samp", "var"),
    *("em", "strong", "b", "i", "sub", "sup", "blockquote", "ul", "ol", "li", "dl", "dt", "dd"),
    *("table", "thead", "tbody", "tr", "th", "td", "caption", "a"),
}
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A document, as HTML that can stand in a page."""

    name: str
    html: Markup


@dataclass(frozen=True, kw_only=True)
class Papers:
    """All that a package says in prose."""

    documents: tuple[Paper, ...] = ()
    changelog: str = ""


@lru_cache(maxsize=256)
def read(path: Path, package: str, sha256: str) -> Papers:  # noqa: ARG001 (sha256: the cache's key)
    """The documents in `path`, a published file of `package` with that digest; none where it cannot
    be read: a page does without. Raises OpkgError where it is in a bucket, and that fails."""
    url = url_of(path)
    if not url:
        return _read(path, package)
    from repo_server import pool_s3

    with NamedTemporaryFile(suffix=path.suffix) as copy:
        for part in pool_s3.parts(url):
            copy.write(part)
            if copy.tell() > _PACKAGE:
                return Papers()
        copy.flush()
        return _read(Path(copy.name), package)


def _read(path: Path, package: str) -> Papers:
    try:
        if path.stat().st_size > _PACKAGE:
            return Papers()
        top = f"usr/share/doc/{package}/"
        entries = _deb(path, top) if path.suffix == ".deb" else _rpm(path, top)
        files = {name: data for name, data in entries if len(data) <= _DOCUMENT}
        changelog = _unzipped(files.get(_CHANGELOG)) if path.suffix == ".deb" else _entries(path)
    except (
        *(OSError, EOFError, ValueError, RuntimeError),
        *(ArError, tarfile.TarError, lzma.LZMAError, zlib.error),
    ):
        return Papers()
    return Papers(
        documents=tuple(
            Paper(name=name, html=render(name, data.decode(errors="replace")))
            for name, data in sorted(files.items())
            if name not in _LEFT_OUT
        ),
        changelog=changelog[:_DOCUMENT],
    )


def _deb(path: Path, top: str) -> Iterator[tuple[str, bytes]]:
    with DebFile(str(path)) as deb:
        archive = deb.data.tgz()
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and name.startswith(top) and member.size <= _DOCUMENT:
                stream = archive.extractfile(member)
                yield name.removeprefix(top), stream.read() if stream else b""


def _rpm(path: Path, top: str) -> Iterator[tuple[str, bytes]]:
    if rpm_rs.PackageMetadata.open(str(path)).installed_size > _PACKAGE:
        return
    for file in rpm_rs.Package.open(str(path)).files():
        name = str(file.metadata.path).lstrip("/")
        if name.startswith(top) and file.has_payload:
            yield name.removeprefix(top), bytes(file.content)


def _unzipped(data: bytes | None) -> str:
    # Not a byte more than is shown: few bytes may stand for endlessly many.
    text = zlib.decompressobj(wbits=31).decompress(data, _DOCUMENT) if data else b""
    return text.decode(errors="replace")


def _entries(path: Path) -> str:
    entries = rpm_rs.PackageMetadata.open(str(path)).changelog_entries()
    return "\n\n".join(f"{entry.name}\n{entry.description}" for entry in entries)


def render(name: str, text: str) -> Markup:
    """A document as harmless HTML, whoever wrote it."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (".md", ".markdown"):
        return _clean(_MARKDOWN.render(text))
    if suffix in (".html", ".htm", ".xhtml"):
        return _clean(text)
    return Markup("<pre>{}</pre>").format(escape(text))


def _clean(html: str) -> Markup:
    """HTML of which only what cannot do anything is left."""
    kept = nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href"}, "th": {"colspan", "rowspan"}, "td": {"colspan", "rowspan"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )
    return Markup(kept)  # noqa: S704 (cleaned just above)
