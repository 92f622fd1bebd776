"""Alembic's entry: run the migrations on the connection that ``db/migrate.py`` hands over."""

from alembic import context

from volsnap.db import models

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=models.METADATA,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
