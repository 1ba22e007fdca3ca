# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opkg.errors import OpkgError
from opkg.version import Version, holds, satisfies

_upstream = st.from_regex(r"[0-9][A-Za-z0-9.+~]{0,6}(-[a-z0-9.]{1,3})?", fullmatch=True)
_release = st.from_regex(r"[A-Za-z0-9.+~]{1,5}", fullmatch=True)
versions = st.builds(Version, st.integers(0, 30), _upstream, _release)


@given(versions)
def test_a_version_is_read_back_as_it_was_written(version: Version) -> None:
    assert Version.parse(str(version)) == version


@pytest.mark.parametrize(
    "text", ["", "1.0", "v1-1", "1.0-", "-1", "1 .0-1", "x:1.0-1", "1.0-1/../x", "1.0-1\n", "1_0-1"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(OpkgError, match="is not a version"):
        Version.parse(text)


@settings(max_examples=25)
@given(versions, versions)
def test_order_is_that_of_dpkg(one: Version, other: Version) -> None:
    for relation, word in (("<", "lt"), ("=", "eq"), (">", "gt")):
        dpkg = subprocess.run(["dpkg", "--compare-versions", str(one), word, str(other)])
        assert holds(str(one), relation, str(other)) == (dpkg.returncode == 0)
    assert (one.rank < other.rank) == holds(str(one), "<", str(other))


def test_a_bound_without_release_speaks_of_upstream_alone() -> None:
    version = Version.parse("2.1-3")
    assert satisfies(version, "=", "2.1")
    assert not satisfies(version, "=", "2.1-4")
    assert satisfies(version, ">=", "2.1-3")
    assert not satisfies(version, ">", "2.1")
    assert satisfies(version, "", "")
