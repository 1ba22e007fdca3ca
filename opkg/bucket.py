# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder of objects in an S3 bucket. Where its service is and who may use it, boto3 finds in the
usual variables and files (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_PROFILE …)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opkg.errors import OpkgError

try:
    import boto3
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
except ModuleNotFoundError as error:
    raise OpkgError(
        f"what is in S3 needs the Python module {error.name}, which is not installed",
        hint="install it: pip install 'oscar-opkg[s3]'",
    ) from error

_ABSENT = ("404", "NoSuchKey", "NotFound")
# Bytes that are held at once.
_PART = 1 << 20


class AbsentError(OpkgError):
    """There is no such object, or no such bucket."""


class Bucket:
    """What is at a `url`, s3://BUCKET/PREFIX; objects are named by what comes after that. `what`
    the user knows it as, and the `hint` are for errors. Everything raises OpkgError where the
    service fails."""

    def __init__(self, url: str, *, what: str, hint: str = "") -> None:
        parts = urlsplit(url)
        self.url = url
        self.name = parts.netloc
        self.prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        self._what = what
        self._hint = hint
        with self._telling():
            # In a session of its own: several threads may begin at once.
            self._client: Any = boto3.session.Session().client("s3")

    def check(self) -> None:
        """Raise OpkgError unless the bucket is there for us."""
        with self._telling():
            self._client.head_bucket(Bucket=self.name)

    def has(self, name: str) -> bool:
        try:
            with self._telling():
                self._client.head_object(**self._object(name))
        except AbsentError:
            return False
        return True

    def put(self, name: str, file: Path) -> None:
        """Make a file an object: others see all of it, or what was there before."""
        with self._telling():
            self._client.upload_file(str(file), *self._object(name).values())

    def fetch(self, name: str, file: Path) -> None:
        """Make an object a file. Raises AbsentError."""
        with self._telling():
            self._client.download_file(*self._object(name).values(), str(file))

    def parts(self, name: str) -> Iterator[bytes]:
        """The bytes of an object, as they come. Raises AbsentError."""
        with self._telling():
            yield from self._client.get_object(**self._object(name))["Body"].iter_chunks(_PART)

    def drop(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self._telling():
            self._client.delete_object(**self._object(name))

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """The bytes of all objects whose names begin with `prefix`."""
        with self._telling():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=self.prefix + prefix
            )
            return {
                each["Key"].removeprefix(self.prefix): each["Size"]
                for page in pages
                for each in page.get("Contents", ())
            }

    def signed_url(self, name: str, *, method: str, seconds: int, answer: Mapping[str, str]) -> str:
        """An address that gives everybody an object, for so long; `answer` are what boto3 calls
        parameters of the response, for its headers."""
        sign: Callable[..., str] = self._client.generate_presigned_url
        with self._telling():
            return sign(
                "head_object" if method == "HEAD" else "get_object",
                Params={**self._object(name), **(answer if method != "HEAD" else {})},
                ExpiresIn=seconds,
            )

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self.name, "Key": self.prefix + name}

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn boto3's errors into ours."""
        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            raise (AbsentError if code in _ABSENT else OpkgError)(
                f"{self._what} cannot be used: {error}",
                where=self.url,
                hint="look at AWS_ENDPOINT_URL, the bucket's name and who may use it"
                + (f"; {self._hint}" if self._hint else ""),
            ) from error
