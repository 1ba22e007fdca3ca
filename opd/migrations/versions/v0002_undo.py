# SPDX-License-Identifier: GPL-2.0-or-later
"""What is needed to undo a change: the generations of images, and what undid what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("transactions", sa.Column("undoes", sa.Integer, nullable=True))
    op.create_table(
        "image_states",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("transaction_id", sa.Integer, sa.ForeignKey("transactions.id"), nullable=False),
        sa.Column("image", sa.String(64), nullable=False),
        sa.Column("before", sa.String(16), nullable=False),
        sa.Column("after", sa.String(16), nullable=False),
    )
