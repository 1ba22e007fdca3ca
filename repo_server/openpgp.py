# SPDX-License-Identifier: GPL-2.0-or-later
"""The repository's OpenPGP key: what apt, dnf, zypper and rpm check. gpg does the work."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from opkg.run import run

# RSA: the one algorithm that every client of every target verifies.
ALGORITHM = "rsa3072"


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """A GnuPG folder that can be used right now; `fingerprint` chooses the key in it."""

    home: Path
    fingerprint: str = ""

    def clearsign(self, text: str, now: datetime) -> str:
        """`text` with an inline signature (RFC 4880, chapter 7), as apt reads InRelease."""
        return self._sign("--clear-sign", text, now)

    def detached(self, text: str, now: datetime) -> str:
        """An armored signature beside `text`."""
        return self._sign("--detach-sign", text, now)

    @cached_property
    def public(self) -> str:
        """The armored public key."""
        return self._gpg("--armor", "--export", self.fingerprint)

    def secret(self) -> str:
        """The armored secret key, for signers within this process."""
        return self._gpg("--armor", "--export-secret-keys", self.fingerprint)

    def generate(self, owner: str, now: datetime) -> str:
        """Make a key that never expires and return its fingerprint."""
        self._gpg(
            *_at(now), "--passphrase", "", "--quick-generate-key", owner, ALGORITHM, "sign", "never"
        )
        listing = self._gpg("--with-colons", "--list-secret-keys")
        return next(line.split(":")[9] for line in listing.splitlines() if line[:4] == "fpr:")

    def _sign(self, how: str, text: str, now: datetime) -> str:
        chosen = ("--local-user", self.fingerprint, "--digest-algo", "SHA256", "--armor")
        return self._gpg(*_at(now), *chosen, how, stdin=text)

    def _gpg(self, *arguments: str, stdin: str = "") -> str:
        words = ("--homedir", str(self.home), "--batch", "--quiet", "--no-auto-check-trustdb")
        return run(
            ["gpg", *words, "--pinentry-mode", "loopback", *arguments],
            stdin=stdin,
            hint="gpg could not use the repository's key: is private/ whole, and yours?",
        ).stdout


def _at(now: datetime) -> tuple[str, str]:
    """Let gpg date what it makes: the same content at the same date signs alike."""
    return "--faked-system-time", f"{now.timestamp():.0f}!"


@contextmanager
def keyring(private: Path, fingerprint: str = "") -> Iterator[Keyring]:
    """The GnuPG folder below `private`, made where it isn't there, with its agent ended after
    use."""
    folder = (private / "gnupg").absolute()
    folder.mkdir(mode=0o700, exist_ok=True)
    with _short_way(folder) as home:
        try:
            yield Keyring(home=home, fingerprint=fingerprint)
        finally:
            run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


@contextmanager
def _short_way(folder: Path) -> Iterator[Path]:
    """A path to `folder` that is short enough: the agent's socket lies in it, and the name of a
    socket has at most 107 characters (unix(7))."""
    if len(str(folder / "S.gpg-agent.browser").encode()) <= 107:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="opkg-", dir="/tmp") as way:
        home = Path(way) / "gnupg"
        home.symlink_to(folder)
        yield home


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """gpgv with the one key of a `keyring` file."""

    keyring: Path

    def accepts(self, signature: Path, signed: Path | None = None) -> bool:
        """Whether a signature holds: an inline one, or that of the file `signed`."""
        files = [signature] if signed is None else [signature, signed]
        return run(["gpgv", "--keyring", self.keyring, *files], check=False).status == 0


@contextmanager
def verifier(key: Path) -> Iterator[Verifier]:
    """What checks signatures by the armored public `key`."""
    with tempfile.TemporaryDirectory(prefix="opkg-") as folder:
        plain = Path(folder) / "key.gpg"
        run(["gpg", "--homedir", folder, "--batch", "--output", plain, "--dearmor", key])
        yield Verifier(keyring=plain)
