"""Write the next migration from the difference between the models and the migrations so far.

Usage: .venv/bin/python scripts/new_migration.py "a host has a note"
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

import quarterdeck.access.models
import quarterdeck.hosts.models
import quarterdeck.notify.models
import quarterdeck.tasks.models  # noqa: F401 - imported for their tables
from quarterdeck.core.db import Base, Database
from quarterdeck.core.migrations import alembic_config, migrate, newest_version


def main(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/empty.db")
        try:
            number = int(newest_version()) + 1
            migrate(database, Path(folder) / "lock")
        except ValueError:
            number = 1
        config = alembic_config()
        slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")
        config.set_main_option("file_template", f"{number:04d}_{slug}")
        with database.engine.connect() as connection:
            config.attributes.update(connection=connection, metadata=Base.metadata)
            script = command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
    tidy(Path(script.path))


def tidy(path: Path) -> None:
    """Leave out Alembic's remarks and format the rest as all code is."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "# ###" not in line), encoding="utf-8")
    subprocess.run([Path(sys.executable).with_name("ruff"), "format", "--quiet", path], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
