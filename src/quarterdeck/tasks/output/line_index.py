"""Where lines begin in an output: a sparse index beside its files, which can be made anew at any time.

``<host>.lines`` holds a record of fixed size for about every 64 KiB of output: how much of both streams
had arrived, where their unfinished lines begin, how many lines had ended, and in what colours. The one
who writes the output writes it; whoever misses it makes it. Nothing depends on where its records lie.
"""

import logging
import os
import struct
from bisect import bisect_right
from pathlib import Path
from typing import Final

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.ansi import MARKS, Style
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.output.loglines import LineMaker, Place
from quarterdeck.tasks.output.record_file import RecordFile
from quarterdeck.tasks.output.stream_files import (
    FOR_EVER,
    SCANNED_BYTES,
    chunks_after,
    chunks_between,
    sizes_of,
)

logger = logging.getLogger(__name__)

STEP_BYTES: Final = 64 * 1024
_RECORD: Final = struct.Struct("<6Q2H4x")
"""Bytes arrived, bytes in whole lines, lines, each of both streams; the style of each. Never all zeros."""
RECORD_BYTES: Final = _RECORD.size


class LineIndex(RecordFile[Place]):
    """The records of one output whose streams have these sizes."""

    def __init__(self, base: Path, sizes: Sizes) -> None:
        super().__init__(base.with_name(f"{base.name}.lines"), RECORD_BYTES)
        self._sizes = sizes

    def unpack(self, content: bytes) -> Place:
        *numbers, out_style, err_style = _RECORD.unpack(content)
        arrived, whole, lines = (Sizes(*numbers[start : start + 2]) for start in (0, 2, 4))
        return Place(arrived, whole, lines, _style_of(out_style), _style_of(err_style))

    def is_true(self, record: Place) -> bool:
        arrived = record.arrived
        return arrived.total > 0 and arrived.out <= self._sizes.out and arrived.err <= self._sizes.err

    def last(self) -> Place:
        return self[len(self) - 1] if len(self) else Place()

    def before_line(self, line: int, stream: Stream | None) -> Place:
        """Return the last place at which the line (of one stream, or of both) had not ended yet."""
        found = bisect_right(self, line - 1, hi=len(self), key=lambda place: place.lines.of(stream))
        return self[found - 1] if found else Place()

    def before_byte(self, size: int, stream: Stream | None) -> Place:
        """Return the last place with no more than so many bytes (of one stream, or of both) before it."""
        found = bisect_right(self, size, hi=len(self), key=lambda place: place.arrived.of(stream))
        return self[found - 1] if found else Place()


def pack(place: Place) -> bytes:
    pairs = (place.arrived, place.whole, place.lines)
    numbers = [number for pair in pairs for number in (pair.out, pair.err)]
    return _RECORD.pack(*numbers, _style_number(place.out_style), _style_number(place.err_style))


def line_index_of(base: Path) -> LineIndex:
    return LineIndex(base, sizes_of(base))


def index_lines(base: Path) -> None:
    """Bring the index of lines to the end of an output that nobody writes."""
    with line_index_of(base) as index:
        place, size = index.last(), len(index) * RECORD_BYTES
    if sizes_of(base).total - place.arrived.total < 2 * STEP_BYTES:
        return
    try:
        _add_to_index(base, place, size)
    except OSError as error:
        logger.warning("%s.lines can't be written (%s); lines are counted anew each time", base, error)


def _add_to_index(base: Path, place: Place, size: int) -> None:
    maker = maker_at(base, place)
    with open(base.with_name(f"{base.name}.lines"), "ab", opener=_private) as file:
        file.truncate(size)
        for chunk in chunks_after(base, place.arrived, STEP_BYTES // 4, FOR_EVER):
            maker.skip(chunk.stream, chunk.data)
            if (here := maker.place).arrived.total - place.arrived.total >= STEP_BYTES:
                file.write(pack(here))
                place = here


def maker_at_end(base: Path, place: Place) -> LineMaker:
    """Return what has gone through all of an output, from a place in it on."""
    maker = maker_at(base, place)
    for chunk in chunks_after(base, place.arrived, SCANNED_BYTES, FOR_EVER):
        maker.skip(chunk.stream, chunk.data)
    return maker


def maker_at(base: Path, place: Place) -> LineMaker:
    """Return what makes lines from a place on, unfinished ones included."""
    maker = LineMaker(place)
    for stream in Stream:
        for chunk in chunks_between(base, stream, place.whole.of(stream), place.arrived.of(stream)):
            maker.skip(stream, chunk.data)
    return maker


def _style_number(style: Style) -> int:
    """Return a style in 16 bits: six marks, and five bits a colour, 0 for none."""
    marks = sum(1 << bit for bit, mark in enumerate(MARKS) if mark in style.marks)
    colours = (0 if colour is None else colour + 1 for colour in (style.foreground, style.background))
    return marks | next(colours) << 6 | next(colours) << 11


def _style_of(number: int) -> Style:
    foreground, background = number >> 6 & 31, number >> 11 & 31
    return Style(
        foreground=foreground - 1 if 1 <= foreground <= 16 else None,
        background=background - 1 if 1 <= background <= 16 else None,
        marks=frozenset(mark for bit, mark in enumerate(MARKS) if number >> bit & 1),
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
