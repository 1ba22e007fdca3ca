# SPDX-License-Identifier: GPL-2.0-or-later
"""Run by alembic: the connection is handed over by `repo_server.schema`."""

from __future__ import annotations

from alembic import context

from repo_server.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
