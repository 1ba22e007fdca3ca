# SPDX-License-Identifier: GPL-2.0-or-later
"""An S3 service on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest


@contextmanager
def bucket_service(name: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service with an empty bucket, which the environment leads to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        log.open("wb") as stream,
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(argv, stderr=stream, stdout=stream) as server,
    ):
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    assert server.poll() is None
                    time.sleep(0.05)
            boto3.client("s3").create_bucket(Bucket=name)
            yield server
        finally:
            server.kill()
