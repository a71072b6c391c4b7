"""Finding in a whole output: lines that hold a text, and the first one that looks like an error.

Both look at the text as it is shown: without escape sequences and without what a carriage return had
overwritten. They stop after a while and say from which line to go on.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.ansi import Line, Span, shown_text
from quarterdeck.tasks.output.loglines import LINE_LIMIT, LineMaker, LogLine
from quarterdeck.tasks.output.store import OutputStore

MOST_FOUND: Final = 1000
MOST_SECONDS: Final = 1.5
_PIECE_BYTES: Final = 256 * 1024
_LONGEST_PIECE: Final = 4 * 1024 * 1024
"""Of a line that is longer, only what is shown of it is kept while its end is looked for."""
_ERRORS: Final = ("error", "failed", "failure", "fatal", "panic", "traceback", "exception")
_ERROR: Final = re.compile(rf"\b(?:{'|'.join(_ERRORS)})\b")


@dataclass(frozen=True, slots=True)
class Needle:
    """A text to look for, letter for letter; without ``is_exact`` capitals don't count."""

    text: str
    is_exact: bool = False

    def folded(self, text: str) -> str:
        return text if self.is_exact else _lower(text)

    def marked(self, line: LogLine) -> LogLine:
        """Return a line with its spans cut so that each place of the text is one with the class ``hit``."""
        text = self.folded("".join(span.text for span in line.spans))
        places = list(_places(text, self.folded(self.text)))
        if not places:
            return line
        return LogLine(line.stream, tuple(_with_hits(line.spans, places)), line.at)


@dataclass(frozen=True, slots=True)
class Found:
    """Numbers of lines, and from which line to go on looking; None when that was all."""

    lines: tuple[int, ...]
    next: int | None


