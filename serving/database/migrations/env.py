"""Alembic's entry: run the migrations on the connection that :mod:`serving.database.migrate` holds."""

from __future__ import annotations

from alembic import context

from serving.database.tables import Base


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise SystemExit("run migrations with: python -m serving migrate")
    context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


run()
