# SPDX-License-Identifier: GPL-2.0-or-later
"""The repository's OpenPGP keys: what apt, dnf, zypper and rpm check.

gpg makes keys, since rpm does not take those of every library; signatures are made within this
process, in a fraction of gpg's time.
"""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from pysequoia import ArmorKind, PySigner, SignatureMode, Tsk, armor, sign

from opkg.errors import CommandError, OpkgError
from opkg.files import write_atomic
from opkg.run import run

# RSA: the one algorithm that every client of every target verifies.
ALGORITHM = "rsa3072"

# RFC 4880, chapter 6.2.
_BLOCK = re.compile(
    rb"-----BEGIN PGP (?:SIGNATURE|PUBLIC KEY BLOCK)-----\n(?:[^\n]+\n)*\n"
    rb"(.*?)\n=.{4}\n-----END[^\n]*\n?",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """The keys in a `folder`, as FINGERPRINT.key and .asc; those in `fingerprints` are in use, the
    newest last. It signs packages; all whose secret half is there sign metadata."""

    folder: Path
    fingerprints: tuple[str, ...]

    def clearsign(self, text: str) -> bytes:
        """`text` with inline signatures (RFC 4880, chapter 7), as apt reads InRelease."""
        documents = [sign(key, text.encode(), mode=SignatureMode.CLEAR) for key in self._signers]
        signatures = _merged(documents, ArmorKind.Signature)
        return _BLOCK.sub(lambda _: signatures, documents[0])

    def detached(self, text: str) -> bytes:
        """Armored signatures beside `text`."""
        documents = [sign(key, text.encode(), mode=SignatureMode.DETACHED) for key in self._signers]
        return _merged(documents, ArmorKind.Signature)

    @cached_property
    def public(self) -> str:
        """The public keys, in one armored block."""
        keys = [path.read_bytes() for path in self.files]
        return _merged(keys, ArmorKind.PublicKey).decode()

    @property
    def files(self) -> list[Path]:
        """The files of the public keys."""
        return [self.folder / f"{name}.asc" for name in self.fingerprints]

    @property
    def secret(self) -> str:
        """The armored secret key that signs packages. Raises OpkgError where it is not there."""
        return self._secrets()[-1]

    @cached_property
    def _signers(self) -> list[PySigner]:
        return [Tsk.from_bytes(text.encode()).signer() for text in self._secrets()]

    def _secrets(self) -> list[str]:
        paths = [self.folder / f"{name}.key" for name in self.fingerprints]
        try:
            # The newest must be there; an older one is retired by taking it away.
            return [path.read_text() for path in paths if path is paths[-1] or path.exists()]
        except OSError as error:
            raise OpkgError(
                f"the repository's key cannot be read: {error.strerror}",
                where=str(error.filename),
                hint="is private/ whole, and are you its owner?",
            ) from error


def generate(folder: Path, owner: str, now: datetime, *, voucher: str = "") -> str:
    """Make a key that never expires in `folder` and return its fingerprint. The key `voucher`,
    which is there already, signs the new one."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with _gnupg() as home:
        at = ("--faked-system-time", f"{now.timestamp():.0f}!")
        make = ("--passphrase", "", "--quick-generate-key", owner, ALGORITHM, "sign", "never")
        _gpg(home, *at, *make)
        listing = _gpg(home, "--with-colons", "--list-secret-keys")
        name = next(line.split(":")[9] for line in listing.splitlines() if line[:4] == "fpr:")
        # Before it is vouched for: rpm_rs reads no secret key that carries another's signature.
        secret = _gpg(home, "--armor", "--export-secret-keys", name)
        write_atomic(folder / f"{name}.key", secret, mode=0o600)
        if voucher:
            _gpg(home, "--import", str(folder / f"{voucher}.key"))
            _gpg(home, "--local-user", voucher, "--yes", "--quick-sign-key", name)
        write_atomic(folder / f"{name}.asc", _gpg(home, "--armor", "--export", name))
    return name


def _merged(documents: Sequence[bytes], kind: ArmorKind) -> bytes:
    """One armored block with what is armored in all `documents`: packets follow one another."""
    found = [_BLOCK.search(document) for document in documents]
    packets = b"".join(base64.b64decode(match[1]) for match in found if match)
    return armor(packets, kind).encode()


def _gpg(home: Path, *arguments: str) -> str:
    words = ("--homedir", str(home), "--batch", "--quiet", "--no-auto-check-trustdb")
    return run(["gpg", *words, "--pinentry-mode", "loopback", *arguments]).stdout


@contextmanager
def _gnupg() -> Iterator[Path]:
    """An empty GnuPG folder, with its agent ended after use. In /tmp, since the agent's socket
    lies in it, and the name of a socket has at most 107 characters (unix(7))."""
    with tempfile.TemporaryDirectory(prefix="opkg-", dir="/tmp") as home:
        try:
            yield Path(home)
        finally:
            run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """gpgv with the keys of a `keyring` file."""

    keyring: Path

    def accepts(self, signature: Path, signed: Path | None = None) -> bool:
        """Whether a signature holds: an inline one, or that of the file `signed`."""
        files = [signature] if signed is None else [signature, signed]
        return run(["gpgv", "--keyring", self.keyring, *files], check=False).status == 0

    def signed_text(self, document: bytes, signature: bytes | None = None) -> str | None:
        """What a document says of which the signature, inline or beside it, holds, and nothing
        around that; None where it does not hold, or holds by SHA-1."""
        with tempfile.TemporaryDirectory(prefix="opkg-") as folder:
            files = [Path(folder) / "document"]
            files[0].write_bytes(document)
            if signature is not None:
                files.insert(0, Path(folder) / "signature")
                files[0].write_bytes(signature)
            text = Path(folder) / "text"
            options = ("--weak-digest", "SHA1", "--status-fd", "1")
            # Its exit status is that of the worst signature: of a key unknown here, say.
            keyring, output = ("--keyring", str(self.keyring)), ("--output", str(text))
            told = run(["gpgv", *keyring, *options, *output, *map(str, files)], check=False).stdout
            if "[GNUPG:] GOODSIG " not in told or "[GNUPG:] BADSIG " in told:
                return None
            return (text.read_bytes() if signature is None else document).decode(errors="replace")


@contextmanager
def verifier(key: Path) -> Iterator[Verifier]:
    """What checks signatures by the armored public keys in the file `key`."""
    with tempfile.TemporaryDirectory(prefix="opkg-") as folder:
        plain = Path(folder) / "key.gpg"
        run(["gpg", "--homedir", folder, "--batch", "--output", plain, "--dearmor", key])
        yield Verifier(keyring=plain)


class Signature(Enum):
    """What became of checking one, and why nobody need believe it."""

    GOOD = "good"
    NONE = "it carries no signature"
    UNKNOWN = "no key of that list signed it"
    EXPIRED = "the key that signed it has expired"
    REVOKED = "the key that signed it is revoked"
    BAD = "its signature does not hold"


# What gpgv says of them (GnuPG's doc/DETAILS), the worst first.
_STATUS = {
    "BADSIG": Signature.BAD,
    "REVKEYSIG": Signature.REVOKED,
    "EXPKEYSIG": Signature.EXPIRED,
    "EXPSIG": Signature.EXPIRED,
    "GOODSIG": Signature.GOOD,
    "NO_PUBKEY": Signature.UNKNOWN,
    "ERRSIG": Signature.BAD,
}


def check_signature(
    keys: Sequence[Path], document: bytes, signature: bytes | None = None
) -> tuple[Signature, str, bytes]:
    """Check the signature inside a document, or one beside it, by the keys in binary files. Gives
    what it is, the fingerprint of the key that made it, and what it signs: the last two for a
    good one alone."""
    with tempfile.TemporaryDirectory(prefix="opkg-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "document").write_bytes(document)
        files = ["document"]
        if signature is not None:
            (folder / "signature").write_bytes(signature)
            files.insert(0, "signature")
        rings = [word for key in keys for word in ("--keyring", str(key))]
        options = ("--weak-digest", "SHA1", "--status-fd", "1", "--output", "text")
        told = run(["gpgv", *rings, *options, *files], cwd=folder, check=False).stdout
        lines = [line.split()[1:] for line in told.splitlines() if line.startswith("[GNUPG:] ")]
        words = {line[0] for line in lines}
        found = next((_STATUS[word] for word in _STATUS if word in words), Signature.NONE)
        if found is not Signature.GOOD:
            return found, "", b""
        # Its last word is the fingerprint of the whole key, not of a part that signs.
        fingerprint = next(line[-1] for line in lines if line[0] == "VALIDSIG")
        text = (folder / "text").read_bytes() if signature is None else document
    return found, fingerprint, text


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """An OpenPGP key as somebody gave it: whom it names, and when it ends (ISO 8601), if it
    does; `good` is false for one that ended or was revoked."""

    fingerprint: str
    name: str
    expires: str
    good: bool


def take_keys(file: Path, folder: Path) -> list[PublicKey]:
    """Write the public keys in a file, armored or not, into `folder` as FINGERPRINT.gpg. Raises
    OpkgError where there are none."""
    with _gnupg() as home:
        _take(home, file)
        found = _described(_gpg(home, "--with-colons", "--list-keys"))
        folder.mkdir(parents=True, exist_ok=True)
        for key in found:
            fresh = home / key.fingerprint
            _gpg(home, "--output", str(fresh), "--export", key.fingerprint)
            write_atomic(folder / f"{key.fingerprint}.gpg", fresh.read_bytes())
    return found


def describe_keys(files: Sequence[Path]) -> list[PublicKey]:
    """What is in such files."""
    with _gnupg() as home:
        return _described(_gpg(home, "--with-colons", "--show-keys", *map(str, files)))


def _described(listing: str) -> list[PublicKey]:
    """The keys in what gpg lists with colons (GnuPG's doc/DETAILS)."""
    found: list[dict[str, Any]] = []
    for line in listing.splitlines():
        row = line.split(":")
        if row[0] == "pub":
            ends = datetime.fromtimestamp(int(row[6]), UTC).isoformat() if row[6] else ""
            found.append({"name": "", "expires": ends, "good": row[1] not in ("e", "r", "i", "d")})
        elif row[0] == "fpr":
            found[-1].setdefault("fingerprint", row[9])
        elif row[0] == "uid" and not found[-1]["name"]:
            found[-1]["name"] = row[9]
    return [PublicKey(**key) for key in found]


def armored(path: Path) -> bytes:
    """The OpenPGP public keys in a file, armored whether they were or not. Raises OpkgError where
    there are none."""
    with _gnupg() as home:
        _take(home, path)
        return _gpg(home, "--armor", "--export").encode()


def _take(home: Path, path: Path) -> None:
    try:
        _gpg(home, "--import", str(path))
    except CommandError as error:
        raise OpkgError(
            "holds no OpenPGP keys", where=str(path), hint="gpg --export writes such a file"
        ) from error
