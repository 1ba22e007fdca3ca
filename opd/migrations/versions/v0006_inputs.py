# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts read, by its digest, and what OPKGs were answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column(
        "script_runs", sa.Column("inputs", sa.String(64), nullable=False, server_default="")
    )
    op.create_table(
        "answers",
        sa.Column("package", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("value", sa.Text(), nullable=False),
    )
