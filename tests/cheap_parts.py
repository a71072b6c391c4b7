"""A master's parts as many tests as like can make: hashing and migrating would take most of their time."""

import tempfile
from functools import cache, cached_property
from pathlib import Path

from sqlalchemy import make_url

from quarterdeck.access.service import Access
from quarterdeck.core.db import Database
from quarterdeck.core.migrations import migrate
from quarterdeck.core.security import private_file
from quarterdeck.master_parts import MasterParts
from tests.access.factories import CHEAP


class CheapParts(MasterParts):
    """A master whose passwords cost little, and whose database is a copy of one that was migrated before."""

    @cached_property
    def db(self) -> Database:
        file = Path(make_url(self.settings.database).database or "")
        if not file.exists():
            private_file(file).write_bytes(_migrated())
        database = Database(self.settings.database)
        migrate(database, self.settings.home / "migration.lock")
        return database

    @cached_property
    def access(self) -> Access:
        return Access(self.db, self.history, self.clock, self.settings, self.end_sockets, hash_cost=CHEAP)


@cache
def _migrated() -> bytes:
    """Return the file of a database with all tables and no rows but those of the migrations."""
    with tempfile.TemporaryDirectory() as name:
        database = Database(f"sqlite:///{name}/quarterdeck.db")
        migrate(database, Path(name) / "migration.lock")
        database.close()
        return (Path(name) / "quarterdeck.db").read_bytes()
