# SPDX-License-Identifier: GPL-2.0-or-later
"""An artifact store in an S3 bucket. Where it is and who may use it, boto3 finds in the usual
variables and files (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_PROFILE …)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from builder.store import ENTRY, Store
from opkg.errors import OpkgError

try:
    import boto3
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
except ModuleNotFoundError as error:
    raise OpkgError(
        f"a store in S3 needs the Python module {error.name}, which is not installed",
        hint="install it: pip install 'oscar-opkg[farm]'",
    ) from error

_ABSENT = ("404", "NoSuchKey", "NotFound")


class S3Store(Store):
    """See `Store`. ENTRY is written last and removed first: a set with it is whole. Nothing goes
    by itself; a rule of the bucket may expire what is old."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        with self._telling():
            self.client = boto3.client("s3")
            self.client.head_bucket(Bucket=self.bucket)

    def has(self, key: str) -> bool:
        try:
            with self._telling():
                self.client.head_object(Bucket=self.bucket, Key=self._name(key, ENTRY))
        except _AbsentError:
            return False
        return True

    def fetch(self, key: str, place: Path) -> bool:
        if not self.has(key):
            return False
        for name in self._names(key):
            path = place / name.removeprefix(self._name(key, ""))
            if not path.resolve().is_relative_to(place.resolve()):
                continue  # nobody who means well writes such
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with self._telling():
                    self.client.download_file(self.bucket, name, str(path))
            except _AbsentError:
                continue  # just removed by somebody; what is not whole will be seen
        return place.exists()

    def put(self, key: str, files: Mapping[str, Path]) -> None:
        if self.has(key):
            return
        for name in sorted(files, key=lambda name: name == ENTRY):
            with self._telling():
                self.client.upload_file(str(files[name]), self.bucket, self._name(key, name))

    def drop(self, key: str) -> None:
        for name in [self._name(key, ENTRY), *self._names(key)]:
            with self._telling():
                self.client.delete_object(Bucket=self.bucket, Key=name)

    def _name(self, key: str, name: str) -> str:
        return f"{self.prefix}{key}/{name}"

    def _names(self, key: str) -> list[str]:
        with self._telling():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._name(key, "")
            )
            return [each["Key"] for page in pages for each in page.get("Contents", ())]

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn boto3's errors into ours."""
        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            raise (_AbsentError if code in _ABSENT else OpkgError)(
                f"the artifact store cannot be used: {error}",
                where=self.url,
                hint="look at AWS_ENDPOINT_URL, the bucket's name and who may use it; "
                "--store FOLDER names another store",
            ) from error


class _AbsentError(OpkgError):
    """There is no such object, or no such bucket."""
