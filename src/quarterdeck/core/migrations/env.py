"""Alembic's entry point; the caller hands the connection (and, to compare, the metadata) over."""

from alembic import context
from sqlalchemy import MetaData

config = context.config
metadata: MetaData | None = config.attributes.get("metadata")

context.configure(
    connection=config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
