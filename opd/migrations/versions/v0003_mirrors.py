# SPDX-License-Identifier: GPL-2.0-or-later
"""Where else a repository's packages are to be had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "repositories", sa.Column("mirrors", sa.String(4096), nullable=False, server_default="")
    )
