"""Run by Alembic. The caller gives the connection, inside a transaction that it commits or rolls back."""

from __future__ import annotations

from alembic import context

from app.store.database import VERSION_TABLE
from app.store.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite too: the connection starts its transactions itself
    render_as_batch=context.config.attributes["connection"].dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
