"""Brings the database to the shape that this version needs; run at every start.

The versions are named ``NNNN_<sentence>.py``, forward only, and safe while the old program still runs.
"""

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from quarterdeck.core.db import Database
from quarterdeck.core.security import private_file

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER: Final = Path(__file__).parent


def newest_version() -> str:
    """Return the id of the newest migration: the number that its file's name begins with."""
    return max(path.stem[:4] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def migrate(database: Database, lock: Path) -> None:
    """Apply what is missing; processes that start together take turns by the lock file."""
    if _stored_version(database) == newest_version():
        return  # the usual start: Alembic, which takes 150 ms to import, isn't needed
    with private_file(lock).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _upgrade(database)


def _stored_version(database: Database) -> str | None:
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(database: Database) -> None:
    from alembic import command

    with database.engine.connect() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def alembic_config() -> "Config":
    """Return the configuration that Alembic's commands need; there is no ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    return config
