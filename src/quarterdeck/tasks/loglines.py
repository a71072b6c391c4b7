"""Output as lines for the screen: bytes of two streams in, lines of classed text out, never HTML."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Final

from quarterdeck.tasks.ansi import PLAIN, Span, render
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output import Chunk, Sizes

LONGEST_LINE: Final = 64 * 1024
"""A longer line is shown as several; the file has it whole."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of one stream. An open line has no end yet: the next line of its stream takes its place."""

    stream: Stream
    spans: tuple[Span, ...]
    is_open: bool = False


class LineMaker:
    """Makes lines of chunks; each stream keeps its own unfinished line and its own colours."""

    def __init__(self, start: Sizes | None = None) -> None:
        start = start or Sizes()
        self._streams = {stream: _Unfinished(start.of(stream)) for stream in Stream}

    @property
    def whole(self) -> Sizes:
        """How much of each stream has become whole lines: where a reader goes on from."""
        return Sizes(self._streams[Stream.OUT].offset, self._streams[Stream.ERR].offset)

    def take(self, stream: Stream, data: bytes) -> list[LogLine]:
        """Return the lines that these bytes finish."""
        return [LogLine(stream, spans) for spans in self._streams[stream].take(data)]

    def open_lines(self, streams: Container[Stream] = tuple(Stream)) -> list[LogLine]:
        """Return what has been begun but not ended, as it looks so far."""
        return [
            LogLine(stream, spans, is_open=True)
            for stream, unfinished in self._streams.items()
            if stream in streams and (spans := unfinished.peek())
        ]


class _Unfinished:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._rest = b""
        self._style = PLAIN

    def take(self, data: bytes) -> Iterable[tuple[Span, ...]]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.offset += len(line) + 1
            yield self._painted(line)
        while len(self._rest) > LONGEST_LINE:
            part, self._rest = self._rest[:LONGEST_LINE], self._rest[LONGEST_LINE:]
            self.offset += len(part)
            yield self._painted(part)

    def peek(self) -> tuple[Span, ...]:
        return tuple(render(_text(self._rest), self._style)[0])

    def _painted(self, line: bytes) -> tuple[Span, ...]:
        spans, self._style = render(_text(line), self._style)
        return tuple(spans)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def lines_of(chunks: Iterable[Chunk], start: Sizes) -> tuple[list[LogLine], Sizes]:
    """Return the lines of chunks in their order of arrival, and up to where they are whole."""
    maker = LineMaker(start)
    lines = [line for chunk in chunks for line in maker.take(chunk.stream, chunk.data)]
    return lines + maker.open_lines(), maker.whole


def whole_lines_only(chunks: list[Chunk]) -> tuple[list[Chunk], Sizes]:
    """Cut from the front of a tail what is but the end of a line; return the rest and where it starts."""
    start: dict[Stream, int] = {}
    kept: list[Chunk] = []
    for chunk in chunks:
        if chunk.stream not in start and chunk.offset > 0:
            cut = chunk.data.find(b"\n") + 1  # 0 when there is no line end: then half a line is shown
            chunk = Chunk(chunk.stream, chunk.offset + cut, chunk.data[cut:], chunk.time)
        start.setdefault(chunk.stream, chunk.offset)
        kept.append(chunk)
    return kept, Sizes(start.get(Stream.OUT, 0), start.get(Stream.ERR, 0))


def as_wire(lines: Iterable[LogLine]) -> list[list[object]]:
    """Return lines as JSON carries them: stream, whether it is open, and pairs of text and classes."""
    return [
        [str(line.stream), line.is_open, [[span.text, span.classes] for span in line.spans]] for line in lines
    ]
