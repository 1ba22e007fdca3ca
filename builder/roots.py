# SPDX-License-Identifier: GPL-2.0-or-later
"""Build roots: root file systems of targets, with what a recipe's steps need. They are made once,
kept in the cache, and only read by builds."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.cache import cache_folder
from builder.local_repository import write_repository
from builder.made import Files
from opkg.errors import OpkgError
from opkg.files import locked, sha256_bytes, write_atomic
from opkg.manifest import PublishedPackage
from opkg.native import guest
from opkg.native.choose import installer_of
from opkg.native.installer import PackageSource, Wanted
from opkg.native.layers import apply_layer, link_tree
from opkg.native.make_root import make_root, mirrors
from opkg.native.mounts import overlay, remove_tree
from opkg.native.system import System
from opkg.spec import Relation
from opkg.target import Family, RpmMirror, Target

Say = Callable[[str], None]

# What the kernel runs by help of another program (binfmt_misc).
_FOREIGN = Path("/proc/sys/fs/binfmt_misc")
# So long is believed what a mirror said of its state, in seconds.
_BELIEVED = 3600
_TIMEOUT = 20
# So many roots of a kind stay, and those that were used just now.
_KEPT = 8
_RECENT = 6 * 3600


def build_root(
    target: Target,
    needed: Sequence[Relation],
    used: Files,
    say: Say,
    *,
    published: Sequence[PublishedPackage] = (),
    source: PackageSource | None = None,
) -> Path:
    """The root of a target in which the packages `needed` are installed, to be read only: those
    among the packages `used` are taken from there, and those `published` from `source`. It is made
    when it is not in the cache, or when a mirror has moved since. Raises OpkgError."""
    if not target.distribution.build_base:
        raise OpkgError(
            f"targets.toml does not say what a build root of {target.platform} holds",
            hint="add build_base to its table, or build with --root host",
        )
    state = mirror_state(target)
    base_key = _key(target, state, target.distribution.build_base)
    folder = cache_folder("roots") / target.name
    base = folder / f"base-{base_key}"
    with _making(base, say, f"a build root of {target.name}") as place:
        if place:
            _make_base(target, place, say)
    if not needed:
        return base
    # Of the other relations, the newest version is the best that there is.
    exact = {relation.name: relation.version for relation in needed if relation.rel == "="}
    wanted = {name: exact.get(name, "") for name in sorted({r.name for r in needed})}
    wanted |= {package.name: package.version for package in published}
    words = [f"{name} {version}".strip() for name, version in wanted.items()]
    digests = [artifact.sha256 for artifact, _ in used] + [each.sha256 for each in published]
    root = folder / f"with-{_key(target, state, [base_key, *words, *digests])}"
    with _making(root, say, f"a build root of {target.name} with {', '.join(words)}") as place:
        if place:
            _install(target, base, wanted, used, place, source)
    return root


def can_be_made(target: Target) -> bool:
    """Whether it is known where a target's packages come from: mmdebstrap knows it by itself."""
    return bool(
        target.distribution.build_base and (target.family is Family.DEB or _mirrors(target))
    )


def is_emulated(target: Target, registered: Path = _FOREIGN) -> bool:
    """Whether this machine runs a target's programs by qemu-user, also in roots that do not have
    it: the kernel keeps it open then (flag F of binfmt_misc)."""
    try:
        lines = (registered / f"qemu-{target.architecture}").read_text().splitlines()
    except OSError:
        return False
    return "enabled" in lines and any(
        line.startswith("flags:") and "F" in line.partition(":")[2] for line in lines
    )


def _mirrors(target: Target) -> Sequence[str | RpmMirror]:
    listed = target.distribution.mirrors
    return listed or (mirrors(target) if target.family is Family.DEB else ())


def root_key(target: Target) -> str:
    """What a target's build root is made from, among the inputs of a build."""
    return _key(target, mirror_state(target), target.distribution.build_base)


def _make_base(target: Target, place: Path, say: Say) -> None:
    system = System(name=f"the build root of {target.name}", root=place / "root", target=target)
    make_root(
        system, target.distribution.build_base, session=place / "session", say=_steps_only(say)
    )


