"""Entries as CSV and as JSON, piece by piece, so that any number of them takes little memory."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from quarterdeck.history.lines import Entry
from quarterdeck.history.texts import guarded_cell, visible

COLUMNS: Final = (
    "time", "node", "seq", "id", "kind", "result", "actor", "address", "action", "object", "request", "pair",
    "detail", "prev", "hash",
)  # fmt: skip
_ROWS_AT_ONCE: Final = 200


def csv_of(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield CSV with a line of names first; no cell can become a formula or drive a terminal."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for number, entry in enumerate(entries, 1):
        writer.writerow([_cell(entry, column) for column in COLUMNS])
        if number % _ROWS_AT_ONCE == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def json_of(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield one JSON array with an entry a line, as it stands in the journal."""
    lines: list[bytes] = []
    before = b"[\n"
    for entry in entries:
        lines.append(before + msgspec.json.encode(entry))
        before = b",\n"
        if len(lines) == _ROWS_AT_ONCE:
            yield b"".join(lines)
            lines.clear()
    yield b"".join(lines) + (b"\n]\n" if before == b",\n" else b"[]\n")


def _cell(entry: Entry, column: str) -> str:
    value = getattr(entry, column)
    text = msgspec.json.encode(value).decode() if column == "detail" else str(value)
    return guarded_cell(visible(text))


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
