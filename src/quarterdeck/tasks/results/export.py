"""The results of a run as CSV and JSON: one row a host, as many as a run may have."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from quarterdeck.history.texts import guarded_cell, visible
from quarterdeck.tasks.records import RunHostRecord, RunRecord
from quarterdeck.tasks.results.selection import seconds_of

Row = dict[str, Any]  # Any: what JSON holds
COLUMNS: Final = (
    "run", "host", "kind", "state", "exit_status", "started_at", "finished_at", "seconds",
    "out_bytes", "err_bytes", "out_hash", "err_hash", "gone", "message",
)  # fmt: skip


def rows_of(run: RunRecord, hosts: Iterable[RunHostRecord]) -> list[Row]:
    """Return a row for each host, with the columns in their order."""
    return [_row(run.id, host) for host in hosts]


def _row(run_id: str, host: RunHostRecord) -> Row:
    seconds = seconds_of(host)
    return {
        "run": run_id,
        "host": host.name,
        "kind": host.kind,
        "state": str(host.state),
        "exit_status": host.exit_status,
        "started_at": host.started_at.isoformat() if host.started_at else None,
        "finished_at": host.finished_at.isoformat() if host.finished_at else None,
        "seconds": None if seconds is None else round(seconds, 3),
        "out_bytes": host.out_bytes,
        "err_bytes": host.err_bytes,
        "out_hash": host.out_hash,
        "err_hash": host.err_hash,
        "gone": host.gone,
        "message": host.message,
    }


def as_csv(rows: Iterable[Row]) -> str:
    """Return CSV with a line of names first; no cell can become a formula or drive a terminal."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[column]) for column in COLUMNS] for row in rows)
    return buffer.getvalue()


def as_json(rows: Iterable[Row]) -> bytes:
    """Return one JSON array with a host a line."""
    lines = [msgspec.json.encode(row) for row in rows]
    return b"[\n" + b",\n".join(lines) + b"\n]\n" if lines else b"[]\n"


def _cell(value: object) -> str:
    """Return a cell: numbers as they are, also negative ones, and any text harmless."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else guarded_cell(visible(str(value)))
