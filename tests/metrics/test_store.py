"""Chunks in a real database, and how the others are told to write over them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect

from quarterdeck.core.db import Database
from quarterdeck.metrics.kept import store
from quarterdeck.metrics.kept.chunks import COARSE, FINE, MEDIUM, empty, pack
from tests.metrics.factories import NOON, open_database

START = int(NOON)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/samples.db")
    yield database
    database.close()


def some(value: float) -> bytes:
    values = empty(FINE)
    values[0] = value
    return pack(values)


def test_a_chunk_written_again_takes_the_place_of_the_first(database: Database) -> None:
    for value in (1.0, 2.0):
        with database.write() as session:
            store.write(session, [store.Packed(FINE, "h1", START, some(value), is_open=True)])
    with database.read() as session:
        found = store.fetch(session, FINE, [START], ["h1"])
        assert [values[0] for values in found.values()] == [2.0]
        assert store.open_keys(session, START + 1, 9) == [("h1", START)]


def test_steps_hosts_and_times_are_kept_apart(database: Database) -> None:
    keys = [(host, start) for host in ("h1", "h2") for start in (START, START + FINE.chunk_seconds)]
    with database.write() as session:
        store.write(session, [store.Packed(FINE, host, start, some(3.0)) for host, start in keys])
        store.write(session, [store.Packed(COARSE, "h1", START, pack(empty(COARSE)))])
    with database.read() as session:
        found = store.fetch(session, FINE, [START, START + FINE.chunk_seconds], ["h1", "h2"])
        assert sorted(found) == sorted(keys)
        assert list(store.fetch(session, FINE, [START], ["h2"])) == [("h2", START)]
        assert store.host_ids(session) == {"h1", "h2"}


def test_more_hosts_than_fit_into_one_query(database: Database) -> None:
    hosts = [f"host-{number:04}" for number in range(1_500)]
    with database.write() as session:
        store.write(session, [store.Packed(FINE, host, START, some(1.0), is_open=True) for host in hosts])
    with database.read() as session:
        assert len(store.fetch(session, FINE, [START], hosts)) == 1_500
    with database.write() as session:
        store.close(session, [START], hosts)
    with database.read() as session:
        assert store.open_keys(session, START + 1, 5) == []


def test_a_damaged_chunk_is_told_and_left_out(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with database.write() as session:
        store.write(session, [store.Packed(FINE, "h1", START, b"\x01damaged")])
        store.write(session, [store.Packed(FINE, "h2", START, some(1.0))])
    with database.read() as session:
        assert list(store.fetch(session, FINE, [START], ["h1", "h2"])) == [("h2", START)]
    assert "can't be read" in caplog.text


def test_what_waits_to_be_rolled_up_is_not_dropped(database: Database) -> None:
    with database.write() as session:
        store.write(session, [store.Packed(FINE, "h1", START, some(1.0), is_open=True)])
        store.write(session, [store.Packed(FINE, "h2", START, some(1.0))])
        store.drop(session, FINE, START)
    with database.read() as session:
        assert store.host_ids(session) == {"h1"}
        assert store.oldest(session, MEDIUM) is None
    with database.write() as session:
        store.drop_host(session, "h1")
    with database.read() as session:
        assert store.oldest(session, FINE) is None


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        (sqlite.dialect, "ON CONFLICT (step_seconds, start, host_id) DO UPDATE SET"),
        (postgresql.dialect, "ON CONFLICT (step_seconds, start, host_id) DO UPDATE SET"),
        (mysql.dialect, "ON DUPLICATE KEY UPDATE"),
    ],
)
def test_writing_again_is_put_in_the_words_of_each_database(dialect: type[Dialect], words: str) -> None:
    made = dialect()
    statement = str(store._upsert(made.name).compile(dialect=made))
    assert words in statement
    assert statement.count("samples = ") == 1, "the new samples take the place of the old"
