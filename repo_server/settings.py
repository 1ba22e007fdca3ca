# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository's settings: the file opkg-repo.toml in its folder."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from opkg.errors import OpkgError
from opkg.files import write_atomic

SETTINGS = "opkg-repo.toml"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Who publishes; the fingerprints of the OpenPGP keys, the newest last; the address of the
    tree, if the repository knows it; and the catalog's database, a postgresql:// URL, or nothing
    for a file beside the settings; the addresses of copies of the tree; whether apt's archives
    tell which package has which file; and where the packages are, an s3:// URL, or nothing for a
    folder beside the settings."""

    origin: str
    openpgp: tuple[str, ...]
    url: str = ""
    database: str = ""
    mirrors: tuple[str, ...] = ()
    contents: bool = False
    pool: str = ""


def read_settings(directory: Path) -> Settings:
    """The settings of the repository in `directory`. Raises OpkgError where there are none."""
    path = directory / SETTINGS
    try:
        found = tomllib.loads(path.read_text())
        lists = {"openpgp": tuple(found["openpgp"]), "mirrors": tuple(found.get("mirrors", ()))}
        return Settings(**{**found, **lists})
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OpkgError(
            "there is no repository here",
            where=str(directory),
            hint=f"make one with: opkg-repo init {directory}",
        ) from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise OpkgError(
            f"not the settings of a repository: {error}",
            where=str(path),
            hint="it needs `origin` and `openpgp`, a list of its keys' fingerprints",
        ) from error


def write_settings(directory: Path, settings: Settings) -> None:
    """Write the settings of a repository, for its owner alone: a URL may hold a password."""
    # A JSON string is a TOML string too, and so are lists of them.
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in asdict(settings).items()
        if value
    ]
    mode = 0o600 if settings.database else 0o644
    write_atomic(directory / SETTINGS, "\n".join([*lines, ""]), mode=mode)
