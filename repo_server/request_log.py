# SPDX-License-Identifier: GPL-2.0-or-later
"""A line of JSON on stderr for each request. No header is in it, so no token."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from gunicorn.glogging import Logger


class JsonLogger(Logger):
    """gunicorn's log, with requests as JSON."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            # What a proxy in front says is there by now, if there is one that is believed.
            "address": environ.get("REMOTE_ADDR", ""),
            "method": req.method,
            "path": req.path,
            "status": int(str(resp.status).split()[0]),
            "bytes": getattr(resp, "sent", 0),
            "seconds": round(request_time.total_seconds(), 4),
            "agent": environ.get("HTTP_USER_AGENT", ""),
        }
        # One write, so that the lines of several processes do not mix.
        sys.stderr.write(msgspec.json.encode(line).decode() + "\n")
        sys.stderr.flush()
