# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of several files: Debian's source packages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "companions",
        sa.Column("package", sa.String, sa.ForeignKey("contents.sha256"), primary_key=True),
        sa.Column("path", sa.String, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
    )
    op.create_index("ix_companions_path", "companions", ["path"])
