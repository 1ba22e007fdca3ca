# SPDX-License-Identifier: GPL-2.0-or-later
"""XML that anybody may have written: parsed without following it anywhere, or refused.

No document type is looked at, so there are no entities, no attributes by default and no other
files; what is larger or deeper than any OPKG's is refused before it takes memory.
"""

from __future__ import annotations

import re
from pathlib import Path

from lxml import etree

from opkg.findings import refuse

Element = etree._Element

# Eight times what the largest known file has.
SIZE_LIMIT = 1024 * 1024
# Their markup is ASCII, so that what we see in the bytes is what the parser sees.
ENCODINGS = ("utf-8", "iso-8859-1", "us-ascii", "iso-8859-15", "windows-1252", "utf8", "latin1")

_DECLARED = re.compile(rb"<\?xml[^>]*?\bencoding\s*=\s*[\"']([^\"']*)[\"']")
_BEFORE_ROOT = re.compile(rb"\s*(?:<\?.*?\?>|<!--.*?-->)", re.DOTALL)
_DOCTYPE = re.compile(rb"\s*<!DOCTYPE(?:[^\[>\"']|\"[^\"]*\"|'[^']*')*+([\[>])")


def read_xml(path: Path) -> tuple[Element, bytes]:
    """The root element of a file, and its text as it was parsed: without a byte order mark, and
    with spaces for a DOCTYPE. Raises InvalidInputError with one finding."""
    data = _content(path)
    data = _without_doctype(path, data)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(data, parser), data
    except etree.XMLSyntaxError as error:
        message, hint = _explain(error.msg or "")
        raise refuse(path, message, hint, line=error.lineno or 0) from error


def _content(path: Path) -> bytes:
    """The bytes of a plain file in one of the encodings, without a byte order mark."""
    try:
        if path.exists() and not path.is_file():
            raise refuse(path, "is no plain file", "write the file itself")
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise refuse(path, error.strerror or str(error), "an OPKG has a config.xml") from error
    if len(data) > SIZE_LIMIT:
        raise refuse(path, f"larger than {SIZE_LIMIT >> 20} MiB", "no OPKG has so much to say")
    if data.startswith(b"\x1f\x8b"):
        raise refuse(path, "is compressed", "write the plain text: gunzip it")
    if b"\0" in data:
        raise refuse(path, "is no text in UTF-8 or ISO-8859-1", "save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    declared = _DECLARED.match(data.lstrip())
    encoding = declared[1].decode("ascii", "replace").lower() if declared else "utf-8"
    if encoding not in ENCODINGS:
        raise refuse(path, f"the encoding is “{encoding}”", "save it as UTF-8, and say so", line=1)
    if not data.lstrip().startswith(b"<"):
        raise refuse(path, "is no XML", "compare with docs/opkg-format.md", line=1)
    return data


def _without_doctype(path: Path, data: bytes) -> bytes:
    """The document with its DOCTYPE blanked out, the lines kept. One that declares something is
    refused: what an OPKG says stands in its elements."""
    start = 0
    while before := _BEFORE_ROOT.match(data, start):
        start = before.end()
    found = _DOCTYPE.match(data, start)
    if found is None:
        return data
    if found[1] == b"[":
        line = data.count(b"\n", 0, found.end()) + 1
        raise refuse(
            path,
            "the DOCTYPE declares entities",
            "take it away, and write the text itself",
            line=line,
        )
    blank = re.sub(rb"[^\n]", b" ", found[0])
    return data[:start] + blank + data[found.end() :]


# By what the parser says, in which order: what mends it.
_REMEDIES = {
    "Entity": "write & as &amp; and other characters plainly",
    "tag mismatch": "every <tag> needs its </tag>, in the right order",
    "Premature end": "the end of the file is missing: </oscar> closes it",
    "invalid Char": "take the character away: XML has none such",
}


def _explain(message: str) -> tuple[str, str]:
    """What the parser found, in words and with a remedy for what is common."""
    if "Excessive depth" in message:
        return "elements are nested deeper than in any OPKG", "compare with docs/opkg-format.md"
    if "not proper UTF-8" in message or "Invalid bytes" in message:
        declaration = '<?xml version="1.0" encoding="ISO-8859-1"?>'
        return "holds bytes that are not UTF-8", f"say so in the first line if true: {declaration}"
    hint = next((hint for words, hint in _REMEDIES.items() if words in message), "")
    # The line is told already.
    message = re.sub(r", line \d+, (column \d+)$", r", \1", message)
    return f"not well-formed XML: {message}", hint or "look at it with xmllint"
