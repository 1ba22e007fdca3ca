# SPDX-License-Identifier: GPL-2.0-or-later
"""Dask, which is an extra, and its certificates."""

from __future__ import annotations

from typing import Literal

from opkg.errors import OpkgError

try:
    import distributed
except ModuleNotFoundError as error:
    raise OpkgError(
        f"a farm needs the Python module {error.name}, which is not installed",
        hint="install it: pip install 'oscar-opkg[farm]'",
    ) from error

__all__ = ["check_certificate", "distributed", "unreachable"]


def check_certificate(url: str, role: Literal["client", "worker"]) -> None:
    """Raise OpkgError where a scheduler is called by TLS, and Dask's configuration has no
    certificate for one who is to be its client or worker, or none that can be read."""
    if not url.startswith("tls:"):
        return
    try:
        certified = distributed.Security().get_connection_args(role).get("ssl_context")
        fault = "" if certified else "there is no certificate for TLS"
    except OSError as error:
        fault = f"the certificate for TLS cannot be used: {error}"
    if fault:
        raise OpkgError(
            fault,
            where=url,
            hint=f"name the {role}'s certificate and key, and the authority's certificate, under "
            "distributed.comm.tls in Dask's configuration",
        )


def unreachable(url: str, error: Exception) -> OpkgError:
    """What to say where a scheduler does not answer."""
    return OpkgError(
        f"no scheduler can be reached: {error}",
        where=url,
        hint="start one: dask scheduler --host ADDRESS --port 8786 --no-dashboard",
    )
