"""What the files of an output hold, read in the order of its arrival.

``<host>.out`` and ``<host>.err`` hold exactly the bytes of each stream; ``arrivals.py`` tells their order.
Whatever a crash leaves is readable: bytes without a record count as a last chunk. ``base`` is the path of
an output's files without their suffix.
"""

import os
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.arrivals import Arrival, ArrivalIndex
from quarterdeck.tasks.output.chunks import Chunk, Sizes

TOGETHER_BYTES: Final = 64 * 1024
TOGETHER_MICROSECONDS: Final = 100_000
"""Neighbours of one stream that came within this time are one chunk; its time is the first one's."""
SCANNED_BYTES: Final = 1 << 20
FOR_EVER: Final = 1 << 62
_SETTLED_SECONDS: Final = 2
"""A chunk younger than this may still get its record; older bytes without one will never have it."""


def chunks_up_to(base: Path, seen: Sizes, limit_bytes: int) -> list[Chunk]:
    """Return what came after the bytes already seen, up to a limit."""
    found: list[Chunk] = []
    room = limit_bytes
    with ArrivalIndex(base) as index:
        joined = _joined(_arrivals_after(base, index, seen), TOGETHER_BYTES, TOGETHER_MICROSECONDS)
        for chunk in _read_all(base, joined, seen, min(limit_bytes, SCANNED_BYTES)):
            found.append(Chunk(chunk.stream, chunk.offset, chunk.data[:room], chunk.time))
            room -= len(chunk.data)
            if room <= 0:
                break
    return found


def chunks_after(base: Path, seen: Sizes, most_bytes: int, most_microseconds: int) -> Iterator[Chunk]:
    """Yield what came after the bytes already seen; neighbours joined up to a size and a time."""
    with ArrivalIndex(base) as index:
        joined = _joined(_arrivals_after(base, index, seen), most_bytes, most_microseconds)
        yield from _read_all(base, joined, seen, most_bytes)


def chunks_of(base: Path, stream: Stream, start: int) -> Iterator[Chunk]:
    """Yield the chunks of one stream; what the other one has between them is passed over."""
    with ArrivalIndex(base) as index:
        number = 0
        while True:
            if number >= len(index) or index[number].after().of(stream) <= start:
                number = bisect_right(
                    index, start, lo=number, hi=len(index), key=lambda record: record.after().of(stream)
                )
            if number >= len(index):
                break
            record = index[number]
            yield from _read_all(base, iter([record]), Sizes().plus(stream, start), TOGETHER_BYTES)
            start, number = record.offset + record.length, number + 1
    rest = (record for record in _with_rest(base, iter(()), Sizes(*([start] * 2))) if record.stream is stream)
    yield from _read_all(base, rest, Sizes().plus(stream, start), TOGETHER_BYTES)


def scan_of(base: Path, stream: Stream, start: int) -> Iterator[Chunk]:
    """Yield all of one stream that the index knows, without looking at the times."""
    with ArrivalIndex(base) as index:
        stop = index.last().of(stream)
    yield from chunks_between(base, stream, start, stop)


def _read_all(base: Path, records: Iterator[Arrival], seen: Sizes, most_bytes: int) -> Iterator[Chunk]:
    """Read what the records tell of, without what has been seen, in pieces of a size at most."""
    with ExitStack() as files:
        opened: dict[Stream, BinaryIO] = {}
        for record in records:
            if record.stream not in opened:
                path = base.with_name(f"{base.name}.{record.stream}")
                opened[record.stream] = files.enter_context(path.open("rb", buffering=0))
            start, end = max(record.offset, seen.of(record.stream)), record.offset + record.length
            while start < end:
                data = os.pread(opened[record.stream].fileno(), min(most_bytes, end - start), start)
                if not data:
                    break
                yield Chunk(record.stream, start, data, _moment(record.microseconds))
                start += len(data)


def _arrivals_after(base: Path, index: ArrivalIndex, seen: Sizes) -> Iterator[Arrival]:
    def has_more(arrival: Arrival) -> bool:
        after = arrival.after()
        return after.out > seen.out or after.err > seen.err

    start = bisect_left(index, True, key=has_more, hi=len(index))
    return _with_rest(base, index.records(start), seen)


def _with_rest(base: Path, records: Iterator[Arrival], seen: Sizes) -> Iterator[Arrival]:
    recorded = seen
    for record in records:
        recorded = record.after()
        yield record
    for stream in Stream:
        path = base.with_name(f"{base.name}.{stream}")
        offset = max(recorded.of(stream), seen.of(stream))
        if (size := size_of(path)) > offset:
            changed = path.stat().st_mtime
            if time.time() - changed >= _SETTLED_SECONDS:
                yield Arrival(stream, size - offset, offset, 0, int(changed * 1_000_000))


def _joined(records: Iterator[Arrival], most_bytes: int, most_microseconds: int) -> Iterator[Arrival]:
    """Make one record of neighbours of the same stream, up to a size and a length of time."""
    last: Arrival | None = None
    for record in records:
        if (
            last
            and last.stream is record.stream
            and last.length + record.length <= most_bytes
            and record.microseconds - last.microseconds < most_microseconds
        ):
            last = Arrival(
                last.stream, last.length + record.length, last.offset, last.position, last.microseconds
            )
            continue
        if last:
            yield last
        last = record
    if last:
        yield last


def chunks_between(base: Path, stream: Stream, start: int, end: int) -> Iterator[Chunk]:
    """Yield a range of one stream, in large pieces that have no time."""
    if start < end:
        yield from _read_all(base, iter([Arrival(stream, end - start, start, 0, 0)]), Sizes(), SCANNED_BYTES)


def sizes_of(base: Path) -> Sizes:
    return Sizes(*(size_of(base.with_name(f"{base.name}.{stream}")) for stream in (Stream.OUT, Stream.ERR)))


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def read_bytes(path: Path, start: int, stop: int) -> bytes:
    if stop <= start:
        return b""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(stop - start) or b""
    except FileNotFoundError:
        return b""


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
