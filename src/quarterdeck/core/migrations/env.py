"""Alembic's entry point; the caller hands the connection (and, to compare, the metadata) over."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import MetaData

from quarterdeck.core.db import UtcTime

config = context.config
metadata: MetaData | None = config.attributes.get("metadata")


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:  # Any: as Alembic hands it
    """Write a column type as what it is in the database; a migration imports nothing of ours."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcTime) else False


context.configure(
    connection=config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=render_item,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
