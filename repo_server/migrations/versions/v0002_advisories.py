# SPDX-License-Identifier: GPL-2.0-or-later
"""Advisories."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "advisories",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("since", sa.Integer),
        sa.Column("until", sa.Integer),
        sa.Column("leaving", sa.Boolean, nullable=False),
    )
    op.create_index("ix_advisories_name", "advisories", ["name"])
