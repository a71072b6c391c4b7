"""The output of runs in append-only files: two streams apart, and the order in which they came.

``<run>/<host>.out`` and ``<host>.err`` hold exactly the bytes of each stream. ``<host>.idx`` holds a
record of fixed size for each chunk. A chunk is written before its record, so whatever a crash
leaves is readable: bytes without a record count as a last chunk, a torn or empty record as none.
``<host>.lines`` says where lines begin (``line_index.py``); it can be deleted at any time.
"""

import logging
import os
import re
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Self

from quarterdeck.core.errors import Busy, NotFound
from quarterdeck.core.security import private_directory
from quarterdeck.tasks.chunks import Chunk as Chunk
from quarterdeck.tasks.chunks import Sizes as Sizes
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.index_record import ERR, OUT, RECORD
from quarterdeck.tasks.line_index import RECORD_BYTES, STEP_BYTES, LineIndex, pack
from quarterdeck.tasks.loglines import LineMaker, Place

logger = logging.getLogger(__name__)

DROPPED: Final = "output_dropped"
"""Among the details of a host: how many bytes came after its output was cut."""
_RUN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,199}\Z")
_CODES: Final = {Stream.OUT: OUT, Stream.ERR: ERR}
_STREAMS: Final = {code: stream for stream, code in _CODES.items()}
_MAX_CHUNK: Final = 1 << 30
_TOGETHER_BYTES: Final = 64 * 1024
_TOGETHER_MICROSECONDS: Final = 100_000
"""Neighbours of one stream that came within this time are one chunk; its time is the first one's."""
_SCANNED_BYTES: Final = 1 << 20
_FOR_EVER: Final = 1 << 62
_LOCKS: Final = 64
_SETTLED_SECONDS: Final = 2
"""A chunk younger than this may still get its record; older bytes without one will never have it."""


@dataclass(frozen=True, slots=True)
class _Record:
    stream: Stream
    length: int
    offset: int
    position: int
    microseconds: int

    def after(self) -> Sizes:
        """How much of each stream there was once this chunk had arrived."""
        end, other = self.offset + self.length, self.position - self.offset
        return Sizes(end, other) if self.stream is Stream.OUT else Sizes(other, end)