class Finder:
    """Goes through the output of one host, of both streams or of one."""

    def __init__(
        self,
        output: OutputStore,
        run: str,
        host: str,
        stream: Stream | None = None,
        *,
        seconds: float = MOST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output, self._run, self._host, self._stream = output, run, host, stream
        self._seconds, self._clock = seconds, clock

    def find(self, needle: Needle, first: int = 1, most: int = MOST_FOUND) -> Found:
        """Return the lines from ``first`` on that hold the text."""
        wanted = needle.folded(needle.text)
        return self._search(first, most, lambda text: _lines_with(needle.folded(text), wanted))

    def first_error(self, first: int = 1) -> Found:
        """Return the first line that looks like an error: any of standard error, or one with such a word."""
        until = self._first_of_err(first) if self._stream is not Stream.OUT else None
        if self._stream is Stream.ERR:
            return Found((until,) if until else (), None)
        found = self._search(first, 1, _lines_with_errors, until)
        if until and not found.lines and found.next is None:
            return Found((until,), None)
        return Found(found.lines, None if found.lines else found.next)

    def _search(
        self, first: int, most: int, lines_in: Callable[[str], Iterator[int]], until: int | None = None
    ) -> Found:
        ends_at = self._clock() + self._seconds
        found: list[int] = []
        for piece in self._pieces(first):
            for line in (piece.number + index for index in lines_in(piece.text)):
                if until is not None and line >= until:
                    return Found(tuple(found), None)
                if line >= first:
                    if len(found) == most:
                        return Found(tuple(found), line)
                    found.append(line)
            if until is not None and piece.following >= until:
                break
            if self._clock() > ends_at and piece.following > first:
                return Found(tuple(found), piece.following)
        return Found(tuple(found), None)

    def _first_of_err(self, first: int) -> int | None:
        """Return the number, counted as this finder does, of standard error's first line from a line on."""
        with self._output.line_index(self._run, self._host) as index:
            place = index.before_line(first, self._stream)
            if place.lines.err == 0:
                place = index.before_line(1, Stream.ERR)
        maker = self._output.maker_at(self._run, self._host, place)
        for chunk in self._output.chunks_from(self._run, self._host, place.arrived, self._stream):
            ends = chunk.data.count(b"\n")
            before = maker.lines.of(self._stream)
            if chunk.stream is Stream.ERR and ends and before + ends >= first:
                return max(before + 1, first)
            maker.skip(chunk.stream, chunk.data)
        return None

    def _pieces(self, first: int) -> Iterator["_Piece"]:
        with self._output.line_index(self._run, self._host) as index:
            place = index.before_line(first, self._stream)
        begun = {stream: _Begun() for stream in Stream}
        for stream in Stream:
            for data in self._output.bytes_of(
                self._run, self._host, stream, place.whole.of(stream), place.arrived.of(stream)
            ):
                begun[stream].plus(data)
        number, gathered, size = place.lines.of(self._stream) + 1, [], 0
        for chunk in self._output.scan(self._run, self._host, place.arrived, self._stream):
            lines = begun[chunk.stream].plus(chunk.data)
            gathered.append(lines)
            size += len(lines)
            if size >= _PIECE_BYTES:
                piece = _piece(number, gathered)
                yield piece
                number, gathered, size = piece.following, [], 0
        yield _piece(number, gathered)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Whole lines as they are shown, many at once; ``number`` is that of the first."""

    number: int
    text: str
    following: int


def _piece(number: int, gathered: list[bytes]) -> _Piece:
    text = _capped(b"".join(gathered))
    return _Piece(number, text, number + text.count("\n"))


class _Begun:
    """What one stream has begun and not ended, in bounded memory."""

    def __init__(self) -> None:
        self._rest = b""
        self._long: LineMaker | None = None

    def plus(self, data: bytes) -> bytes:
        """Return the lines that these bytes end."""
        ended = b""
        if self._long is not None and b"\n" in data:
            first = data.index(b"\n") + 1
            ended = text_of(self._long.take(Stream.OUT, data[:first])[0].spans).encode() + b"\n"
            self._long, data = None, data[first:]
        if self._long is not None:
            self._long.skip(Stream.OUT, data)
            return ended
        if end := data.rfind(b"\n") + 1:
            ended += self._rest + data[:end]
            self._rest = b""
        self._rest += data[end:]
        if len(self._rest) > _LONGEST_PIECE:
            self._long = LineMaker()
            self._long.skip(Stream.OUT, self._rest)
            self._rest = b""
        return ended


def text_of(spans: Iterable[Span]) -> str:
    return "".join(span.text for span in spans)


def _capped(lines: bytes) -> str:
    """Return the text of whole lines; long ones as far as they are shown."""
    if not _has_long_line(lines):
        return shown_text(lines)
    maker = LineMaker()
    return "".join(f"{text_of(line.spans)}\n" for line in maker.take(Stream.OUT, lines))


def _has_long_line(lines: bytes) -> bool:
    # A line beyond the limit fills at least one of these windows, which nearly always end at once.
    window = LINE_LIMIT // 2
    return any(
        lines.find(b"\n", start, start + window) < 0 for start in range(0, len(lines) - window + 1, window)
    )


def _lines_with(text: str, wanted: str) -> Iterator[int]:
    """Yield the indexes of the lines that hold a text."""
    line = start = 0
    while (place := text.find(wanted, start)) >= 0:
        line += text.count("\n", start, place)
        yield line
        start = text.find("\n", place) + 1
        line += 1
        if not start:
            return


def _lines_with_errors(text: str) -> Iterator[int]:
    lowered = text.lower()
    if not any(word in lowered for word in _ERRORS):
        return
    line = start = 0
    for match in _ERROR.finditer(lowered):
        if match.start() < start:
            continue
        line += lowered.count("\n", start, match.start())
        yield line
        start = lowered.find("\n", match.start()) + 1
        line += 1


def _lower(text: str) -> str:
    """Return a text in small letters, as long as before: a few capitals have a longer small form."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)


def _places(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    start = text.find(wanted)
    while start >= 0:
        yield start, start + len(wanted)
        start = text.find(wanted, start + len(wanted))


def _with_hits(spans: Iterable[Span], places: list[tuple[int, int]]) -> Line:
    marked: Line = []
    position = 0
    for span in spans:
        end = position + len(span.text)
        cuts = {position, end} | {cut for place in places for cut in place if position < cut < end}
        for start, stop in zip(sorted(cuts), sorted(cuts)[1:], strict=False):
            is_hit = any(first <= start and stop <= last for first, last in places)
            classes = f"{span.classes} hit".strip() if is_hit else span.classes
            marked.append(Span(span.text[start - position : stop - position], classes))
        position = end
    return marked
