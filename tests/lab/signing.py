# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenPGP keys that live for one signing session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opkg.run import run


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key pair in the gpg home `home`."""

    home: Path

    def public(self) -> str:
        """The public key, armored."""
        return self._gpg("--armor", "--export")

    def secret(self) -> str:
        """The secret key, armored and without a passphrase."""
        return self._gpg("--armor", "--export-secret-keys")

    def sign(self, path: Path) -> None:
        """Write an armored signature of a file beside it, as `.asc`."""
        self._gpg("--armor", "--yes", "--detach-sign", path)

    def _gpg(self, *words: str | Path) -> str:
        return run(["gpg", "--batch", "--quiet", "--homedir", self.home, *words]).stdout


@contextmanager
def throwaway_key(owner: str) -> Iterator[Key]:
    """A fresh RSA key of `owner`; the secret half is gone when the block ends."""
    # Not in the cache: the path of the agent's socket may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="key-") as home:
        try:
            run(
                ["gpg", "--batch", "--quiet", "--homedir", home, "--passphrase", "",
                 "--quick-generate-key", owner, "rsa3072", "sign", "never"]
            )  # fmt: skip
            yield Key(home=Path(home))
        finally:
            run(["gpgconf", "--homedir", home, "--kill", "all"])
