# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of the first databases, which did not say which version they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0001"
down_revision = None
# Databases on servers came later, and have this from their first day.
_LONG = sa.Text().with_variant(LONGTEXT, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "repositories",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("url", sa.String(1024), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("root_sha256", sa.String(64), nullable=False),
    )
    op.create_table(
        "images",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("path", sa.String(1024), nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
    )
    op.create_table(
        "transactions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("command", _LONG, nullable=False),
        sa.Column("started", sa.String(32), nullable=False),
        sa.Column("ended", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("message", _LONG, nullable=False),
    )
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("transaction_id", sa.Integer, sa.ForeignKey("transactions.id"), nullable=False),
        sa.Column("place", sa.String(1024), nullable=False),
        sa.Column("package", sa.String(255), nullable=False),
        sa.Column("before", sa.String(255), nullable=False),
        sa.Column("after", sa.String(255), nullable=False),
    )
    op.create_table(
        "script_runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("transaction_id", sa.Integer, sa.ForeignKey("transactions.id"), nullable=False),
        sa.Column("place", sa.String(1024), nullable=False),
        sa.Column("opkg", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("script", sa.String(255), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("undone", sa.Boolean, nullable=False),
        sa.Column("started", sa.String(32), nullable=False),
        sa.Column("output", _LONG, nullable=False),
    )