class OutputStore:
    """The output of all runs below one folder. Reading never locks and may happen while it is written."""

    def __init__(self, folder: Path, *, counts_lines: bool = False) -> None:
        """``counts_lines`` keeps an index of lines beside what is written: for those who show it."""
        self._folder = private_directory(folder)
        self._counts_lines = counts_lines
        self._written: set[Path] = set()
        """What has a writer, who alone adds to its index of lines."""
        self._indexing = [threading.Lock() for _ in range(_LOCKS)]

    def writer(self, run: str, host: str) -> "OutputWriter":
        """Open the output of a run on a host, to begin it or to go on with it; one writer at a time."""
        base = self._base(run, host)
        private_directory(base.parent)
        if not self._counts_lines:
            return OutputWriter(base, self.sizes(run, host))
        with self._lock_of(base):
            _index_lines(base)
            self._written.add(base)
        with ExitStack() as undo:
            undo.callback(self._written.discard, base)
            writer = OutputWriter(base, self.sizes(run, host), closed=self._written.discard)
            writer.count_lines()
            undo.pop_all()
        return writer

    def path(self, run: str, host: str, stream: Stream) -> Path:
        """Return the file of a stream, which may not be there yet; raises NotFound for a hostile name."""
        base = self._base(run, host)
        return base.with_name(f"{base.name}.{stream}")

    def sizes(self, run: str, host: str) -> Sizes:
        return _sizes(self._base(run, host))

    def read(self, run: str, host: str, stream: Stream, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from ``start`` up to ``end`` (excluded); empty when there are none."""
        path = self.path(run, host, stream)
        stop = _size(path) if end is None else end
        return _read_range(path, max(start, 0), stop)

    def chunks_after(self, run: str, host: str, seen: Sizes, limit_bytes: int) -> list[Chunk]:
        """Return what came after the bytes already seen, in the order of arrival, up to a limit."""
        with _Index(self._base(run, host)) as index:
            start = bisect_left(
                index, True, key=lambda record: _has_more(record.after(), seen), hi=len(index)
            )
            return _collect(self._base(run, host), index.records(start), seen, limit_bytes)

    def chunks_from(self, run: str, host: str, seen: Sizes, stream: Stream | None = None) -> Iterator[Chunk]:
        """Yield what came after the bytes already seen, in the order of arrival; of one stream or both."""
        base = self._base(run, host)
        if stream is not None:
            return _chunks_of(base, stream, seen.of(stream))
        return _chunks(base, seen, _TOGETHER_BYTES, _TOGETHER_MICROSECONDS)

    def scan(self, run: str, host: str, seen: Sizes, stream: Stream | None = None) -> Iterator[Chunk]:
        """Do the same in large pieces, whose times say little: for those who go through all of it."""
        base = self._base(run, host)
        if stream is not None:
            return _scan_of(base, stream, seen.of(stream))
        return _chunks(base, seen, _SCANNED_BYTES, _FOR_EVER)

    def bytes_of(self, run: str, host: str, stream: Stream, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of one stream from ``start`` up to ``end`` (excluded), in pieces."""
        for chunk in _range(self._base(run, host), stream, start, end):
            yield chunk.data

    def line_index(self, run: str, host: str) -> LineIndex:
        """Return the index of lines, to be opened by ``with``; made first where it is missing."""
        base = self._base(run, host)
        with self._lock_of(base):
            if base not in self._written:
                _index_lines(base)
        return _line_index(base)

    def maker_at(self, run: str, host: str, place: Place) -> LineMaker:
        """Return what makes lines from a place on."""
        return _maker_at(self._base(run, host), place)

    def maker_at_end(self, run: str, host: str) -> LineMaker:
        """Return what has gone through all of the output: it knows how many lines there are."""
        with self.line_index(run, host) as index:
            return _maker_at_end(self._base(run, host), index.last())

    def _lock_of(self, base: Path) -> threading.Lock:
        return self._indexing[hash(base) % len(self._indexing)]

    def _base(self, run: str, host: str) -> Path:
        if not _RUN.match(run) or not _HOST.match(host):
            raise NotFound("There is no output under this name.")
        return self._folder / run / host


class OutputWriter:
    """Appends to the output of one run on one host; keeps its files open until it is closed."""

    def __init__(self, base: Path, sizes: Sizes, closed: Callable[[Path], None] | None = None) -> None:
        self._base = base
        self._sizes = sizes
        self._closed = closed
        self._lines: LineMaker | None = None
        self._indexed = 0
        self._files: dict[str, int] = {}
        self._ends: dict[str, int] = {"out": sizes.out, "err": sizes.err}
        self._close_gaps()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sizes(self) -> Sizes:
        return self._sizes

    @property
    def lines(self) -> LineMaker | None:
        """What has gone through all that was written, when lines are counted."""
        return self._lines

    def count_lines(self) -> None:
        """Keep the index of lines from here on."""
        with _line_index(self._base) as index:
            place, self._ends["lines"] = index.last(), len(index) * RECORD_BYTES
        path = self._base.with_name(f"{self._base.name}.lines")
        if _size(path) > self._ends["lines"]:
            os.truncate(path, self._ends["lines"])
        self._lines, self._indexed = _maker_at_end(self._base, place), place.arrived.total

    def append(self, stream: Stream, data: bytes) -> int:
        """Write the next bytes of a stream and return their offset; raises Busy when the disk refuses."""
        offset = self._sizes.of(stream)
        if not data:
            return offset
        self._write(stream, data)
        self._record(stream, len(data))
        if self._lines is not None:
            self._lines.skip(stream, data)
            if self._sizes.total - self._indexed >= STEP_BYTES:
                self._write("lines", pack(self._lines.place))
                self._indexed = self._sizes.total
        return offset

    def close(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
        if self._closed is not None:
            self._closed(self._base)

    def _close_gaps(self) -> None:
        """Cut what is torn off the index and add records for bytes that have none."""
        with _Index(self._base) as records:
            recorded = records[len(records) - 1].after() if len(records) else Sizes()
            self._ends["idx"] = len(records) * RECORD.size
        index = self._base.with_name(f"{self._base.name}.idx")
        if _size(index) > self._ends["idx"]:
            os.truncate(index, self._ends["idx"])
        found, self._sizes = self._sizes, recorded
        for stream in Stream:
            self._record(stream, found.of(stream) - recorded.of(stream))

    def _record(self, stream: Stream, length: int) -> None:
        while length > 0:
            part = min(length, _MAX_CHUNK)
            place = (self._sizes.of(stream), self._sizes.total, time.time_ns() // 1000)
            self._write("idx", RECORD.pack(_CODES[stream], part, *place))
            self._sizes = self._sizes.plus(stream, part)
            length -= part

    def _write(self, suffix: str, data: bytes) -> None:
        descriptor = self._open(suffix)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            with suppress(OSError):  # the first error is the one to tell
                os.ftruncate(descriptor, self._ends[suffix])
            raise Busy(
                f"{self._base}.{suffix} can't be written ({error.strerror}); make room and run it again."
            ) from error
        self._ends[suffix] += len(data)

    def _open(self, suffix: str) -> int:
        if suffix not in self._files:
            path = self._base.with_name(f"{self._base.name}.{suffix}")
            try:
                self._files[suffix] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            except OSError as error:
                raise Busy(f"{path} can't be opened ({error.strerror}); check the folder.") from error
        return self._files[suffix]


class _Index:
    """The records of one output as a sequence, read where they are needed."""

    def __init__(self, base: Path) -> None:
        self._path = base.with_name(f"{base.name}.idx")
        self._file: int | None = None
        self._count = 0

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return self
        self._count = os.fstat(self._file).st_size // RECORD.size
        while self._count and not os.pread(self._file, 1, (self._count - 1) * RECORD.size)[0]:
            self._count -= 1  # a power cut can leave zeros at a file's end
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> _Record:
        if self._file is None or not 0 <= number < self._count:
            raise IndexError(number)
        return _unpack(os.pread(self._file, RECORD.size, number * RECORD.size))

    def records(self, start: int) -> Iterator[_Record]:
        """Yield the records from a number on, read in blocks."""
        while self._file is not None and start < self._count:
            block = os.pread(self._file, min(2048, self._count - start) * RECORD.size, start * RECORD.size)
            for position in range(0, len(block), RECORD.size):
                yield _unpack(block[position : position + RECORD.size])
            start += max(1, len(block) // RECORD.size)


def _unpack(content: bytes) -> _Record:
    code, *numbers = RECORD.unpack(content)
    return _Record(_STREAMS.get(code, Stream.OUT), *numbers)


def _has_more(after: Sizes, seen: Sizes) -> bool:
    return after.out > seen.out or after.err > seen.err


def _collect(base: Path, records: Iterator[_Record], seen: Sizes, limit_bytes: int) -> list[Chunk]:
    """Read the chunks of the records, neighbours of one stream joined, then bytes without a record."""
    joined = _joined(_with_rest(base, records, seen), _TOGETHER_BYTES, _TOGETHER_MICROSECONDS)
    chunks: list[Chunk] = []
    room = limit_bytes
    for chunk in _read_all(base, joined, seen, min(limit_bytes, _SCANNED_BYTES)):
        chunks.append(Chunk(chunk.stream, chunk.offset, chunk.data[:room], chunk.time))
        room -= len(chunk.data)
        if room <= 0:
            break
    return chunks


def _chunks(base: Path, seen: Sizes, most_bytes: int, most_microseconds: int) -> Iterator[Chunk]:
    with _Index(base) as index:
        start = bisect_left(index, True, key=lambda record: _has_more(record.after(), seen), hi=len(index))
        records = _with_rest(base, index.records(start), seen)
        yield from _read_all(base, _joined(records, most_bytes, most_microseconds), seen, most_bytes)


def _chunks_of(base: Path, stream: Stream, start: int) -> Iterator[Chunk]:
    """Yield the chunks of one stream; what the other one has between them is passed over."""
    with _Index(base) as index:
        number = 0
        while True:
            if number >= len(index) or index[number].after().of(stream) <= start:
                number = bisect_right(
                    index, start, lo=number, hi=len(index), key=lambda record: record.after().of(stream)
                )
            if number >= len(index):
                break
            record = index[number]
            yield from _read_all(base, iter([record]), Sizes().plus(stream, start), _TOGETHER_BYTES)
            start, number = record.offset + record.length, number + 1
    rest = (record for record in _with_rest(base, iter(()), Sizes(*([start] * 2))) if record.stream is stream)
    yield from _read_all(base, rest, Sizes().plus(stream, start), _TOGETHER_BYTES)


def _scan_of(base: Path, stream: Stream, start: int) -> Iterator[Chunk]:
    """Yield all of one stream that the index knows, without looking at the times."""
    with _Index(base) as index:
        stop = index[len(index) - 1].after().of(stream) if len(index) else 0
    yield from _range(base, stream, start, stop)


def _read_all(base: Path, records: Iterator[_Record], seen: Sizes, most_bytes: int) -> Iterator[Chunk]:
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


def _with_rest(base: Path, records: Iterator[_Record], seen: Sizes) -> Iterator[_Record]:
    recorded = seen
    for record in records:
        recorded = record.after()
        yield record
    for stream in Stream:
        path = base.with_name(f"{base.name}.{stream}")
        offset = max(recorded.of(stream), seen.of(stream))
        if (size := _size(path)) > offset:
            changed = path.stat().st_mtime
            if time.time() - changed >= _SETTLED_SECONDS:
                yield _Record(stream, size - offset, offset, 0, int(changed * 1_000_000))


def _joined(records: Iterator[_Record], most_bytes: int, most_microseconds: int) -> Iterator[_Record]:
    """Make one record of neighbours of the same stream, up to a size and a length of time."""
    last: _Record | None = None
    for record in records:
        if (
            last
            and last.stream is record.stream
            and last.length + record.length <= most_bytes
            and record.microseconds - last.microseconds < most_microseconds
        ):
            last = _Record(
                last.stream, last.length + record.length, last.offset, last.position, last.microseconds
            )
            continue
        if last:
            yield last
        last = record
    if last:
        yield last


def _line_index(base: Path) -> LineIndex:
    return LineIndex(base.with_name(f"{base.name}.lines"), _sizes(base))


def _index_lines(base: Path) -> None:
    """Bring the index of lines to the end of an output that nobody writes."""
    with _line_index(base) as index:
        place, size = index.last(), len(index) * RECORD_BYTES
    if _sizes(base).total - place.arrived.total < 2 * STEP_BYTES:
        return
    try:
        _add_to_index(base, place, size)
    except OSError as error:
        logger.warning("%s.lines can't be written (%s); lines are counted anew each time", base, error)


def _add_to_index(base: Path, place: Place, size: int) -> None:
    maker = _maker_at(base, place)
    with open(base.with_name(f"{base.name}.lines"), "ab", opener=_private) as file:
        file.truncate(size)
        for chunk in _chunks(base, place.arrived, STEP_BYTES // 4, _FOR_EVER):
            maker.skip(chunk.stream, chunk.data)
            if (here := maker.place).arrived.total - place.arrived.total >= STEP_BYTES:
                file.write(pack(here))
                place = here


def _maker_at_end(base: Path, place: Place) -> LineMaker:
    maker = _maker_at(base, place)
    for chunk in _chunks(base, place.arrived, _SCANNED_BYTES, _FOR_EVER):
        maker.skip(chunk.stream, chunk.data)
    return maker


def _maker_at(base: Path, place: Place) -> LineMaker:
    maker = LineMaker(place)
    for stream in Stream:
        for chunk in _range(base, stream, place.whole.of(stream), place.arrived.of(stream)):
            maker.skip(stream, chunk.data)
    return maker


def _range(base: Path, stream: Stream, start: int, end: int) -> Iterator[Chunk]:
    if start < end:
        yield from _read_all(base, iter([_Record(stream, end - start, start, 0, 0)]), Sizes(), _SCANNED_BYTES)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sizes(base: Path) -> Sizes:
    return Sizes(*(_size(base.with_name(f"{base.name}.{stream}")) for stream in (Stream.OUT, Stream.ERR)))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read_range(path: Path, start: int, stop: int) -> bytes:
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
