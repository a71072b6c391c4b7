"""Queries over stored samples; callers bring the session and own the transaction."""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from quarterdeck.metrics.kept.chunks import FINE, Step, Values, unpack
from quarterdeck.metrics.kept.models import SampleChunk

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 400
"""Names in one query: SQLite of old takes 999."""

Key = tuple[str, int]
"""A host's id and the beginning of a chunk."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A row to write."""

    step: Step
    host_id: str
    start: int
    samples: bytes
    is_open: bool = False


def fetch(
    session: Session, step: Step, starts: Sequence[int], host_ids: Collection[str]
) -> dict[Key, Values]:
    """Return the chunks that there are of these hosts; damaged ones are told in the log and left out."""
    found: dict[Key, Values] = {}
    for some in _pieces(starts, host_ids):
        columns = select(SampleChunk.host_id, SampleChunk.start, SampleChunk.samples)
        rows = session.execute(
            columns.where(
                SampleChunk.step_seconds == step.seconds,
                SampleChunk.start.in_(starts),
                SampleChunk.host_id.in_(some),
            )
        )
        for row in rows:
            try:
                found[row.host_id, row.start] = unpack(row.samples, step)
            except ValueError as error:
                logger.warning("samples of %s from %d on can't be read: %s", row.host_id, row.start, error)
    return found


def write(session: Session, chunks: Iterable[Packed]) -> None:
    """Write chunks, over those that there are of the same hosts and times."""
    rows = [
        {
            "step_seconds": chunk.step.seconds,
            "start": chunk.start,
            "host_id": chunk.host_id,
            "is_open": chunk.is_open,
            "samples": chunk.samples,
        }
        for chunk in chunks
    ]
    if rows:
        session.execute(_upsert(session.get_bind().dialect.name), rows)


def open_keys(session: Session, before: int, limit: int) -> list[Key]:
    """Return the chunks that wait to be rolled up and begin before a moment, oldest first."""
    query = select(SampleChunk.host_id, SampleChunk.start).where(
        SampleChunk.is_open, SampleChunk.step_seconds == FINE.seconds, SampleChunk.start < before
    )
    rows = session.execute(query.order_by(SampleChunk.start, SampleChunk.host_id).limit(limit))
    return [(row.host_id, row.start) for row in rows]


def close(session: Session, starts: Collection[int], host_ids: Collection[str]) -> None:
    """Mark chunks as rolled up."""
    for some in _pieces(starts, host_ids):
        session.execute(
            update(SampleChunk)
            .where(
                SampleChunk.step_seconds == FINE.seconds,
                SampleChunk.start.in_(starts),
                SampleChunk.host_id.in_(some),
            )
            .values(is_open=False)
        )


def oldest(session: Session, step: Step) -> int | None:
    """Return the beginning of the oldest chunk, or None when there is none."""
    return session.scalar(select(func.min(SampleChunk.start)).where(SampleChunk.step_seconds == step.seconds))


def drop(session: Session, step: Step, start: int) -> None:
    """Remove the chunks of one beginning, but for those that still have to be rolled up."""
    session.execute(
        delete(SampleChunk).where(
            SampleChunk.step_seconds == step.seconds, SampleChunk.start == start, ~SampleChunk.is_open
        )
    )


def newest(session: Session, step: Step, host_id: str) -> tuple[int, Values] | None:
    """Return a host's newest chunk with its beginning, or None; a damaged one is passed over."""
    rows = session.execute(
        select(SampleChunk.start)
        .where(SampleChunk.step_seconds == step.seconds, SampleChunk.host_id == host_id)
        .order_by(SampleChunk.start.desc())
        .limit(1)
    )
    start = rows.scalar()
    values = fetch(session, step, [start], [host_id]) if start is not None else {}
    return (start, values[host_id, start]) if start is not None and values else None


def host_ids(session: Session) -> set[str]:
    """Return the hosts of which anything is stored; it looks through the whole index."""
    return set(session.scalars(select(SampleChunk.host_id).distinct()))


def drop_host(session: Session, host_id: str) -> None:
    """Remove all of a host: its keys are looked up in the index first, for no index begins with the host."""
    keys = session.execute(
        select(SampleChunk.step_seconds, SampleChunk.start).where(SampleChunk.host_id == host_id)
    ).all()
    for step_seconds, start in keys:
        session.execute(
            delete(SampleChunk).where(
                SampleChunk.step_seconds == step_seconds,
                SampleChunk.start == start,
                SampleChunk.host_id == host_id,
            )
        )


def _pieces(starts: Collection[int], host_ids: Collection[str]) -> Iterable[list[str]]:
    names = sorted(host_ids)
    size = max(1, _AT_ONCE - len(starts))
    return [names[first : first + size] for first in range(0, len(names), size)]


def _upsert(dialect: str) -> Any:  # Any: each dialect has its own kind of insert
    """Return the insert that writes over; of the dialects only the one in use is loaded: all are 4 MB."""
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql

        into = mysql.insert(SampleChunk)
        return into.on_duplicate_key_update(samples=into.inserted.samples, is_open=into.inserted.is_open)
    insert = _insert_of(dialect)(SampleChunk)
    return insert.on_conflict_do_update(
        index_elements=["step_seconds", "start", "host_id"],
        set_={"samples": insert.excluded.samples, "is_open": insert.excluded.is_open},
    )


def _insert_of(dialect: str) -> Any:  # Any: as above
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert
