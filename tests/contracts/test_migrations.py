from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import quarterdeck.access.models
import quarterdeck.hosts.models
import quarterdeck.metrics.alerts.models
import quarterdeck.metrics.kept.models
import quarterdeck.notify.models
import quarterdeck.tasks.models  # noqa: F401 - imported for their tables
from quarterdeck.core.db import Base, Database
from quarterdeck.core.migrations import migrate


def test_the_migrations_lead_to_the_models(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.db")
    migrate(database, tmp_path / "lock")
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    database.close()
    assert differences == []


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.db")
    migrate(database, tmp_path / "lock")
    before = (tmp_path / "new.db").read_bytes()
    migrate(database, tmp_path / "lock")
    assert (tmp_path / "new.db").read_bytes() == before
    database.close()
