"""One figure of a host over the last ten minutes in steps, for a small line; kept up sample by sample."""

from collections import deque
from typing import Final

from quarterdeck.metrics.overview.sparkline import STEPS, Level, level_of, sparkline
from quarterdeck.metrics.ring import Ring

STEP_SECONDS: Final = 20


class Trace:
    """Means of steps that begin at whole multiples of their length, so that they stay while time goes on.

    Drawing a thousand of them anew for each page would take longer than all the rest of it.
    """

    __slots__ = ("_count", "_drawn", "_levels", "_means", "_place", "_step", "_sum", "_taken")

    def __init__(self, place: int) -> None:
        self._place = place
        self._means: deque[float | None] = deque([None] * STEPS, maxlen=STEPS)
        self._levels: deque[Level] = deque([None] * STEPS, maxlen=STEPS)
        self._step, self._sum, self._count = 0, 0.0, 0
        self._taken = 0.0
        self._drawn: str | None = None

    def renew(self, ring: Ring, moment: float) -> None:
        """Take in the samples since the last time, and move on to a moment."""
        for at, value in ring.tail(self._place, self._taken):
            self._taken = at
            if value == value and self._go_on(int(at // STEP_SECONDS)):  # not NaN
                self._add(value)
        self._go_on(int(moment // STEP_SECONDS))

    @property
    def path(self) -> str:
        """The line, drawn when it is asked for after a change."""
        if self._drawn is None:
            self._drawn = sparkline(self._levels)
        return self._drawn

    @property
    def mean(self) -> float | None:
        """The mean of all steps; None when there is none."""
        known = [mean for mean in self._means if mean is not None]
        return sum(known) / len(known) if known else None

    def _go_on(self, step: int) -> bool:
        """Begin the steps up to this one; False for one that is over."""
        if step > self._step:
            gone = min(step - self._step, STEPS)
            self._means.extend([None] * gone)
            self._levels.extend([None] * gone)
            self._step, self._sum, self._count, self._drawn = step, 0.0, 0, None
        return step == self._step

    def _add(self, value: float) -> None:
        self._sum += value
        self._count += 1
        mean = self._sum / self._count
        self._means[-1] = mean
        if (level := level_of(mean)) != self._levels[-1]:
            self._levels[-1], self._drawn = level, None
