"""A database with all tables, quickly: they are made once a process and copied into each new file."""

import sqlite3
from functools import lru_cache

from quarterdeck.core.db import Base, Database


def make_tables(database: Database) -> None:
    """Make what the models need in a database; what is there already stays."""
    path = database.engine.url.database or ""
    if database.engine.dialect.name != "sqlite":
        Base.metadata.create_all(database.engine)
        return
    file = sqlite3.connect(path)
    try:
        if not file.execute("SELECT 1 FROM sqlite_master").fetchone():
            file.executescript(_statements(len(Base.metadata.tables)))
    finally:
        file.close()


@lru_cache
def _statements(_tables: int) -> str:
    """Return what makes the tables, in one transaction; their number says when more models are loaded."""
    memory = Database("sqlite://")
    Base.metadata.create_all(memory.engine)
    with memory.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    memory.close()
    body = ";\n".join(row[0] for row in rows)
    return f"PRAGMA synchronous=OFF;\nBEGIN;\n{body};\nCOMMIT;"
