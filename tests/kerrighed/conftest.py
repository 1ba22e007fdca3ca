# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import ctypes

import pytest

from tests.kerrighed.plain import Wire, compiled
from tests.opkg_specs.conftest import sandbox, stage, tools

__all__ = ["sandbox", "stage", "tools"]  # fixtures: a machine for scripts


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def wire(plain: ctypes.CDLL) -> Wire:
    return Wire(plain=plain)
