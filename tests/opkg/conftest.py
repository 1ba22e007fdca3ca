# SPDX-License-Identifier: GPL-2.0-or-later
"""What several tests of the shared language need."""

from __future__ import annotations

from importlib.resources import files

import pytest
from lxml import etree


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    """The schema of config.xml that is shipped."""
    return etree.XMLSchema(etree.fromstring(files("opkg").joinpath("opkg.xsd").read_bytes()))
