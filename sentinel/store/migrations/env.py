"""Alembic's entry: runs the migrations on the connection, and in the transaction, that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from sentinel.store.schema import metadata

# SQLite can take back DDL, which Alembic does not expect of it: a migration that fails leaves the store as it was.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
