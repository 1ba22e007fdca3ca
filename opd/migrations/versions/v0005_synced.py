# SPDX-License-Identifier: GPL-2.0-or-later
"""What was brought to each node last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for name, length in (("generation", 16), ("synced", 32)):
        op.add_column(
            "nodes", sa.Column(name, sa.String(length), nullable=False, server_default="")
        )
