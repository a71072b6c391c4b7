"""The output of runs in append-only files: two streams apart, and the order in which they came.

``<run>/<host>.out`` and ``<host>.err`` hold exactly the bytes of each stream. ``<host>.idx`` holds a
record of fixed size for each chunk. A chunk is written before its record, so whatever a crash
leaves is readable: bytes without a record count as a last chunk, a torn or empty record as none.
"""

import os
import re
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Self

from quarterdeck.core.errors import Busy, NotFound
from quarterdeck.core.security import private_directory
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.index_record import ERR, OUT, RECORD

_RUN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,199}\Z")
_CODES: Final = {Stream.OUT: OUT, Stream.ERR: ERR}
_STREAMS: Final = {code: stream for stream, code in _CODES.items()}
_MAX_CHUNK: Final = 1 << 30
_SETTLED_SECONDS: Final = 2
"""A chunk younger than this may still get its record; older bytes without one will never have it."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many bytes of each stream there are, or have been read."""

    out: int = 0
    err: int = 0

    @property
    def total(self) -> int:
        return self.out + self.err

    def of(self, stream: Stream) -> int:
        return self.out if stream is Stream.OUT else self.err

    def plus(self, stream: Stream, length: int) -> "Sizes":
        if stream is Stream.OUT:
            return Sizes(self.out + length, self.err)
        return Sizes(self.out, self.err + length)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one stream; ``offset`` is where it begins there, ``time`` when it arrived."""

    stream: Stream
    offset: int
    data: bytes
    time: datetime


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

    def __init__(self, folder: Path) -> None:
        self._folder = private_directory(folder)

    def writer(self, run: str, host: str) -> "OutputWriter":
        """Open the output of a run on a host, to begin it or to go on with it; one writer at a time."""
        base = self._base(run, host)
        private_directory(base.parent)
        return OutputWriter(base, self.sizes(run, host))

    def path(self, run: str, host: str, stream: Stream) -> Path:
        """Return the file of a stream, which may not be there yet; raises NotFound for a hostile name."""
        base = self._base(run, host)
        return base.with_name(f"{base.name}.{stream}")

    def sizes(self, run: str, host: str) -> Sizes:
        return Sizes(*(_size(self.path(run, host, stream)) for stream in (Stream.OUT, Stream.ERR)))

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

    def tail_chunks(self, run: str, host: str, limit_bytes: int) -> list[Chunk]:
        """Return the last bytes of both streams together, in the order of arrival."""
        first = self.sizes(run, host).total - limit_bytes
        with _Index(self._base(run, host)) as index:
            start = bisect_left(index, True, key=lambda record: record.position + record.length > first)
            seen = index[start - 1].after() if start else Sizes()
            chunks = _collect(self._base(run, host), index.records(start), seen, 1 << 62)
        return _keep_last(chunks, limit_bytes)

    def _base(self, run: str, host: str) -> Path:
        if not _RUN.match(run) or not _HOST.match(host):
            raise NotFound("There is no output under this name.")
        return self._folder / run / host


class OutputWriter:
    """Appends to the output of one run on one host; keeps its files open until it is closed."""

    def __init__(self, base: Path, sizes: Sizes) -> None:
        self._base = base
        self._sizes = sizes
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

    def append(self, stream: Stream, data: bytes) -> int:
        """Write the next bytes of a stream and return their offset; raises Busy when the disk refuses."""
        offset = self._sizes.of(stream)
        if not data:
            return offset
        self._write(stream, data)
        self._record(stream, len(data))
        return offset

    def close(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

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
    chunks: list[Chunk] = []
    room = limit_bytes
    with ExitStack() as files:
        opened: dict[Stream, BinaryIO] = {}
        for record in _joined(_with_rest(base, records, seen)):
            if record.stream not in opened:
                path = base.with_name(f"{base.name}.{record.stream}")
                opened[record.stream] = files.enter_context(path.open("rb"))
            start = max(record.offset, seen.of(record.stream))
            opened[record.stream].seek(start)
            data = opened[record.stream].read(max(0, min(record.offset + record.length - start, room)))
            if data:
                chunks.append(Chunk(record.stream, start, data, _moment(record.microseconds)))
                room -= len(data)
            if room <= 0:
                break
    return chunks


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


def _joined(records: Iterator[_Record]) -> Iterator[_Record]:
    """Make one record of neighbours of the same stream, up to 64 KiB."""
    last: _Record | None = None
    for record in records:
        if last and last.stream is record.stream and last.length + record.length <= 65536:
            last = _Record(
                last.stream, last.length + record.length, last.offset, last.position, last.microseconds
            )
            continue
        if last:
            yield last
        last = record
    if last:
        yield last


def _keep_last(chunks: list[Chunk], limit_bytes: int) -> list[Chunk]:
    surplus = sum(len(chunk.data) for chunk in chunks) - limit_bytes
    if surplus <= 0 or not chunks:
        return chunks
    kept = []
    for chunk in chunks:
        cut = min(max(surplus, 0), len(chunk.data))
        surplus -= cut
        if cut < len(chunk.data):
            kept.append(Chunk(chunk.stream, chunk.offset + cut, chunk.data[cut:], chunk.time))
    return kept


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
