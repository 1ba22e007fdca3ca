# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories: which are trusted, and what they offer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from opd.oda import Repository
from opd.state import State
from opkg.document import decode
from opkg.errors import IntegrityError, OpkgError
from opkg.files import sha256_bytes, write_atomic
from opkg.index import NAME, Index
from opkg.native.installer import PackageSource

# Of a repository, and of a channel: a part of paths, of addresses and of apt's and dnf's files.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ADDRESS = re.compile(r"https?://[!-~]+")


@dataclass(frozen=True, kw_only=True)
class Known:
    """A trusted repository and the index that was last verified."""

    repository: Repository
    index: Index

    def url(self, path: str) -> str:
        """The address of a path in the repository's tree."""
        return f"{self.repository.url}/{path}"

    def urls(self, path: str) -> tuple[str, ...]:
        """The addresses of a path: in the repository, in the mirrors that were named for it, and in
        those that it names itself."""
        named = (*self.repository.mirrors.split(), *self.index.mirrors)
        tops = dict.fromkeys((self.repository.url, *(url.rstrip("/") for url in named)))
        return tuple(f"{top}/{path}" for top in tops)

    def package_source(self, target: str) -> PackageSource | None:
        """What a package manager is told of the repository; None where it has nothing for the
        target."""
        source = self.index.sources.get(target)
        if source is None:
            return None
        return PackageSource(
            name=f"opd-{self.repository.name}",
            url=self.url(source.path),
            keys=self.index.keys,
            suite=source.suite,
            component=source.component,
        )


def add(
    state: State,
    url: str,
    *,
    channel: str,
    root_key: str,
    name: str,
    mirrors: Sequence[str] = (),
) -> Known:
    """Trust a channel of the repository at `url`. `root_key` is a file with TUF root metadata, or
    the SHA-256 of the one that the repository serves; `mirrors` are addresses of copies of its
    tree, which need no trust: what comes from there is checked by the index.

    The first index is fetched and verified; if that fails, nothing is kept. Raises OpkgError.
    """
    # Only here: other commands need not wait for it.
    from opd import trust

    url = url.rstrip("/")
    for address in (url, *mirrors):
        _check(address, channel, name)
    if any(row.name == name for row in state.oda.repositories()):
        raise OpkgError(
            f"there is a repository named {name} already",
            hint="choose another with --name, or remove it first: opd repo remove " + name,
        )
    root = trust.root(url, root_key)
    row = Repository(
        name=name,
        url=url,
        channel=channel,
        root_sha256=sha256_bytes(root),
        mirrors=" ".join(mirror.rstrip("/") for mirror in mirrors),
    )
    folder = state.repositories / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        write_atomic(folder / trust.PINNED, root)
        known = refresh(state, row)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    state.oda.save(row)
    return known


def default_name(url: str, channel: str) -> str:
    """What to call a repository that nobody named: by its host and channel."""
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", _host(url)).strip("-.")
    return f"{host or 'repository'}-{channel}"[:64]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # of brackets that are no IPv6 address
        return ""


def _check(url: str, channel: str, name: str) -> None:
    if not _ADDRESS.fullmatch(url) or not _host(url):
        raise OpkgError(
            f"“{url}” is no http or https address", hint="as in: https://host.example/repository"
        )
    for what, word in (("channel", channel), ("repository", name)):
        if not _NAME.fullmatch(word):
            raise OpkgError(
                f"“{word}” is not a name for a {what}",
                hint="letters, digits, dots, dashes and underscores, at most 64",
            )


def remove(state: State, name: str) -> Repository:
    """Forget a repository, and return what it was. What was installed from it stays."""
    row = find(state, name)
    state.oda.delete(row)
    shutil.rmtree(state.repositories / name, ignore_errors=True)
    return row


def find(state: State, name: str) -> Repository:
    """The trusted repository of that name. Raises OpkgError."""
    rows = state.oda.repositories()
    for row in rows:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in rows) or "none"
    raise OpkgError(f"there is no repository named {name}", hint=f"known: {names}")


def refresh(state: State, repository: Repository) -> Known:
    """Fetch a repository's newest index, verified from the pinned root. Raises IntegrityError
    where signature, freshness or version is wrong, OpkgError where it cannot be reached."""
    # Only here: other commands need not wait for it.
    from opd import trust

    folder = state.repositories / repository.name
    base = f"{repository.url}/opd/{repository.channel}"
    hint = f"is the address right, and is there a channel “{repository.channel}”?"
    path = trust.fetch(folder, base, NAME, hint=hint)
    index = decode(path.read_bytes(), Index, where=base)
    if index.channel != repository.channel:
        # One set of keys signs all channels: only the index itself says which one it is.
        raise IntegrityError(
            f"this is the index of the channel “{index.channel}”",
            where=base,
            hint="nothing of it is used; ask whoever runs the repository",
        )
    path.replace(folder / NAME)
    return load(state, repository)


def load(state: State, repository: Repository) -> Known:
    """The index that was verified last, without asking the network."""
    path = state.repositories / repository.name / NAME
    if not path.exists():
        raise OpkgError(f"the repository {repository.name} was never read", hint="run: opd update")
    return Known(repository=repository, index=decode(path.read_bytes(), Index, where=str(path)))


def trusted(state: State) -> Sequence[Repository]:
    """All trusted repositories. Raises OpkgError where there is none."""
    rows = state.oda.repositories()
    if not rows:
        raise OpkgError(
            "no repository is known", hint="add one: opd repo add URL --root-key FINGERPRINT"
        )
    return rows


def load_all(state: State) -> list[Known]:
    """What all trusted repositories offered when they were last asked. Raises OpkgError where
    there is none."""
    return [load(state, row) for row in trusted(state)]
