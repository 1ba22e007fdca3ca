# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources from git: a commit, with its submodules as it pins them.

Sources: gitmodules(5); git-archive(1).
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import git

from opkg.errors import OpkgError
from opkg.files import locked
from opkg.recipe import RecipeSource
from opkg.run import run

# git starts no program that a URL names.
_PROTOCOLS = "git:http:https:ssh"
_GITLINK = "160000"


def commit_archive(source: RecipeSource, kept: Path) -> Path:
    """The tar archive `kept`, of a commit of a git repository with all its submodules; made if it
    is not there. Raises OpkgError where no place gives the commit."""
    if kept.exists():
        return kept
    with locked(kept.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=kept.parent) as work:
        archive = Path(work, "archive.tar")
        places = (source.git, *source.mirrors)
        # A repository from elsewhere does not get at those of this machine as its submodules.
        local = any(urlsplit(place).scheme in ("", "file") for place in places)
        env = {
            "GIT_TERMINAL_PROMPT": "0",  # nobody is asked for a password
            "GIT_ALLOW_PROTOCOL": f"{_PROTOCOLS}:file" if local else _PROTOCOLS,
        }
        _archive(places, source.commit, "", archive, env)
        archive.replace(kept)
    return kept


def _archive(
    places: Sequence[str], commit: str, prefix: str, archive: Path, env: Mapping[str, str]
) -> None:
    """Write a commit from the first of some places that has it, and what its submodules hold,
    into a tar archive, or add it there; in the folder `prefix`. git's environment is `env`."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as work:
        repository = git.Repo.init(Path(work, "git"), bare=True)
        _fetch(repository, places, commit, env)
        part = Path(work, "part.tar")
        words = [f"--prefix={prefix}"] if prefix else []
        repository.git.archive(*words, commit, format="tar", output=str(part))
        if archive.exists():
            run(["tar", "--concatenate", "--file", archive, part])
        else:
            part.replace(archive)
        submodules = list(_submodules(repository, commit))
    for path, url, pinned in submodules:
        there = [_resolved(url, place) for place in places]
        _archive(there, pinned, f"{prefix}{path}/", archive, env)


def _fetch(
    repository: git.Repo, places: Sequence[str], commit: str, env: Mapping[str, str]
) -> None:
    faults = []
    for url in dict.fromkeys(places):
        # A server may give one commit alone, or only what its branches and tags hold.
        for words in (["--depth=1", "--", url, commit], ["--", url, "+refs/*:refs/remotes/all/*"]):
            try:
                repository.git.fetch("--no-tags", "--quiet", *words, env=env)
                repository.git.cat_file("-e", f"{commit}^{{commit}}")
                return
            except git.GitCommandError as error:
                lines = [line.strip(" '") for line in error.stderr.splitlines()]
                faults.append(f"{url}: {lines[-1] if lines else error}")
    raise OpkgError(
        f"no place gives the commit {commit}: " + "; ".join(dict.fromkeys(faults)),
        where=places[0],
        hint="--source NAME=PATH takes a source from a path",
    )


def _submodules(repository: git.Repo, commit: str) -> Iterator[tuple[str, str, str]]:
    """The path, the URL and the commit of each submodule. Raises OpkgError for one that
    .gitmodules does not tell the place of."""
    tree = repository.git.ls_tree("-r", "-z", commit).split("\0")
    links = [entry for entry in tree if entry.startswith(_GITLINK)]
    if not links:
        return
    urls = _urls(repository, commit)
    for entry in links:
        about, _, path = entry.partition("\t")
        if path not in urls:
            raise OpkgError(
                f"the commit {commit} does not say where its submodule {path} comes from",
                where=".gitmodules",
                hint="--source NAME=PATH takes a source from a path",
            )
        yield path, urls[path], about.split()[2]


def _urls(repository: git.Repo, commit: str) -> dict[str, str]:
    """Where submodules come from, by their paths."""
    try:
        words = ["--blob", f"{commit}:.gitmodules", "--null", "--list"]
        entries = repository.git.config(*words).split("\0")
    except git.GitCommandError:
        return {}
    settings = dict(entry.partition("\n")[::2] for entry in entries)
    return {
        path: settings.get(f"{key.removesuffix('.path')}.url", "")
        for key, path in settings.items()
        if key.startswith("submodule.") and key.endswith(".path")
    }


def _resolved(url: str, place: str) -> str:
    """A submodule's URL; a relative one counts from the repository's own."""
    if not url.startswith(("./", "../")):
        return url
    parts = urlsplit(place)
    return parts._replace(path=posixpath.normpath(posixpath.join(parts.path, url))).geturl()
