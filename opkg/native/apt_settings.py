# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine's apt knows that a root made on it needs too: mirrors, proxies, time-outs.

mmdebstrap takes none of it over by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from debian.deb822 import Deb822

from opkg.run import run

# Options, URI, suite, components.
Entry = tuple[dict[str, str], str, str, str]

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)]\s+)?(?P<uri>\S+)\s+(?P<rest>\S.*)")
# How things are fetched; not what is fetched, nor what apt does with it.
_FETCHING = re.compile(
    r"Acquire::(?:https?|ftp|socks|Check-|Retries|ForceIPv|AllowReleaseInfoChange)\S* \".+\""
)


def mirrors(suite: str, keyring: str, folder: Path = Path("/etc/apt")) -> tuple[str, ...]:
    """The lines of sources.list(5) for a suite of a distribution's own archive, its updates and
    security updates, out of the one-line and deb822 sources in `folder`; none when it names no
    such.

    Other archives may use the suite's name too: theirs are told by a Signed-By without `keyring`
    in it, a part of the path of the distribution's key ring.
    """
    wanted = {suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates"}
    lines = []
    for options, uri, entry_suite, components in _entries(folder):
        signed_by = options.get("signed-by", "")
        if entry_suite in wanted and (not signed_by or (keyring and keyring in signed_by)):
            chosen = " ".join(f"{key}={value}" for key, value in options.items())
            bracket = f"[{chosen}] " if chosen else ""
            lines.append(f"deb {bracket}{uri} {entry_suite} {components}")
    return tuple(dict.fromkeys(lines))


def fetch_options() -> tuple[str, ...]:
    """The settings by which this machine's apt reaches its mirrors, each as apt.conf(5) has it."""
    dump = run(["apt-config", "dump"]).stdout.splitlines()
    return tuple(line.removesuffix(";") for line in dump if _FETCHING.match(line))


def _entries(folder: Path) -> Iterator[Entry]:
    for path in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if path.suffix == ".sources":
            yield from _read_deb822(path.read_text())
        elif path.suffix == ".list" and path.is_file():
            yield from _read_one_line(path.read_text().splitlines())


def _read_one_line(lines: Iterable[str]) -> Iterator[Entry]:
    for line in lines:
        if match := _ONE_LINE.fullmatch(line.partition("#")[0].strip()):
            options = dict(word.split("=", 1) for word in (match["options"] or "").split())
            suite, _, components = match["rest"].partition(" ")
            yield _kept(options), match["uri"], suite, components.strip()


def _read_deb822(text: str) -> Iterator[Entry]:
    for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False):
        if "deb" in stanza.get("Types", "").split() and stanza.get("Enabled", "yes") != "no":
            options = _kept({key.lower(): value.strip() for key, value in stanza.items()})
            for uri in stanza["URIs"].split():
                for suite in stanza["Suites"].split():
                    yield options, uri, suite, " ".join(stanza.get("Components", "").split())


def _kept(options: Mapping[str, str]) -> dict[str, str]:
    return {key: options[key] for key in ("signed-by", "trusted") if key in options}
