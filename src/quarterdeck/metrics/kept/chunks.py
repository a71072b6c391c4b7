"""Samples as they are stored: many of them in one compressed piece, column by column.

A chunk has a place for each of its steps, so a step without a sample is NaN and nothing has to say so. The
values are floats of 24 bits: 16 of them tell figures apart to 1 in 65,000, which is more than any figure is
worth, and whole numbers up to 65,536 stay whole.
"""

import sys
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import fsum, nan
from typing import Final, TypeAlias

from quarterdeck.metrics.figures import FIGURES

Values: TypeAlias = "array[float]"
"""All values of a chunk, as floats of 32 bits: one figure's line after the other."""
Summary = tuple[float, float, float]
"""Least, mean and most of some steps; all NaN when none of them has a value."""

NONE: Final[Summary] = (nan, nan, nan)
_FORMAT: Final = b"\x01"
_LEVEL: Final = 1
_WIDTH: Final = len(FIGURES)


@dataclass(frozen=True, slots=True)
class Step:
    """How finely samples are kept; all times are seconds since 1970, and chunks begin at multiples.

    ``lines`` is what is kept of each figure: its mean alone, or least, mean and most.
    """

    seconds: int
    chunk_seconds: int
    lines: int

    @property
    def slots(self) -> int:
        """How many steps a chunk holds."""
        return self.chunk_seconds // self.seconds

    def start_of(self, at: float) -> int:
        """Return when the chunk begins that a moment falls into."""
        return int(at // self.chunk_seconds) * self.chunk_seconds

    def starts(self, since: float, until: float) -> list[int]:
        """Return the beginnings of all chunks that hold something of a range."""
        return list(range(self.start_of(since), self.start_of(until) + 1, self.chunk_seconds))

    def columns(self, place: int) -> list[slice]:
        """Return where the lines of the figure at this place of FIGURES stand in a chunk."""
        first, slots = place * self.lines, self.slots
        return [slice(line * slots, (line + 1) * slots) for line in range(first, first + self.lines)]


FINE: Final = Step(15, 900, 1)
MEDIUM: Final = Step(300, 86_400, 3)
COARSE: Final = Step(3_600, 604_800, 3)
STEPS: Final = (FINE, MEDIUM, COARSE)
HOUR: Final = 3_600
"""Rolled up at a time: whole chunks of FINE become twelve steps of MEDIUM and one of COARSE."""


def empty(step: Step) -> Values:
    """Return a chunk without any sample."""
    return array("f", [nan]) * (_WIDTH * step.lines * step.slots)


def pack(values: Values) -> bytes:
    """Return a chunk as it is stored; of the four bytes of a value the least is rounded away."""
    raw = values.tobytes() if sys.byteorder == "little" else _swapped(values).tobytes()
    # One addition rounds all values at once (0.3 ms less a chunk of a day than one after the other): no
    # carry leaves its value, for not even NaN has all bits set.
    raw = (int.from_bytes(raw, "little") + _halves(len(raw))).to_bytes(len(raw) + 1, "little")[:-1]
    return _FORMAT + zlib.compress(raw[1::4] + raw[2::4] + raw[3::4], _LEVEL)


def unpack(packed: bytes, step: Step) -> Values:
    """Return a stored chunk; figures that it does not know yet are empty. Raises ValueError if damaged."""
    if packed[:1] != _FORMAT:
        raise ValueError("the chunk is of a format that is not known here")
    try:
        planes = zlib.decompress(packed[1:])
    except zlib.error as error:
        raise ValueError(f"the chunk is damaged: {error}") from error
    count, rest = divmod(len(planes), 3)
    if rest or count % (step.lines * step.slots):
        raise ValueError("the chunk is cut short")
    raw = bytearray(4 * count)
    raw[1::4], raw[2::4], raw[3::4] = planes[:count], planes[count : 2 * count], planes[2 * count :]
    values = array("f", bytes(raw))
    if sys.byteorder != "little":
        values = _swapped(values)
    wanted = _WIDTH * step.lines * step.slots
    return values[:wanted] + array("f", [nan]) * (wanted - len(values))


def fill(values: Values, others: Values) -> None:
    """Put into the empty places of a chunk what another one of the same steps has there."""
    for place, value in enumerate(values):
        if value != value:
            values[place] = others[place]


def summary(values: Sequence[float]) -> Summary:
    """Return least, mean and most of the values that are there."""
    known = [value for value in values if value == value]
    return (min(known), fsum(known) / len(known), max(known)) if known else NONE


def roll_up(hour: int, fine: dict[int, Values], medium: Values, coarse: Values) -> None:
    """Put what the fine chunks of an hour say into the chunks of its day and of its week.

    Steps without any sample stay as they are. Doing it again, also with more samples, does no harm.
    """
    per_step, slots = MEDIUM.seconds // FINE.seconds, range(HOUR // MEDIUM.seconds)
    first = (hour - MEDIUM.start_of(hour)) // MEDIUM.seconds
    place = (hour - COARSE.start_of(hour)) // COARSE.seconds
    for figure in range(_WIDTH):
        samples = _of_hour(hour, fine, figure)
        lines = MEDIUM.columns(figure)
        for slot in slots:
            found = summary(samples[slot * per_step : (slot + 1) * per_step])
            _put(medium, lines, first + slot, found)
        _put(coarse, COARSE.columns(figure), place, summary(samples))


def _of_hour(hour: int, fine: dict[int, Values], figure: int) -> Values:
    """Return a figure's samples of an hour."""
    column, nothing = FINE.columns(figure)[0], array("f", [nan]) * FINE.slots
    samples = array("f")
    for start in range(hour, hour + HOUR, FINE.chunk_seconds):
        samples += fine[start][column] if start in fine else nothing
    return samples


def _put(values: Values, lines: list[slice], slot: int, found: Summary) -> None:
    if found[1] == found[1]:
        for line, value in zip(lines, found, strict=True):
            values[line.start + slot] = value


@cache
def _halves(count: int) -> int:
    """Return half of the byte that goes, for each value of so many bytes."""
    return int.from_bytes(b"\x80\0\0\0" * (count // 4), "little")


def _swapped(values: Values) -> Values:
    other = values[:]
    other.byteswap()
    return other
