import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from quarterdeck.core.db import Database, UtcTime


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcTime}  # noqa: RUF012 - SQLAlchemy's own way to declare it


class Counter(Base):
    __tablename__ = "counter"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]
    seen_at: Mapped[datetime | None]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'deck.db'}")
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


def test_times_come_back_aware_and_in_utc(db: Database) -> None:
    here = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    with db.write() as session:
        session.add_all([Counter(name="a", value=1, seen_at=here), Counter(name="b", value=1)])
    with db.read() as session:
        seen = {row.name: row.seen_at for row in session.scalars(select(Counter))}
    assert seen == {"a": datetime(2026, 2, 28, 23, 30, tzinfo=UTC), "b": None}


def test_an_error_undoes_the_whole_change(db: Database) -> None:
    def change() -> None:
        with db.write() as session:
            session.add(Counter(name="a", value=1))
            session.flush()
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError):
        change()
    with db.read() as session:
        assert session.get(Counter, "a") is None


def test_what_a_writer_read_stays_true_until_it_commits(db: Database) -> None:
    with db.write() as session:
        session.add(Counter(name="a", value=0))

    def count() -> None:
        for _ in range(20):
            with db.write() as session:
                counter = session.get_one(Counter, "a")
                counter.value += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as session:
        assert session.get_one(Counter, "a").value == 80


def test_readers_do_not_wait_for_a_writer(db: Database) -> None:
    with db.write() as writing:
        writing.add(Counter(name="a", value=1))
        writing.flush()
        with db.read() as reading:
            assert reading.get(Counter, "a") is None


def test_sqlite_is_durable_and_checks_references(db: Database) -> None:
    with db.read() as session:
        found = [
            session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]


def test_a_database_that_does_not_answer_is_not_ready(db: Database, tmp_path: Path) -> None:
    assert db.is_ready()
    gone = Database(f"sqlite:///{tmp_path}/nowhere/deck.db")
    assert not gone.is_ready()
    with pytest.raises(OperationalError), gone.read() as session:
        session.execute(text("SELECT 1"))
    gone.close()
