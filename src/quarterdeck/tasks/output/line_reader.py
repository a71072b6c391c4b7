"""Lines of one host's output by their numbers, wherever in it they are: read from the nearest known place."""

from dataclasses import dataclass
from typing import Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.chunks import Chunk
from quarterdeck.tasks.output.loglines import LineMaker, LogLine
from quarterdeck.tasks.output.store import OutputStore

MOST_BYTES: Final = 256 * 1024
"""Of output that goes into one block, so that a few endless lines don't make a page of megabytes."""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other; ``first`` is the number of the first one, counted from 1.

    ``open`` are lines that have not ended, only in a block that reaches the end. ``total`` lines have ended.
    """

    first: int
    lines: tuple[LogLine, ...]
    open: tuple[LogLine, ...]
    total: int

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


class LineReader:
    """Numbers the lines of both streams as they came, or, with a stream, those of it alone."""

    def __init__(self, output: OutputStore, run: str, host: str, stream: Stream | None = None) -> None:
        self._output, self._run, self._host = output, run, host
        self.stream = stream

    def total(self) -> int:
        """Count the lines that have ended."""
        return self._output.maker_at_end(self._run, self._host).lines.of(self.stream)

    def block(self, first: int, most_lines: int, most_bytes: int = MOST_BYTES) -> Block:
        """Return lines from a number on; fewer when they are long or the output ends."""
        first = max(1, first)
        with self._output.line_index(self._run, self._host) as index:
            place = index.before_line(first, self.stream)
        maker = self._output.maker_at(self._run, self._host, place)
        cutter = _Cutter(maker, self.stream, first, most_lines, most_bytes)
        for chunk in self._output.chunks_from(self._run, self._host, place.arrived, self.stream):
            if not cutter.take(chunk):
                return Block(first, tuple(cutter.lines), (), max(self.total(), first + len(cutter.lines) - 1))
        total = maker.lines.of(self.stream)
        streams = (self.stream,) if self.stream else tuple(Stream)
        return Block(min(first, total + 1), tuple(cutter.lines), tuple(maker.open_lines(streams)), total)

    def last_block(self, most_lines: int, most_bytes: int = MOST_BYTES) -> Block:
        """Return the last lines."""
        return self.block(self.first_of_last(most_lines, most_bytes), most_lines, most_bytes * 2)

    def first_of_last(self, most_lines: int, most_bytes: int = MOST_BYTES) -> int:
        """Return the number at which the last lines begin."""
        end = self._output.maker_at_end(self._run, self._host)
        with self._output.line_index(self._run, self._host) as index:
            near = index.before_byte(end.place.arrived.of(self.stream) - most_bytes, self.stream)
        return max(1, end.lines.of(self.stream) - most_lines + 1, near.lines.of(self.stream) + 1)


class _Cutter:
    """Takes chunks from a place on: passes over the lines before the first one, then keeps so many."""

    def __init__(
        self, maker: LineMaker, stream: Stream | None, first: int, most_lines: int, most_bytes: int
    ) -> None:
        self.lines: list[LogLine] = []
        self._maker, self._stream, self._first = maker, stream, first
        self._most_lines, self._most_bytes = most_lines, most_bytes
        self._taken_bytes = 0

    def take(self, chunk: Chunk) -> bool:
        """Return False once a line has ended for which there is no room."""
        data, at = chunk.data, round(chunk.time.timestamp() * 1000)
        before = self._first - 1 - self._maker.lines.of(self._stream)
        passed = _end_of_line(data, before) if before > 0 else 0
        self._maker.skip(chunk.stream, data[:passed])
        data = data[passed:]
        room = 0 if self._is_full else self._most_lines - len(self.lines)
        end = _end_of_line(data, room)
        self.lines += self._maker.take(chunk.stream, data[:end], at)
        self._taken_bytes += end
        if b"\n" in data[end:]:
            return False
        self._maker.skip(chunk.stream, data[end:])
        return True

    @property
    def _is_full(self) -> bool:
        return self._taken_bytes > self._most_bytes and bool(self.lines)


def _end_of_line(data: bytes, count: int) -> int:
    """Return where so many lines of the data end, or its length when it has fewer."""
    if data.count(b"\n") < count:
        return len(data)
    end = 0
    for _ in range(count):
        end = data.index(b"\n", end) + 1
    return end
