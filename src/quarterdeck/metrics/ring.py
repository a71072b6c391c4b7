"""The last samples of one host, in memory."""

import bisect
from array import array
from collections.abc import Iterator
from typing import Final

from quarterdeck.metrics.figures import FIGURES, Row

KEPT_SECONDS: Final = 600
_WIDTH: Final = len(FIGURES)


class Ring:
    """Samples of the last ten minutes, oldest first: 56 bytes each, so a host costs 34 KB at most.

    One thread writes; others read copies.
    """

    def __init__(self) -> None:
        self._times = array("d")
        self._values = array("f")

    def __len__(self) -> int:
        return len(self._times)

    def append(self, at: float, row: Row) -> None:
        """Add a sample; one that is not newer than the last is passed over, for a clock was set back."""
        if self._times and at <= self._times[-1]:
            return
        self._times.append(at)
        self._values.extend(row)
        self._trim(at - KEPT_SECONDS)

    def since(self, at: float = 0) -> Iterator[tuple[float, Row]]:
        """Yield the samples that are newer than a moment, oldest first."""
        times, values = self._times[:], self._values[:]
        count = min(len(times), len(values) // _WIDTH)
        for place in range(bisect.bisect_right(times, at, 0, count), count):
            yield times[place], tuple(values[place * _WIDTH : (place + 1) * _WIDTH])

    def tail(self, place: int, at: float) -> list[tuple[float, float]]:
        """Return the times and values of one figure that are newer than a moment; NaN for none."""
        times = self._times[bisect.bisect_right(self._times, at) :]
        if not times:
            return []
        first = len(self._times) - len(times)
        return list(zip(times, self._values[first * _WIDTH + place :: _WIDTH], strict=False))

    def _trim(self, oldest: float) -> None:
        """Drop what is too old, in larger pieces, for each drop moves all the rest."""
        gone = bisect.bisect_left(self._times, oldest)
        if gone > len(self._times) // 8:
            del self._times[:gone]
            del self._values[: gone * _WIDTH]
