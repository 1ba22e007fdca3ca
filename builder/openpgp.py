# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures by the builder's OpenPGP key, and their checks."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import rpm_rs
from pysequoia import Cert, PySigner, Sig, SignatureMode, Tsk, sign, verify

from opkg.errors import IntegrityError, OpkgError
from opkg.run import run


class LockedKeyError(OpkgError):
    """A secret key cannot be used without its passphrase."""


class SigningKey:
    """An OpenPGP secret key in a file, as gpg exports it."""

    def __init__(self, path: Path, passphrase: str = "") -> None:
        """Raises LockedKeyError where the passphrase is missing, OpkgError where it is wrong, or
        where the file holds no secret key."""
        try:
            data = path.read_bytes()
            key = Tsk.from_bytes(data)
            self.fingerprint: str = key.extract_certificate().fingerprint
            self._signer: PySigner = _signer(key, path, passphrase)
            self._rpm = rpm_rs.Signer(data)
        except OSError as error:
            raise OpkgError(error.strerror or str(error), where=str(path)) from error
        except (RuntimeError, ValueError) as error:
            hint = "name the file of an armored secret key: gpg --armor --export-secret-keys"
            message = f"no secret key that can sign: {_reason(error)}"
            raise OpkgError(message, where=str(path), hint=hint) from error
        if passphrase:
            self._rpm = self._rpm.with_key_passphrase(passphrase)

    def sign(self, data: bytes) -> bytes:
        """An armored signature beside `data`."""
        return sign(self._signer, data, mode=SignatureMode.DETACHED)

    def sign_rpm(self, path: Path) -> None:
        """Give an RPM a signature of its header, in place of those that it has."""
        rpm_rs.Package.resign_in_place(str(path), self._rpm)


def _signer(key: Tsk, path: Path, passphrase: str) -> PySigner:
    try:
        return key.signer(passphrase) if passphrase else key.signer()
    except RuntimeError as error:
        if "is encrypted" in str(error):
            raise LockedKeyError("the key has a passphrase", where=str(path)) from error
        if "is not encrypted" in str(error) or not passphrase:
            raise
        raise OpkgError("the passphrase is not the key's", where=str(path)) from error


class PublicKeys:
    """The OpenPGP public keys in a file, armored or not."""

    def __init__(self, path: Path) -> None:
        """Raises OpkgError where there is none."""
        self.path = path
        try:
            self._certificates = Cert.split_bytes(path.read_bytes())
        except OSError as error:
            raise OpkgError(error.strerror or str(error), where=str(path)) from error
        except RuntimeError as error:
            hint = "name the file of a public key: gpg --armor --export"
            raise OpkgError("no OpenPGP public key", where=str(path), hint=hint) from error

    @property
    def armored(self) -> tuple[str, ...]:
        """Each key as text."""
        return tuple(str(each) for each in self._certificates)

    def check(self, data: bytes, signature: bytes) -> None:
        """Raise IntegrityError unless `signature` is that of one of these keys over `data`."""
        try:
            verify(data, store=lambda _: self._certificates, signature=Sig.from_bytes(signature))
        except (RuntimeError, ValueError) as error:
            raise IntegrityError(f"no signature by {self.path}: {_reason(error)}") from error

    def refused_rpms(self, paths: Sequence[Path]) -> list[Path]:
        """Those RPMs that rpm does not take as signed by these keys."""
        if not paths:
            return []
        with tempfile.TemporaryDirectory(prefix="opkg-") as database:
            rpmkeys = ["rpmkeys", "--dbpath", database]
            run([*rpmkeys, "--import", self.path], hint="rpm reads armored keys: gpg --armor")
            done = run(
                [*rpmkeys, "--define", "_pkgverify_level all", "-K", *paths], check=False
            ).stdout
        return [path for path in paths if f"{path}: digests signatures OK" not in done]


def _reason(error: Exception) -> str:
    """What a library of Sequoia says, without its stack."""
    return str(error).partition("\n")[0]
