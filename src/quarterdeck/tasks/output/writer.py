"""Appends to the files of an output: a chunk first, then its record, so that a crash leaves it readable."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from quarterdeck.core.errors import Busy
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.arrivals import Arrival, ArrivalIndex
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.output.index_record import RECORD
from quarterdeck.tasks.output.line_index import RECORD_BYTES, STEP_BYTES, line_index_of, maker_at_end, pack
from quarterdeck.tasks.output.loglines import LineMaker
from quarterdeck.tasks.output.stream_files import size_of

_MAX_CHUNK: Final = 1 << 30


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
        with line_index_of(self._base) as index:
            place, self._ends["lines"] = index.last(), len(index) * RECORD_BYTES
        path = self._base.with_name(f"{self._base.name}.lines")
        if size_of(path) > self._ends["lines"]:
            os.truncate(path, self._ends["lines"])
        self._lines, self._indexed = maker_at_end(self._base, place), place.arrived.total

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
        with ArrivalIndex(self._base) as records:
            recorded = records.last()
            self._ends["idx"] = len(records) * RECORD.size
        index = self._base.with_name(f"{self._base.name}.idx")
        if size_of(index) > self._ends["idx"]:
            os.truncate(index, self._ends["idx"])
        found, self._sizes = self._sizes, recorded
        for stream in Stream:
            self._record(stream, found.of(stream) - recorded.of(stream))

    def _record(self, stream: Stream, length: int) -> None:
        while length > 0:
            part = min(length, _MAX_CHUNK)
            now = time.time_ns() // 1000
            self._write("idx", Arrival(stream, part, self._sizes.of(stream), self._sizes.total, now).pack())
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
