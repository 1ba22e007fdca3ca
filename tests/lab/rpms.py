# SPDX-License-Identifier: GPL-2.0-or-later
"""Write RPMs in process, from the files of a root."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import rpm_rs

from tests.lab.debroot import Entry


@dataclass(frozen=True, kw_only=True)
class Rpm:
    """An RPM to be: `files` are paths of the root it is taken from, those in `config` are marked
    %config(noreplace); `provides` are names with versions ("" for none). `triggers` are scripts
    that run after every transaction which puts something below their path."""

    name: str
    epoch: int = 0
    version: str
    release: str
    architecture: str
    summary: str
    description: str
    license: str
    requires: tuple[str, ...] = ()
    provides: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, Entry]
    config: frozenset[str] = frozenset()
    triggers: tuple[tuple[str, str], ...] = ()


def write_rpm(rpm: Rpm, root: Path, folder: Path, *, signer: rpm_rs.Signer, time: int) -> Path:
    """Write a signed RPM into `folder` and return its path. No file is newer than `time`.

    Version 4 of the format and a light zstd: what rpm 4.14 and later read, quickly made.
    """
    builder = rpm_rs.PackageBuilder(
        rpm.name, rpm.version, rpm.license, rpm.architecture, rpm.summary
    )
    builder.using_config(
        rpm_rs.BuildConfig(
            format=rpm_rs.RpmFormat.V4,
            compression=rpm_rs.CompressionType.Zstd,
            compression_level=3,
            source_date=time,
        )
    )
    builder.release(rpm.release)
    builder.description(rpm.description)
    builder.build_host("localhost")
    if rpm.epoch:
        builder.epoch(rpm.epoch)
    for name in rpm.requires:
        builder.requires(name)
    for name, version in rpm.provides:
        if version:
            builder.provides(name, version, rpm_rs.DependencyFlags.EQUAL)
        else:
            builder.provides(name)
    for prefix, script in rpm.triggers:
        builder.trans_file_trigger_in(prefix, script)
    for path, entry in sorted(rpm.files.items()):
        _add(builder, path, entry, root, config=path in rpm.config)
    return Path(builder.build_and_sign(signer).write_to(str(folder)))


def _add(
    builder: rpm_rs.PackageBuilder, path: str, entry: Entry, root: Path, *, config: bool
) -> None:
    options = rpm_rs.FileOptions
    owner = {"user": entry.user, "group": entry.group}
    permissions = stat.S_IMODE(entry.mode)
    if entry.target:
        builder.with_symlink(options.symlink(path, entry.target, **owner))
    elif entry.is_directory:
        builder.with_dir_entry(options.dir(path, permissions=permissions, **owner))
    else:
        how = {"permissions": permissions, "config": config, "noreplace": config}
        builder.with_file(f"{root}{path}", options.new(path, **how, **owner))
