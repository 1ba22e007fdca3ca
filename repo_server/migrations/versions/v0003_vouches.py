# SPDX-License-Identifier: GPL-2.0-or-later
"""Which maintainer's key signed which package."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "vouches",
        sa.Column("sha256", sa.String, sa.ForeignKey("contents.sha256"), primary_key=True),
        sa.Column("fingerprint", sa.String, primary_key=True),
    )
