"""A small line without axes, as the ``d`` of an SVG path: pure, and as short as can be."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

STEPS: Final = 30
"""Places of a line of ten minutes, 20 seconds each."""
HEIGHT: Final = 16
"""Units of the drawing's height; values are rounded to them."""

Level = int | None
"""Units from the top; None where there is nothing: a gap is a gap."""

_RISES: Final = {rise: f"1{rise}" if rise < 0 else f"1 {rise}" for rise in range(-HEIGHT, HEIGHT + 1)}


def level_of(value: float, top: float = 100.0) -> int:
    """Return where a value between 0 and ``top`` stands; one beyond stands at the edge."""
    return HEIGHT - round(min(max(value / top, 0.0), 1.0) * HEIGHT)


def sparkline(levels: Sequence[Level]) -> str:
    """Return the path of evenly spaced points, a unit apart: ``M0 12l1-2 1 0``.

    A point between two gaps is a dash of half a unit, so that it is seen.
    """
    if None not in levels:
        return _line(0, levels)
    return "".join(_line(start, run) for start, run in _runs(levels))


def _line(start: int, run: Sequence[Level]) -> str:
    if len(run) < 2:
        return f"M{start} {run[0]}h.5" if run else ""
    rises = " ".join([_RISES[after - before] for before, after in pairwise(run)])  # type: ignore[operator]  # no gap
    return f"M{start} {run[0]}l{rises}"


def _runs(levels: Sequence[Level]) -> Iterator[tuple[int, list[Level]]]:
    """Yield the stretches without a gap, with the place of their first point."""
    run: list[Level] = []
    for place, level in enumerate([*levels, None]):
        if level is not None:
            run.append(level)
        elif run:
            yield place - len(run), run
            run = []
