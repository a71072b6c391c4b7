"""Output as lines for the screen: bytes of two streams in, lines of classed text out, never HTML.

A line belongs to the stream that printed it and comes in the order in which lines end. So line N of an
output is line N for ever, however its bytes were cut into chunks and wherever reading begins.
"""

import codecs
from collections.abc import Container, Iterable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.ansi import PLAIN, Line, Span, Style, render, shown_text, style_after
from quarterdeck.tasks.output.chunks import Sizes

LINE_LIMIT: Final = 64 * 1024
"""Bytes of a line that are shown. A line that was longer before its last carriage return is not cut."""
CUT_MARK: Final = " … line cut here, the download has all of it"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of one stream; ``at`` is when its end arrived, in milliseconds since 1970."""

    stream: Stream
    spans: tuple[Span, ...]
    at: int = 0

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of arrival from where lines can be made without reading what lies before."""

    arrived: Sizes = Sizes()
    whole: Sizes = Sizes()
    """Where in each stream the line begins that is not ended here."""
    lines: Sizes = Sizes()
    """How many lines of each stream have ended."""
    out_style: Style = PLAIN
    err_style: Style = PLAIN


class LineMaker:
    """Makes lines of chunks; each stream keeps its own unfinished line and its own colours.

    Begun at a place, it must be given first what each stream has between ``whole`` and ``arrived`` there.
    """

    def __init__(self, place: Place | None = None) -> None:
        place = place or Place()
        self._streams = {
            Stream.OUT: _Unfinished(place.whole.out, place.lines.out, place.out_style),
            Stream.ERR: _Unfinished(place.whole.err, place.lines.err, place.err_style),
        }

    @property
    def whole(self) -> Sizes:
        """How much of each stream has become whole lines."""
        return Sizes(self._streams[Stream.OUT].offset, self._streams[Stream.ERR].offset)

    @property
    def lines(self) -> Sizes:
        """How many lines of each stream have ended."""
        return Sizes(self._streams[Stream.OUT].lines, self._streams[Stream.ERR].lines)

    @property
    def place(self) -> Place:
        out, err = self._streams[Stream.OUT], self._streams[Stream.ERR]
        return Place(Sizes(out.arrived, err.arrived), self.whole, self.lines, out.style, err.style)

    def copy(self) -> "LineMaker":
        """Return one that goes on from here by itself."""
        twin = LineMaker()
        twin._streams = {stream: copy(unfinished) for stream, unfinished in self._streams.items()}
        return twin

    def take(self, stream: Stream, data: bytes, at: int = 0) -> list[LogLine]:
        """Return the lines that these bytes finish."""
        return [LogLine(stream, spans, at) for spans in self._streams[stream].take(data)]

    def skip(self, stream: Stream, data: bytes) -> None:
        """Take bytes without making lines of them; only count, and follow the colours."""
        for start in range(0, len(data), LINE_LIMIT):
            self._streams[stream].skip(data[start : start + LINE_LIMIT])

    def open_lines(self, streams: Container[Stream] = tuple(Stream)) -> list[LogLine]:
        """Return what has been begun but not ended, as it looks so far."""
        return [
            LogLine(stream, spans)
            for stream, unfinished in self._streams.items()
            if stream in streams and (spans := unfinished.peek())
        ]


class _Unfinished:
    """The line of one stream that has not ended; copied as it is, so nothing in it is changed in place."""

    def __init__(self, offset: int, lines: int, style: Style) -> None:
        self.offset = self.arrived = offset
        self.lines = lines
        self.style = style
        self._rest = b""
        self._long: _LongLine | None = None

    def take(self, data: bytes) -> Iterable[tuple[Span, ...]]:
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._keep(end)
            spans, self.style = self._shown()
            self._end()
            yield tuple(spans)
        self._keep(rest)

    def skip(self, data: bytes) -> None:
        """Take no more than a line may be long: so only the first line in it can be a long one."""
        first, last = data.find(b"\n"), data.rfind(b"\n")
        if first < 0:
            return self._keep(data)
        self._keep(data[:first])
        self.style = PLAIN if self._long else style_after(self._rest, self.style)
        self._end()
        middle = data[first + 1 : last + 1]
        self.style = style_after(middle, self.style)
        self.lines += middle.count(b"\n")
        self.arrived += len(middle)
        self.offset = self.arrived
        return self._keep(data[last + 1 :])

    def peek(self) -> tuple[Span, ...]:
        return tuple(self._shown()[0])

    def _keep(self, data: bytes) -> None:
        self.arrived += len(data)
        if self._long is None and self.arrived - self.offset > LINE_LIMIT:
            self._long, data, self._rest = _LongLine(), self._rest + data, b""
        if self._long is None:
            self._rest += data
        else:
            self._long = self._long.plus(data)

    def _shown(self) -> tuple[Line, Style]:
        """Return the line, and the style after it; a long line ends its colours."""
        if self._long is None:
            return render(self._rest.decode("utf-8", "replace"), self.style)
        return self._long.spans(), PLAIN

    def _end(self) -> None:
        self.arrived += 1
        self.offset = self.arrived
        self.lines += 1
        self._rest, self._long = b"", None


class _Version(NamedTuple):
    """What stands between two carriage returns, as far as it is kept."""

    text: bytes = b""
    is_cut: bool = False

    def plus(self, data: bytes) -> "_Version":
        room = LINE_LIMIT - len(self.text)
        if not data:
            return self
        return _Version(self.text + data[:room] if room else self.text, self.is_cut or len(data) > room)

    @property
    def is_seen(self) -> bool:
        return bool(self.text) and bool(shown_text(self.text).strip("\n"))


class _LongLine(NamedTuple):
    """A line beyond the limit, in bounded memory: its last version that shows something, and the next one.

    Progress bars have no line ends: of them this keeps what a terminal would show.
    """

    shown: _Version = _Version()
    current: _Version = _Version()

    def plus(self, data: bytes) -> "_LongLine":
        first, *later = data.split(b"\r")
        current = self.current.plus(first)
        if not later:
            return _LongLine(self.shown, current)
        begun = _Version().plus(later.pop())
        for content in reversed(later):
            if (version := _Version().plus(content)).is_seen:
                return _LongLine(version, begun)
        return _LongLine(current if current.is_seen else self.shown, begun)

    def spans(self) -> Line:
        version = self.current if self.current.is_seen else self.shown
        # A character that the limit cuts in two is left out.
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(version.text, not version.is_cut)
        spans, _ = render(text)
        return [*spans, Span(CUT_MARK, "cut")] if version.is_cut else spans


def as_wire(lines: Iterable[LogLine]) -> list[list[object]]:
    """Return lines as JSON carries them: stream, pairs of text and classes, and when the end arrived."""
    return [[str(line.stream), [[span.text, span.classes] for span in line.spans], line.at] for line in lines]
