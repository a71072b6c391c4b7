"""Where lines begin in an output: a sparse index beside its files, which can be made anew at any time.

``<host>.lines`` holds a record of fixed size for about every 64 KiB of output: how much of both streams
had arrived, where their unfinished lines begin, how many lines had ended, and in what colours. The one
who writes the output writes it; whoever misses it makes it. Nothing depends on where its records lie.
"""

import os
import struct
from bisect import bisect_right
from pathlib import Path
from typing import Final, Self

from quarterdeck.tasks.ansi import MARKS, Style
from quarterdeck.tasks.chunks import Sizes
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.loglines import Place

STEP_BYTES: Final = 64 * 1024
_RECORD: Final = struct.Struct("<6Q2H4x")
"""Bytes arrived, bytes in whole lines, lines, each of both streams; the style of each. Never all zeros."""
RECORD_BYTES: Final = _RECORD.size


class LineIndex:
    """The records of one output as a sequence, read where they are needed."""

    def __init__(self, path: Path, sizes: Sizes) -> None:
        self._path, self._sizes = path, sizes
        self._file: int | None = None
        self._count = 0

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return self
        self._count = os.fstat(self._file).st_size // RECORD_BYTES
        while self._count and not self._is_true(self[self._count - 1]):
            self._count -= 1  # a power cut can leave zeros, or take away output that is counted here
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Place:
        if self._file is None or not 0 <= number < self._count:
            raise IndexError(number)
        return unpack(os.pread(self._file, RECORD_BYTES, number * RECORD_BYTES))

    def last(self) -> Place:
        return self[self._count - 1] if self._count else Place()

    def before_line(self, line: int, stream: Stream | None) -> Place:
        """Return the last place at which the line (of one stream, or of both) had not ended yet."""
        found = bisect_right(self, line - 1, hi=self._count, key=lambda place: place.lines.of(stream))
        return self[found - 1] if found else Place()

    def before_byte(self, size: int, stream: Stream | None) -> Place:
        """Return the last place with no more than so many bytes (of one stream, or of both) before it."""
        found = bisect_right(self, size, hi=self._count, key=lambda place: place.arrived.of(stream))
        return self[found - 1] if found else Place()

    def _is_true(self, place: Place) -> bool:
        arrived = place.arrived
        return arrived.total > 0 and arrived.out <= self._sizes.out and arrived.err <= self._sizes.err


def pack(place: Place) -> bytes:
    pairs = (place.arrived, place.whole, place.lines)
    numbers = [number for pair in pairs for number in (pair.out, pair.err)]
    return _RECORD.pack(*numbers, _style_number(place.out_style), _style_number(place.err_style))


def unpack(content: bytes) -> Place:
    *numbers, out_style, err_style = _RECORD.unpack(content)
    arrived, whole, lines = (Sizes(*numbers[start : start + 2]) for start in (0, 2, 4))
    return Place(arrived, whole, lines, _style_of(out_style), _style_of(err_style))


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