def _install(
    target: Target,
    base: Path,
    named: Mapping[str, str],
    used: Files,
    place: Path,
    source: PackageSource | None,
) -> None:
    """Make the root `place/root` from a base and the packages `named`, with the version that each
    must have, or "". Some of them may be `used`, or come from `source`."""
    seen, scratch, session = place / "seen", place / "scratch", place / "session"
    for folder in (seen, scratch, session):
        folder.mkdir()
    system = System(name=f"the build root of {target.name}", root=seen, target=target)
    paths = [path for _, path in used]
    sources = [write_repository(paths, session, target.family)] if used else []
    sources += [source] if source else []
    # Just the version that was built, even where the target has a newer one.
    built = {artifact.name: artifact.version for artifact, _ in used}
    wanted = [Wanted(name=n, version=built.get(n, version)) for n, version in named.items()]
    with overlay(base, seen, scratch) as layer, guest.opened(seen):
        installer = installer_of(system)(
            system=system, session=session, say=_nobody, sources=sources
        )
        with guest.mount_points(seen, [guest.SESSION]):
            installer.refresh()
            installer.install(wanted)
    link_tree(base, place / "root")
    apply_layer(layer, place / "root")


@contextmanager
def _making(root: Path, say: Say, what: str) -> Iterator[Path | None]:
    """Yields a folder in which to make `root` (as `root` in it), or None when it is there. It
    appears whole or not at all; of two processes one makes it and the other waits."""
    root.parent.mkdir(parents=True, exist_ok=True)
    if root.exists():
        os.utime(root)
        yield None
        return
    with locked(root.parent / f".{root.name}.lock", waiting=lambda: say(f"waiting for {what}")):
        if root.exists():
            yield None
            return
        for left in root.parent.glob(f".making-{root.name}-*"):
            remove_tree(left)  # by a process that was killed, for we hold its lock
        place = Path(tempfile.mkdtemp(prefix=f".making-{root.name}-", dir=root.parent))
        say(f"making {what} …")
        try:
            yield place
            os.utime(place / "root")
            (place / "root").rename(root)
        finally:
            remove_tree(place)
    _forget(root)


def _forget(newest: Path) -> None:
    """Remove roots of this kind that nothing has been built in for longest, and not just now:
    a mirror, or what was built with them, has moved on since."""
    kind = newest.name.partition("-")[0]
    same = sorted(newest.parent.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
    for old in same[:-_KEPT]:
        if time.time() - old.stat().st_mtime > _RECENT:
            remove_tree(old)


def _key(target: Target, state: Mapping[str, str], words: Sequence[str]) -> str:
    made_by = [target.distribution.installer, target.distribution.suite]
    known = [target.name, *made_by, dict(state), sorted(words)]
    return sha256_bytes(json.dumps(known, sort_keys=True).encode())[:16]


def mirror_state(target: Target) -> Mapping[str, str]:
    """The digest of what each of a target's mirrors offers; "" for one that cannot be reached,
    so that what is in the cache still serves."""
    urls = [_index(mirror, target) for mirror in _mirrors(target)]
    known = _known_state(target)
    listed = json.loads(known.read_text()) if known.exists() else {}
    fresh = known.exists() and time.time() - known.stat().st_mtime < _BELIEVED
    if fresh and sorted(listed) == sorted(urls):
        return dict(listed)
    found = {url: _digest(url) or listed.get(url, "") for url in urls}
    write_atomic(known, json.dumps(found))
    return found


def believe(target: Target, state: Mapping[str, str]) -> None:
    """Take another machine's word for what the mirrors offer now, so that both mean the same."""
    write_atomic(_known_state(target), json.dumps(dict(state)))


def _known_state(target: Target) -> Path:
    return cache_folder("roots") / f"{target.name}.json"


def _index(mirror: str | RpmMirror, target: Target) -> str:
    """The URL of the file that changes whenever a mirror changes."""
    if isinstance(mirror, RpmMirror):
        return f"{mirror.url.rstrip('/')}/repodata/repomd.xml"
    words = mirror.partition("]")[2].split() if "[" in mirror else mirror.split()[1:]
    suite = words[1] if len(words) > 1 else target.distribution.suite
    return f"{words[0].rstrip('/')}/dists/{suite}/InRelease"


def _digest(url: str) -> str:
    try:
        if url.startswith("file://"):
            return sha256_bytes(Path(url.removeprefix("file://")).read_bytes())
        # Only here: a build that has nothing to do need not wait for it.
        import requests  # its errors are OSErrors

        answer = requests.get(url, timeout=_TIMEOUT)
        return sha256_bytes(answer.content) if answer.ok else ""
    except OSError:
        return ""


def _nobody(line: str) -> None:
    """The package manager's output stands in its error when it fails."""


def _steps_only(say: Say) -> Say:
    """mmdebstrap's own steps, out of all that is printed while it works."""

    def tell(line: str) -> None:
        if line.startswith("I: ") and line.endswith("..."):
            say(f"  {line.removeprefix('I: ')}")

    return tell
